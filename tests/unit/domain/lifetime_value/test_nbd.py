"""NBD: published figures, exact values, and what tells it from the models with death."""

import mpmath
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import pareto_nbd
from cvm_pipeline.domain.lifetime_value.nbd import MODEL
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories

SHOPPERS = {"r": 0.385, "alpha": 12.07}


def one(value: float) -> np.ndarray:
    return np.array([value])


def test_it_finds_the_reference_parameters_on_either_input(cdnow, rounded_summary) -> None:
    table = rounded_summary
    rounded = MODEL.fit(PurchaseHistories(table["x"], table["t_x"], table["T"], np.ones(len(table)), 7.0))
    assert dict(rounded.parameters) == pytest.approx({"r": 0.384768, "alpha": 12.072085}, rel=2e-6)
    assert rounded.log_likelihood == pytest.approx(-9763.66022, abs=1e-5)
    raw = MODEL.fit(cdnow.histories())
    assert dict(raw.parameters) == pytest.approx(dict(rounded.parameters), rel=1e-5)
    assert raw.log_likelihood == pytest.approx(-9763.66022, abs=5e-3)
    assert raw.converged and raw.gradient_norm < 1e-9 and raw.note == "" and raw.time_unit_days == 7.0


def test_the_holdout_errors_are_the_reference_ones(cdnow) -> None:
    h = cdnow.histories()
    expected = MODEL.expected_transactions(MODEL.fit(h).parameters, one(39.0), h.frequency, h.recency, h.T)[:, 0]
    error = expected - cdnow.holdout
    assert np.abs(error).mean() == pytest.approx(1.0410, abs=6e-5)
    assert np.sqrt((error**2).mean()) == pytest.approx(1.8595, abs=6e-5)
    assert error.sum() / cdnow.holdout.sum() == pytest.approx(0.557, abs=6e-4)


def test_likelihood_and_gradient_are_right_to_1e_12() -> None:
    rng = np.random.default_rng(1959)
    for _ in range(40):
        r, alpha = (float(v) for v in 10.0 ** rng.uniform(-3, 3, 2))
        x, T = float(rng.choice([0, 1, 30, 10_000])), float(rng.choice([0.5, 365.0, 10_957.0]))
        found = MODEL.log_likelihood_rows({"r": r, "alpha": alpha}, one(x), one(0.0), one(T))[0]
        slopes = MODEL.gradient_rows({"r": r, "alpha": alpha}, one(x), one(0.0), one(T))[0]
        with mpmath.workdps(60):
            r_, alpha_, T_ = mpmath.mpf(r), mpmath.mpf(alpha), mpmath.mpf(T)
            R, A = r_ + x, alpha_ + T_
            exact = mpmath.loggamma(R) - mpmath.loggamma(r_) + r_ * mpmath.log(alpha_ / A) - x * mpmath.log(A)
            by_r = mpmath.psi(0, R) - mpmath.psi(0, r_) + mpmath.log(alpha_ / A)
            by_alpha = r_ / alpha_ - R / A
        assert found == pytest.approx(float(exact), rel=1e-12, abs=1e-12)
        assert slopes * [r, alpha] == pytest.approx([float(by_r) * r, float(by_alpha) * alpha], rel=1e-11, abs=1e-13)


def test_nobody_dies_and_that_is_never_published() -> None:
    x, t_x, T = np.array([0.0, 9.0]), np.array([0.0, 2.0]), np.array([500.0, 500.0])
    assert (MODEL.log_p_alive(SHOPPERS, x, t_x, T) == 0).all()
    assert not MODEL.knows_p_alive


def test_it_is_the_pareto_nbd_of_customers_who_hardly_die() -> None:
    x, t_x, T = np.array([0.0, 2.0, 30.0]), np.array([0.0, 9.0, 69.0]), np.array([20.0, 40.0, 70.0])
    immortal, other = {**SHOPPERS, "s": 1e-3, "beta": 1e14}, pareto_nbd.MODEL
    horizon, counts = np.array([1.0, 52.0]), np.arange(40.0)
    for name, arguments in {
        "log_likelihood_rows": (x, t_x, T),
        "expected_transactions": (horizon, x, t_x, T),
        "pmf": (counts, 52.0, x, t_x, T),
        "residual_transactions": (0.01, x, t_x, T),
    }.items():
        assert getattr(MODEL, name)(SHOPPERS, *arguments) == pytest.approx(
            getattr(other, name)(immortal, *arguments), rel=1e-9
        )


def test_the_pmf_sums_to_1_and_its_mean_is_the_expectation() -> None:
    x, t_x, T = np.array([0.0, 3.0, 40.0]), np.array([0.0, 10.0, 70.0]), np.array([0.0, 30.0, 71.0])
    counts = np.arange(3_000.0)
    chance = MODEL.pmf(SHOPPERS, counts, 39.0, x, t_x, T)
    assert chance.sum(axis=1) == pytest.approx(1.0, rel=1e-12)
    expected = MODEL.expected_transactions(SHOPPERS, one(39.0), x, t_x, T)[:, 0]
    assert (chance * counts).sum(axis=1) == pytest.approx(expected, rel=1e-12)


def test_an_infinite_horizon_without_a_rate_is_refused() -> None:
    assert MODEL.residual_transactions(SHOPPERS, 0.01, one(7.0), one(3.0), one(70.0)) == pytest.approx(
        7.385 / 82.07 / 0.01
    )
    with pytest.raises(ValueError, match="discount rate"):
        MODEL.residual_transactions(SHOPPERS, 0.0, one(7.0), one(3.0), one(70.0))


def test_simulated_customers_are_recovered() -> None:
    rng = np.random.default_rng(12)
    true, T = {"r": 0.8, "alpha": 6.0}, rng.uniform(5.0, 100.0, 20_000)
    x, t_x, later = MODEL.simulate(true, T, 30.0, rng)
    fit = MODEL.fit(PurchaseHistories(x, t_x, T, np.ones(T.size), 7.0))
    for name, value in true.items():
        assert abs(fit.parameters[name] - value) < 3.5 * fit.standard_errors[name]
    expected = MODEL.expected_transactions(true, one(30.0), x, t_x, T)[:, 0]
    assert later.mean() == pytest.approx(expected.mean(), rel=0.03)


def test_shuffled_and_merged_rows_give_the_same_fit_and_recency_says_nothing(cdnow) -> None:
    h = cdnow.histories()
    order = np.random.default_rng(1).permutation(h.T.size)
    whole = MODEL.fit(h)
    assert MODEL.fit(PurchaseHistories(h.frequency[order], h.recency[order], h.T[order], h.count, 7.0)) == whole
    assert MODEL.fit(h.grouped()) == whole
    assert MODEL.fit(PurchaseHistories(h.frequency, h.recency / 2, h.T, h.count, 7.0)) == whole


def test_customers_all_alike_end_at_the_bound_and_no_repeats_at_none() -> None:
    alike = MODEL.fit(PurchaseHistories([3], [20], [50], [1000], 7.0))
    assert alike.converged and "r ended at its bound" in alike.note
    assert MODEL.expected_transactions(alike.parameters, one(50.0), one(3.0), one(20.0), one(50.0))[
        0, 0
    ] == pytest.approx(3.0, rel=1e-3)
    for row, why in [(([0], [0], [50], [9]), "nobody bought again"), (([0], [0], [0], [9]), "time")]:
        fit = MODEL.fit(PurchaseHistories(*row, 7.0))
        assert not fit.converged and why in fit.note and fit.parameters == {}
