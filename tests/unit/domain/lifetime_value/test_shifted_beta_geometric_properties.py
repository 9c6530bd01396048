"""What must hold of the shifted beta-geometric whatever the numbers, and what it does with cohorts that say little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain.lifetime_value.shifted_beta_geometric import CONTRACT_MODEL, ContractHistories

MODEL = CONTRACT_MODEL
TRUE = {"alpha": 0.7, "beta": 3.0}
shape = st.floats(1e-3, 1e3)


def simulated(n: int, most: int = 12, seed: int = 3) -> ContractHistories:
    rng = np.random.default_rng(seed)
    renewals, ended = MODEL.simulate(TRUE, rng.integers(1, most, n), rng)
    return ContractHistories(renewals, ended, np.ones(n))


def test_shuffled_merged_and_split_rows_give_the_same_fit() -> None:
    h = simulated(2_000)
    whole = MODEL.fit(h)
    order = np.random.default_rng(1).permutation(2_000)
    assert MODEL.fit(ContractHistories(h.renewals[order], h.ended[order], h.count)) == whole
    keys, counts = np.unique(np.column_stack([h.renewals, h.ended]), axis=0, return_counts=True)
    merged = ContractHistories(keys[:, 0], keys[:, 1].astype(bool), counts)
    assert MODEL.fit(merged) == whole
    twice = [np.tile(column, 2) for column in (h.renewals, h.ended)]
    assert MODEL.fit(ContractHistories(*twice, np.full(4_000, 0.5))) == whole


def test_parameters_are_recovered_within_their_standard_errors() -> None:
    fit = MODEL.fit(simulated(30_000))
    assert fit.converged and fit.log_covariance is not None
    for name, value in TRUE.items():
        assert abs(fit.parameters[name] - value) < 3.5 * fit.standard_errors[name]


def test_standard_errors_are_those_of_the_likelihoods_curvature() -> None:
    h = simulated(3_000)
    fit = MODEL.fit(h)
    curvature = np.zeros((2, 2))
    for i, name in enumerate(("alpha", "beta")):
        step = 1e-5 * fit.parameters[name]
        ends = [MODEL.gradient({**fit.parameters, name: fit.parameters[name] + s * step}, h) for s in (1, -1)]
        curvature[i] = -(ends[0] - ends[1]) / (2 * step)
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    assert [fit.standard_errors[name] for name in ("alpha", "beta")] == pytest.approx(errors, rel=1e-5)


def test_simulated_contracts_end_as_the_model_says() -> None:
    n = 50_000
    renewals, ended = MODEL.simulate(TRUE, np.full(n, 6), np.random.default_rng(5))
    assert ((renewals == 6) == ~ended).all()
    seen = np.array([(renewals >= t).mean() for t in range(1, 7)])
    expected = MODEL.survival(TRUE, np.arange(1, 7))
    assert (np.abs(seen - expected) < 4.5 * np.sqrt(expected * (1 - expected) / n)).all()


@settings(max_examples=60, deadline=None)
@given(alpha=shape, beta=shape, n=st.integers(0, 5_000))
def test_survival_falls_retention_rises_and_the_parts_fit_together(alpha, beta, n) -> None:
    p = {"alpha": alpha, "beta": beta}
    t = np.arange(0, 200)
    survival = MODEL.survival(p, t, n)
    assert survival[0] == 1 and (np.diff(survival) <= 0).all()
    retention = MODEL.retention_rate(p, n + t[1:])
    assert (np.diff(retention) >= 0).all() and ((retention > 0) & (retention < 1)).all()
    assert survival[1:] == pytest.approx(np.cumprod(retention), rel=1e-12, abs=1e-290)
    expected = MODEL.expected_renewals(p, t, n)[0]
    assert expected[0] == 0 and (np.diff(expected) >= 0).all()
    assert expected == pytest.approx(np.cumsum(survival) - 1, rel=1e-10, abs=1e-12)
    # A discount rate of 0 is none; each period more and each rate less is worth more; the horizon ends at the infinite one.
    undiscounted = MODEL.residual_lifetime(p, 0.0, n, 199)[0]
    assert undiscounted == pytest.approx(expected[-1], rel=1e-12)
    by_horizon = [MODEL.residual_lifetime(p, 0.1, n, h)[0] for h in (1, 2, 50, 3_000, np.inf)]
    assert (np.diff(by_horizon) >= -1e-12 * by_horizon[-1]).all()
    assert by_horizon[0] == pytest.approx(survival[1], rel=1e-12)
    assert by_horizon[3] == pytest.approx(by_horizon[4], rel=1e-12)
    assert MODEL.residual_lifetime(p, 0.2, n)[0] <= by_horizon[-1]


def test_splitting_a_batch_changes_no_digit() -> None:
    n = np.random.default_rng(2).integers(0, 9_000, 60)
    ended = n % 3 == 0

    def scored(rows: slice) -> list[np.ndarray]:
        return [
            MODEL.p_alive(TRUE, n[rows], ended[rows], 5),
            MODEL.log_survival(TRUE, 40, n[rows]),
            MODEL.expected_renewals(TRUE, [1, 12, 120], n[rows]),
            MODEL.residual_lifetime(TRUE, 0.01, n[rows]),
            MODEL.residual_lifetime(TRUE, 0.01, n[rows], 36),
        ]

    whole, parts = scored(slice(None)), [scored(slice(i, i + 7)) for i in range(0, 60, 7)]
    for i, together in enumerate(whole):
        assert np.array_equal(together, np.concatenate([part[i] for part in parts]))


def test_who_has_left_is_not_alive_and_who_stays_is_ever_more_likely_to() -> None:
    found = MODEL.p_alive(TRUE, np.array([0, 4, 4, 40]), np.array([False, False, True, False]))
    assert found == pytest.approx([3 / 3.7, 7 / 7.7, 0.0, 43 / 43.7], rel=1e-14)


def test_a_cohort_is_read_as_losses_and_survivors() -> None:
    h = ContractHistories.from_cohort([100, 60, 60, 45])
    # Nobody left at the second renewal.
    assert h.renewals.tolist() == [0, 2, 3] and h.ended.tolist() == [True, True, False]
    assert h.count.tolist() == [40, 15, 45]


@pytest.mark.parametrize("cohort", [[], [5, 6], [np.nan, 1], [[3, 2]]])
def test_a_cohort_that_grows_or_is_none_is_refused(cohort) -> None:
    with pytest.raises(ValueError, match="under_contract"):
        ContractHistories.from_cohort(cohort)


@pytest.mark.parametrize(
    ("renewals", "count", "rule"),
    [
        ([1, 1.5], [1, 1], "whole"),
        ([1, -1], [1, 1], "whole"),
        ([1, 1], [1, 0], "count"),
        ([1, 1], [1, np.nan], "count"),
    ],
)
def test_an_impossible_history_is_refused_with_its_row(renewals, count, rule) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        ContractHistories(np.array(renewals), np.array([True, False]), np.array(count))
    assert "row 1" in str(caught.value)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="as long as"):
        ContractHistories(np.ones(2), np.array([True]), np.ones(2))


@pytest.mark.parametrize(("d", "horizon"), [(0.0, np.inf), (-0.1, 12), (np.nan, 12), (np.inf, 12)])
def test_a_discount_rate_that_gives_no_sum_is_refused(d, horizon) -> None:
    with pytest.raises(ValueError, match="discount_rate"):
        MODEL.residual_lifetime(TRUE, d, 0, horizon)


@pytest.mark.parametrize("horizon", [1.5, -1, np.nan])
def test_a_horizon_between_renewals_is_refused(horizon) -> None:
    with pytest.raises(ValueError, match="horizon must be whole"):
        MODEL.expected_renewals(TRUE, horizon, 0)
    with pytest.raises(ValueError, match="horizon"):
        MODEL.residual_lifetime(TRUE, 0.1, 0, horizon)


def test_cohorts_that_fit_any_parameters_give_none_and_say_why() -> None:
    for cohort, why in [([50], "no contract"), ([50, 50, 50], "nobody has left"), ([50, 0], "everybody left")]:
        fit = MODEL.fit(ContractHistories.from_cohort(cohort))
        assert not fit.converged and fit.parameters == {} and why in fit.note


def test_one_renewal_alone_tells_the_mean_and_not_how_customers_differ() -> None:
    fit = MODEL.fit(ContractHistories.from_cohort([100, 80]))
    assert fit.converged and "flat" in fit.note and fit.standard_errors == {}
    assert MODEL.retention_rate(fit.parameters, 1) == pytest.approx(0.8, rel=1e-6)


def test_customers_who_are_all_alike_end_at_the_bound_with_their_common_rate() -> None:
    fit = MODEL.fit(ContractHistories.from_cohort(1e5 * 0.8 ** np.arange(8)))
    assert fit.converged
    assert MODEL.retention_rate(fit.parameters, [1, 8]) == pytest.approx(0.8, rel=1e-3)


def test_all_lost_at_one_renewal_leave_a_fit_that_is_finite() -> None:
    fit = MODEL.fit(ContractHistories.from_cohort([100, 100, 100, 0]))
    assert fit.converged and "bound" in fit.note
    # Three renewals came up for each, and one of them was refused.
    assert MODEL.retention_rate(fit.parameters, 1) == pytest.approx(2 / 3, rel=1e-4)


def test_ten_customers_are_fitted_with_their_uncertainty() -> None:
    fit = MODEL.fit(ContractHistories.from_cohort([10, 6, 5, 5, 4, 4]))
    assert fit.converged
    assert fit.standard_errors["alpha"] > 0.3 * fit.parameters["alpha"]
