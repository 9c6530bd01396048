"""What must hold of the Pareto/NBD model whatever its formulas, and how its fit behaves on odd bases."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.nbd import MODEL as NBD
from cvm_pipeline.domain.lifetime_value.pareto_nbd import MODEL, NAMES
from cvm_pipeline.domain.lifetime_value.pareto_nbd_likelihood import BaseLikelihood
from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories

RETAIL = {"r": 0.55, "alpha": 10.6, "s": 0.6, "beta": 11.7}
# alpha above beta, s above 1.
OTHER = {"r": 3.2, "alpha": 25.0, "s": 2.4, "beta": 6.0}


def ones(n: int) -> Floats:
    return np.ones(n)


def simulated(parameters: dict[str, float], n: int, seed: int, longest: float = 80.0) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    T = rng.integers(7, int(7 * longest), n) / 7.0
    x, t_x, _ = MODEL.simulate(parameters, T, 1.0, rng)
    return x, t_x, T


def test_shuffled_merged_and_split_groups_give_the_same_fit(cdnow) -> None:
    histories = cdnow.histories()
    whole = MODEL.fit(histories)
    order = np.random.default_rng(1).permutation(histories.T.size)
    h = histories
    assert MODEL.fit(PurchaseHistories(h.frequency[order], h.recency[order], h.T[order], h.count, 7.0)) == whole
    assert MODEL.fit(h.grouped()) == whole
    twice = (np.r_[column, column] for column in (h.frequency, h.recency, h.T))
    split = MODEL.fit(PurchaseHistories(*twice, np.full(2 * h.T.size, 0.5), 7.0))
    assert split.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    assert dict(split.parameters) == pytest.approx(dict(whole.parameters), rel=1e-9)


def test_days_weeks_or_months_as_the_unit_give_the_same_values(cdnow) -> None:
    found = []
    for unit in (7.0, 1.0, 365.25 / 12):
        h = cdnow.histories(unit)
        fit = MODEL.fit(h)
        expected = MODEL.expected_transactions(fit.parameters, np.array([365.25 / unit]), h.frequency, h.recency, h.T)
        # The density of the purchases' times is per unit of time.
        log_likelihood = fit.log_likelihood - h.frequency.sum() * np.log(unit)
        found.append((expected[:, 0], MODEL.p_alive(fit.parameters, h.frequency, h.recency, h.T), log_likelihood))
    for expected, alive, log_likelihood in found[1:]:
        assert expected == pytest.approx(found[0][0], rel=1e-8)
        assert alive == pytest.approx(found[0][1], rel=1e-8)
        assert log_likelihood == pytest.approx(found[0][2], rel=1e-12)


@pytest.mark.parametrize("parameters", [RETAIL, OTHER])
def test_splitting_a_batch_changes_no_digit(parameters) -> None:
    x, t_x, T = simulated(parameters, 9_000, 3)
    counts, horizons = np.array([0.0, 1.0, 2.0, 5.0, 40.0]), np.array([1.0, 52.0])

    def everything(rows: slice) -> list[Floats]:
        x_, t_x_, T_ = x[rows], t_x[rows], T[rows]
        return [
            MODEL.log_likelihood_rows(parameters, x_, t_x_, T_),
            MODEL.gradient_rows(parameters, x_, t_x_, T_),
            MODEL.log_p_alive(parameters, x_, t_x_, T_),
            MODEL.expected_while_alive(parameters, horizons, x_, T_),
            MODEL.pmf_while_alive(parameters, counts, 39.0, x_, T_),
            MODEL.residual_while_alive(parameters, 0.002, x_, T_),
        ]

    whole = everything(slice(None))
    for rows in (slice(0, 1), slice(17, 24), slice(24, 1_000), slice(4_000, None)):
        for of_all, of_some in zip(whole, everything(rows), strict=True):
            assert (of_all[rows] == of_some).all()


def test_each_row_may_have_parameters_of_its_own() -> None:
    x, t_x, T = simulated(RETAIL, 40, 5)
    rng = np.random.default_rng(6)
    own = {name: value * rng.uniform(0.3, 3.0, x.size) for name, value in RETAIL.items()}
    likelihood, slopes = MODEL.log_likelihood_rows(own, x, t_x, T), MODEL.gradient_rows(own, x, t_x, T)
    expected = MODEL.expected_transactions(own, np.array([39.0]), x, t_x, T)
    chance = MODEL.pmf_while_alive(own, np.arange(4.0), 39.0, x, T)
    for i in range(x.size):
        row, its = (x[[i]], t_x[[i]], T[[i]]), {name: float(values[i]) for name, values in own.items()}
        assert MODEL.log_likelihood_rows(its, *row)[0] == likelihood[i]
        assert (MODEL.gradient_rows(its, *row)[0] == slopes[i]).all()
        assert MODEL.expected_transactions(its, np.array([39.0]), *row)[0, 0] == expected[i, 0]
        assert (MODEL.pmf_while_alive(its, np.arange(4.0), 39.0, row[0], row[2])[0] == chance[i]).all()


@pytest.mark.parametrize("parameters", [RETAIL, OTHER])
def test_gradient_and_curvature_of_a_base_are_its_likelihoods_own(parameters) -> None:
    x, t_x, T = simulated(parameters, 300, 8)
    likelihood = BaseLikelihood(PurchaseHistories(x, t_x, T, np.random.default_rng(9).uniform(1, 3, x.size)))
    point = np.array([parameters[name] for name in NAMES]) * np.array([1.3, 0.8, 0.7, 1.4])
    _, gradient, hessian = likelihood(point)
    for i, step in enumerate(1e-5 * np.diag(point)):
        (above, up, _), (below, down, _) = likelihood(point + step), likelihood(point - step)
        assert gradient[i] == pytest.approx((above - below) / (2 * step[i]), rel=1e-6)
        assert hessian[i] == pytest.approx((up - down) / (2 * step[i]), rel=1e-6)


@pytest.mark.parametrize("parameters", [RETAIL, OTHER])
def test_p_alive_never_rises_with_silence(parameters) -> None:
    silence = np.r_[0.0, np.geomspace(0.01, 1e6, 400)]
    for x, t_x in [(0.0, 0.0), (1.0, 3.0), (12.0, 40.0), (500.0, 300.0)]:
        n = np.ones_like(silence)
        alive = MODEL.p_alive(parameters, x * n, t_x * n, t_x + silence)
        assert alive[0] == 1.0 and (np.diff(alive) <= 0).all() and (alive >= 0).all()
        assert alive[-1] < 0.05


@pytest.mark.parametrize("parameters", [RETAIL, OTHER])
def test_expectation_grows_with_the_horizon_and_equals_the_sum_of_its_parts(parameters) -> None:
    horizon = np.arange(1.0, 200.0)
    x, t_x, T = np.array([0.0, 3.0, 40.0]), np.array([0.0, 10.0, 70.0]), np.array([0.0, 30.0, 71.0])
    path = MODEL.expected_transactions(parameters, horizon, x, t_x, T)
    assert path.shape == (3, 199) and (np.diff(path, axis=1) > 0).all()
    # Who lives on to t is a customer of x + what it bought by then; on average the parts are what comes after 60.
    lives = ((parameters["beta"] + T) / (parameters["beta"] + T + 60.0)) ** parameters["s"]
    A, B = parameters["alpha"] + T, parameters["beta"] + T + 60.0
    later = MODEL.expected_while_alive({**parameters, "alpha": 1.0, "beta": 1.0}, horizon[:139], ones(3) * 0, B - 1.0)
    later *= (lives * (parameters["r"] + x) / A / (parameters["r"] / B) * MODEL.p_alive(parameters, x, t_x, T))[:, None]
    assert path[:, [59]] + later == pytest.approx(path[:, 60:], rel=1e-12)


@pytest.mark.parametrize("parameters", [RETAIL, OTHER])
@pytest.mark.parametrize("t", [1 / 24, 39.0, 400.0])
def test_the_pmf_sums_to_1_and_its_mean_is_the_expectation(parameters, t) -> None:
    x, t_x, T = np.array([0.0, 3.0, 40.0, 90.0]), np.array([0.0, 10.0, 70.0, 70.0]), np.array([0.0, 30.0, 71.0, 70.0])
    counts = np.arange(4_000.0)
    chance = MODEL.pmf(parameters, counts, t, x, t_x, T)
    assert chance.sum(axis=1) == pytest.approx(1.0, rel=1e-12)
    expected = MODEL.expected_transactions(parameters, np.array([t]), x, t_x, T)[:, 0]
    assert (chance * counts).sum(axis=1) == pytest.approx(expected, rel=1e-10)


def test_counts_may_come_in_any_order_and_more_than_once() -> None:
    x, T = np.array([2.0, 9.0]), np.array([20.0, 50.0])
    run = MODEL.pmf_while_alive(RETAIL, np.arange(60.0), 39.0, x, T)
    some = MODEL.pmf_while_alive(RETAIL, np.array([41.0, 0.0, 3.0, 41.0]), 39.0, x, T)
    assert (some == run[:, [41, 0, 3, 41]]).all()
    now = MODEL.pmf_while_alive(RETAIL, np.arange(3.0), 0.0, x, T)
    assert (now == [[1.0, 0.0, 0.0]] * 2).all()


def test_the_infinite_horizon_is_the_discounted_sum_and_refuses_none() -> None:
    x, t_x, T = np.array([0.0, 7.0]), np.array([0.0, 35.0]), np.array([20.0, 77.0])
    steps = np.arange(0.0, 6_000.0, 0.1)
    rate = 0.01
    path = MODEL.expected_transactions(OTHER, np.r_[steps, 6_000.0], x, t_x, T)
    summed = (np.diff(path, axis=1) * np.exp(-rate * (steps + 0.05))).sum(axis=1)
    assert MODEL.residual_transactions(OTHER, rate, x, t_x, T) == pytest.approx(summed, rel=1e-6)
    for none in (0.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="discount rate"):
            MODEL.residual_transactions(OTHER, none, x, t_x, T)


def test_simulated_customers_live_as_the_model_says() -> None:
    rng = np.random.default_rng(11)
    T = np.full(200_000, 40.0)
    x, t_x, later = MODEL.simulate(OTHER, T, 30.0, rng)
    assert ((x == 0) == (t_x == 0)).all() and (t_x <= T).all()
    expected = MODEL.unconditional_expectation(OTHER, np.array([40.0, 70.0]))
    assert x.mean() == pytest.approx(expected[0], rel=0.01)
    assert later.mean() == pytest.approx(expected[1] - expected[0], rel=0.03)
    chance = MODEL.unconditional_pmf(OTHER, np.arange(6.0), 40.0)
    assert [(x == m).mean() for m in range(6)] == pytest.approx(chance, abs=0.004)
    conditional = MODEL.expected_transactions(OTHER, np.array([30.0]), x, t_x, T)[:, 0]
    for group in (x == 0, (x > 1) & (t_x < 30), t_x > 30, t_x > 39):
        error = later[group].std() / group.sum() ** 0.5
        assert abs(later[group].mean() - conditional[group].mean()) < 3.5 * error


@pytest.mark.parametrize("parameters", [RETAIL, OTHER])
def test_parameters_are_recovered_within_their_standard_errors(parameters) -> None:
    x, t_x, T = simulated(parameters, 20_000, 21, longest=104.0)
    fit = MODEL.fit(PurchaseHistories(x, t_x, T, ones(x.size), 7.0))
    assert fit.converged and fit.note == ""
    for name, value in parameters.items():
        assert abs(fit.parameters[name] - value) < 3.5 * fit.standard_errors[name]


def test_a_base_without_repeats_or_time_has_no_fit_and_says_why() -> None:
    T = np.arange(10.0, 60.0)
    fit = MODEL.fit(PurchaseHistories(0 * T, 0 * T, T, ones(50), 7.0))
    assert not fit.converged and fit.note == "nobody bought again" and fit.parameters == {}
    fit = MODEL.fit(PurchaseHistories([0], [0], [0], [100], 7.0))
    assert not fit.converged and "time" in fit.note


def test_identical_customers_differ_in_nothing_and_the_bounds_are_named() -> None:
    fit = MODEL.fit(PurchaseHistories([3], [20], [50], [1000], 7.0))
    assert fit.converged and "r ended at its bound" in fit.note and "s ended at its bound" in fit.note
    assert fit.log_covariance is None
    row = np.array([3.0]), np.array([20.0]), np.array([50.0])
    assert 0.0 < MODEL.p_alive(fit.parameters, *row)[0] < 1.0
    assert np.isfinite(MODEL.expected_transactions(fit.parameters, np.array([52.0]), *row)).all()


def test_ten_customers_are_fitted_and_every_forecast_is_finite() -> None:
    x = np.array([0, 0, 1, 0, 2, 5, 0, 0, 1, 3.0])
    t_x = np.array([0, 0, 10, 0, 30, 40, 0, 0, 3, 35.0])
    T = np.array([50, 51, 40, 30, 55, 44, 38, 50, 52, 36.0])
    fit = MODEL.fit(PurchaseHistories(x, t_x, T, ones(10), 7.0))
    assert fit.converged and fit.customers == 10
    expected = MODEL.expected_transactions(fit.parameters, np.array([52.0]), x, t_x, T)
    assert (np.isfinite(expected) & (expected > 0)).all()


def test_a_single_giant_among_shoppers_is_survived() -> None:
    x, t_x, T = simulated(RETAIL, 500, 31)
    x[0], t_x[0] = 10_000.0, T[0]
    fit = MODEL.fit(PurchaseHistories(x, t_x, T, ones(500), 7.0))
    assert fit.converged and np.isfinite(fit.log_likelihood)
    expected = MODEL.expected_transactions(fit.parameters, np.array([1.0]), x, t_x, T)[:, 0]
    assert expected[0] == pytest.approx(10_000.0 / T[0], rel=0.1)
    assert np.isfinite(expected).all()


def test_a_base_in_which_all_die_alike_knows_the_rate_of_dying_alone() -> None:
    rng = np.random.default_rng(41)
    lifetime = np.minimum(rng.exponential(20.0, 1_500), 100.0)
    rate = rng.gamma(1.5, 0.1, lifetime.size)
    x = rng.poisson(rate * lifetime).astype(float)
    t_x = np.where(x > 0, lifetime * rng.random(x.size) ** (1 / np.maximum(x, 1)), 0.0)
    fit = MODEL.fit(PurchaseHistories(x, t_x, np.full(x.size, 100.0), ones(x.size), 7.0))
    assert fit.converged
    assert "s ended at its bound" in fit.note or "s and beta are known together only" in fit.note
    assert fit.parameters["s"] / fit.parameters["beta"] == pytest.approx(1 / 20.0, rel=0.15)


def test_a_base_in_which_nobody_dies_is_an_nbd_and_says_so() -> None:
    rng = np.random.default_rng(7)
    x = rng.poisson(rng.gamma(4.0, 0.05, 2_000) * 100.0).astype(float)
    # Whoever bought at all has just bought again: no silence that death could explain.
    histories = PurchaseHistories(x, np.where(x > 0, 99.0, 0.0), np.full(x.size, 100.0), ones(x.size), 7.0)
    fit, without = MODEL.fit(histories), NBD.fit(histories)
    assert fit.converged and "no death is seen" in fit.note
    assert fit.log_likelihood == pytest.approx(without.log_likelihood, rel=1e-9)
    for name in ("r", "alpha"):
        assert fit.parameters[name] == pytest.approx(without.parameters[name], rel=1e-6)
        assert fit.standard_errors[name] == pytest.approx(without.standard_errors[name], rel=1e-4)
    assert (MODEL.p_alive(fit.parameters, histories.frequency, histories.recency, histories.T) > 0.999).all()
