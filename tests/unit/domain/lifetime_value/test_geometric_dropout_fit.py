"""Fits of BG/NBD and MBG/NBD: however the base is written down, and what becomes of strange bases."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import bg_nbd, mbg_nbd
from cvm_pipeline.domain.lifetime_value.geometric_dropout_likelihood import BaseLikelihood
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories

MODELS = (bg_nbd.MODEL, mbg_nbd.MODEL)
both_models = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


def histories(days: tuple[np.ndarray, ...], count: np.ndarray | None = None, unit: float = 7.0) -> PurchaseHistories:
    x, t_x, T = days
    return PurchaseHistories.from_days(x, t_x, T, np.ones(x.size) if count is None else count, unit)


@pytest.fixture(scope="module")
def days(cdnow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return cdnow.frequency, cdnow.recency, cdnow.T


@both_models
def test_shuffled_rows_give_the_same_fit_to_the_last_digit(model, days) -> None:
    order = np.random.default_rng(1).permutation(days[0].size)
    assert model.fit(histories(tuple(column[order] for column in days))) == model.fit(histories(days))


@both_models
def test_merged_and_split_groups_give_the_same_fit_to_the_last_digit(model, days) -> None:
    whole = model.fit(histories(days))
    merged = histories(days).grouped()
    assert merged.frequency.size < days[0].size and merged.customers == days[0].size
    assert model.fit(merged) == whole
    halves = tuple(np.concatenate([column, column]) for column in days)
    assert model.fit(histories(halves, np.full(halves[0].size, 0.5))) == whole


@both_models
def test_days_or_weeks_as_the_unit_give_the_same_values(model, days) -> None:
    x, t_x, T = days
    found, likelihoods = [], []
    for unit in (1.0, 7.0, 365.25 / 12):
        fit = model.fit(histories(days, unit=unit))
        rows = x, t_x / unit, T / unit
        found.append(
            np.column_stack(
                [
                    model.expected_transactions(fit.parameters, np.array([365.25 / unit]), *rows),
                    model.p_alive(fit.parameters, *rows),
                    model.pmf(fit.parameters, np.array([0.0, 1.0, 3.0]), 365.25 / unit, *rows),
                    model.residual_transactions(fit.parameters, 0.1 / 365.25 * unit, *rows),
                ]
            )
        )
        # The density of t_x is per unit of time: the log-likelihood moves by the repeats' log unit.
        likelihoods.append(fit.log_likelihood - x.sum() * np.log(unit))
    for values, likelihood in zip(found[1:], likelihoods[1:], strict=True):
        assert values == pytest.approx(found[0], rel=1e-9)
        assert likelihood == pytest.approx(likelihoods[0], rel=1e-12)


@both_models
def test_a_unit_in_which_days_are_no_grid_gives_the_same_fit(model, days) -> None:
    """Logarithms are looked up by day where they can be; nothing else may depend on it."""
    x, t_x, T = days
    on_grid = model.fit(histories(days, unit=1.0))
    off_grid = model.fit(PurchaseHistories(x, t_x * 0.37, T * 0.37, np.ones(x.size), 1.0))
    assert off_grid.parameters["alpha"] / 0.37 == pytest.approx(on_grid.parameters["alpha"], rel=1e-9)
    assert off_grid.standard_errors["b"] == pytest.approx(on_grid.standard_errors["b"], rel=1e-8)


@both_models
@pytest.mark.parametrize("unit", [1.0, np.pi])
def test_the_base_and_its_rows_have_one_likelihood(model, unit, days) -> None:
    base = histories(days, unit=unit).grouped()
    point = np.array([0.7, 5.0, 1.2, 3.0])
    value, gradient, hessian = BaseLikelihood(base, model.first_toss)(point)
    named = dict(zip(model.parameter_names, point, strict=True))
    assert value == pytest.approx(model.log_likelihood(named, base), rel=1e-13)
    rows = model.gradient_rows(named, base.frequency, base.recency, base.T)
    assert gradient == pytest.approx((base.count[:, None] * rows).sum(axis=0), rel=1e-11)
    for i in range(4):
        step = 1e-5 * point[i] * np.eye(4)[i]
        ahead, behind = (BaseLikelihood(base, model.first_toss)(point + sign * step) for sign in (1.0, -1.0))
        assert (ahead[0] - behind[0]) / (2 * step[i]) == pytest.approx(gradient[i], rel=1e-6)
        assert (ahead[1] - behind[1]) / (2 * step[i]) == pytest.approx(hessian[i], rel=1e-6)


@both_models
def test_parameters_are_recovered_within_their_standard_errors(model) -> None:
    true = {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 2.5}
    n, end = 40_000, 104.0
    x, t_x, _ = model.simulate(true, np.full(n, end), 1.0, np.random.default_rng(42))
    fit = model.fit(PurchaseHistories(x, t_x, np.full(n, end), np.ones(n), 7.0))
    assert fit.converged and fit.log_covariance is not None
    for i, (name, value) in enumerate(true.items()):
        assert abs(fit.parameters[name] - value) < 3.5 * fit.standard_errors[name]
        on_log_scale = fit.standard_errors[name] / fit.parameters[name]
        assert fit.log_covariance[i][i] == pytest.approx(on_log_scale**2, rel=1e-6)


@both_models
def test_a_base_without_dropout_converges_and_says_so(model) -> None:
    rng = np.random.default_rng(7)
    n, end = 2_000, 100.0
    rate = rng.gamma(4.0, 0.05, n)
    x = rng.poisson(rate * end).astype(float)
    # Whoever bought at all has just bought again: no silence that dropout could explain.
    last = np.where(x > 0, 0.99 * end, 0.0)
    fit = model.fit(PurchaseHistories(x, last, np.full(n, end), np.ones(n), 7.0))
    assert fit.converged and "no dropout is seen" in fit.note
    assert fit.parameters["r"] == pytest.approx(4.0, rel=0.1)
    assert "b" not in fit.standard_errors and fit.standard_errors["r"] > 0
    assert (model.p_alive(fit.parameters, x, last, np.full(n, end)) > 0.999).all()


@both_models
def test_a_base_observed_for_no_time_does_not_converge_and_says_so(model) -> None:
    fit = model.fit(PurchaseHistories([0], [0], [0], [100], 7.0))
    assert not fit.converged and "time" in fit.note and fit.parameters == {}


@both_models
def test_one_time_buyers_alone_say_nothing_of_lifetimes(model) -> None:
    fit = model.fit(PurchaseHistories([0, 0], [0, 0], [10, 52], [500, 10_000], 7.0))
    assert not fit.converged and fit.note == "nobody bought again" and fit.parameters == {}
    assert fit.customers == 10_500


@both_models
def test_identical_customers_are_fitted_without_differences_between_them(model) -> None:
    base = PurchaseHistories([3], [20], [30], [1_000], 7.0)
    fit = model.fit(base)
    assert fit.converged and "r ended at its bound" in fit.note and "r" not in fit.standard_errors
    expected = model.expected_transactions(
        fit.parameters, np.array([30.0]), *(np.array([v]) for v in (3.0, 20.0, 30.0))
    )
    assert expected[0, 0] == pytest.approx(3.0, rel=1e-3)


@both_models
def test_ten_customers_are_fitted_with_errors_to_match(model) -> None:
    x = np.array([0, 0, 0, 1, 0, 2, 0, 5, 0, 1])
    t_x = np.array([0, 0, 0, 3, 0, 12, 0, 29, 0, 25])
    fit = model.fit(PurchaseHistories(x, t_x, np.r_[10, 12, 30:38], np.ones(10), 7.0))
    assert fit.converged and fit.gradient_norm < 1e-9
    # Most parameters are known no better than to a factor e.
    assert sum(fit.standard_errors[name] > fit.parameters[name] for name in model.parameter_names) >= 3


@both_models
def test_a_giant_costs_no_digit_and_is_expected_to_go_on(model, days) -> None:
    x, t_x, T = (np.r_[column, giant] for column, giant in zip(days, (10_000.0, 272.0, 272.0), strict=True))
    base = histories((x, t_x, T), unit=1.0)
    fit = model.fit(base)
    assert fit.converged and fit.gradient_norm < 1e-9
    assert fit.log_likelihood == pytest.approx(model.log_likelihood(fit.parameters, base), rel=1e-12)
    expected = model.expected_transactions(fit.parameters, np.array([272.0]), x[-1:], t_x[-1:], T[-1:])
    assert 5_000 < expected[0, 0] < 10_100


@pytest.mark.parametrize("model", MODELS)
def test_ten_million_customers_are_fitted_like_ten_thousand_of_the_same(model, days) -> None:
    """Counts stand for customers: errors shrink by the root, and nothing else moves beyond the stated convergence."""
    few = model.fit(histories(days))
    many = model.fit(histories(days, np.full(days[0].size, 1e7 / days[0].size)))
    assert many.converged and many.customers == pytest.approx(1e7)
    for name in model.parameter_names:
        assert many.parameters[name] == pytest.approx(few.parameters[name], rel=1e-6)
        shrunk = few.standard_errors[name] * np.sqrt(few.customers / 1e7)
        assert many.standard_errors[name] == pytest.approx(shrunk, rel=1e-5)
