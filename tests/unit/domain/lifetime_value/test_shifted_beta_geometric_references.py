"""The shifted beta-geometric against published numbers: ../shared/reference/clv_numbers.md, section 4."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.registry import transaction_models
from cvm_pipeline.domain.lifetime_value.shifted_beta_geometric import CONTRACT_MODEL, ContractHistories

# Survival in % over years 0..12; the first eight figures are what the models are fitted to.
REGULAR = [100, 63.1, 46.8, 38.2, 32.6, 28.9, 26.2, 24.1, 22.3, 20.7, 19.4, 18.3, 17.3]
HIGH_END = [100, 86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1, 46.8, 44.5, 42.7, 40.9, 39.4]
# Paper's and re-run parameters, log-likelihood of a cohort of 1,000, projected survival of years 8..12.
COHORTS = [
    (REGULAR, (0.704, 1.182), (0.70408, 1.18204), -1680.265, [22.0, 20.4, 19.1, 18.0, 17.0]),
    (HIGH_END, (0.668, 3.806), (0.66809, 3.80610), -1611.158, [46.0, 43.6, 41.4, 39.5, 37.8]),
]


@pytest.mark.parametrize(("survival", "paper", "again", "log_likelihood", "projected"), COHORTS)
def test_the_cohorts_of_the_paper_are_fitted_and_projected(survival, paper, again, log_likelihood, projected) -> None:
    histories = ContractHistories.from_cohort(10 * np.array(survival[:8]))
    assert histories.customers == pytest.approx(1_000)
    fit = CONTRACT_MODEL.fit(histories)
    assert fit.converged and fit.gradient_norm < 1e-9 and fit.note == ""
    found = fit.parameters["alpha"], fit.parameters["beta"]
    assert np.round(found, 3) == pytest.approx(paper, abs=1e-9)
    assert found == pytest.approx(again, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)
    years = np.arange(8, 13)
    assert np.round(100 * CONTRACT_MODEL.survival(fit.parameters, years), 1) == pytest.approx(projected)
    # The paper's point: the projection is within two points of what the five years held out brought.
    assert (np.abs(np.array(projected) - survival[8:]) < 2).all()


@pytest.mark.parametrize(
    ("alpha", "beta", "paper", "again"),
    [
        (3.80, 15.20, [3.31, 3.45, 3.59, 3.72, 3.84], [3.31, 3.45, 3.59, 3.72, 3.84]),
        # The paper's first and third figure are a hundredth above what its formula gives.
        (0.067, 0.267, [7.68, 9.46, 9.86, 10.06, 10.19], [7.67, 9.46, 9.85, 10.06, 10.19]),
    ],
)
def test_residual_lifetimes_are_the_published_ones(alpha, beta, paper, again) -> None:
    # The paper counts contract periods: in its n-th, n - 1 renewals were survived.
    found = CONTRACT_MODEL.residual_lifetime({"alpha": alpha, "beta": beta}, 0.1, np.arange(5))
    assert np.round(found, 2) == pytest.approx(again)
    assert found == pytest.approx(paper, abs=0.011)


def test_it_is_not_raced_with_the_transaction_models() -> None:
    assert CONTRACT_MODEL.name not in [model.name for model in transaction_models()]
