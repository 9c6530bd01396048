"""What must hold for every transaction model, whatever its formulas."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.registry import transaction_model, transaction_models

MODELS = transaction_models()
FORECASTERS = [(model, {"r": 0.6, "alpha": 6.2, "a": 0.9, "b": 1.6}) for model in MODELS]
FORECASTERS.append((POOLED_RATE, {"rate": 0.05, "retention": 0.4}))
by_name = {"ids": lambda value: getattr(value, "name", "")}
shape = st.floats(1e-3, 1e3)
unit_point = st.fixed_dictionaries({"r": shape, "alpha": shape, "a": shape, "b": shape})


def histories(days: tuple[np.ndarray, ...], count: np.ndarray | None = None, unit: float = 7.0) -> PurchaseHistories:
    x, t_x, T = days
    return PurchaseHistories.from_days(x, t_x, T, np.ones(x.size) if count is None else count, unit)


@pytest.fixture(scope="module")
def days(cdnow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return cdnow.frequency, cdnow.recency, cdnow.T


def test_the_registry_finds_the_models_by_their_files() -> None:
    assert [model.name for model in MODELS] == ["bg_nbd", "mbg_nbd"]
    assert transaction_model("mbg_nbd").name == "mbg_nbd"
    with pytest.raises(KeyError, match="no_such"):
        transaction_model("no_such")


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_shuffled_rows_give_the_same_fit_to_the_last_digit(model, days) -> None:
    order = np.random.default_rng(1).permutation(days[0].size)
    assert model.fit(histories(tuple(column[order] for column in days))) == model.fit(histories(days))


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_merged_and_split_groups_give_the_same_fit(model, days) -> None:
    whole = model.fit(histories(days))
    merged = histories(days).grouped()
    assert merged.frequency.size < days[0].size and merged.customers == days[0].size
    assert model.fit(merged) == whole
    halves = tuple(np.concatenate([column, column]) for column in days)
    split = model.fit(histories(halves, np.full(halves[0].size, 0.5)))
    assert split.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    assert dict(split.parameters) == pytest.approx(dict(whole.parameters), rel=1e-9)


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_days_or_weeks_as_the_unit_give_the_same_values(model, days) -> None:
    x, t_x, T = days
    found = []
    for unit in (1.0, 7.0, 365.25 / 12):
        fit = model.fit(histories(days, unit=unit))
        expected = model.expected_transactions(fit.parameters, np.array([365.25 / unit]), x, t_x / unit, T / unit)
        found.append((expected[:, 0], model.p_alive(fit.parameters, x, t_x / unit, T / unit)))
        # The density of t_x is per unit of time: the log-likelihood moves by the repeats' log unit.
        assert fit.log_likelihood - x.sum() * np.log(unit) == pytest.approx(
            model.fit(histories(days, unit=1.0)).log_likelihood, rel=1e-12
        )
    for expected, alive in found[1:]:
        assert expected == pytest.approx(found[0][0], rel=1e-9)
        assert alive == pytest.approx(found[0][1], rel=1e-9)


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_the_gradient_is_the_likelihoods_own(model, days) -> None:
    base = {"r": 0.7, "alpha": 5.0, "a": 1.2, "b": 3.0}
    exact = model.gradient(base, histories(days))
    for i, name in enumerate(model.parameter_names):
        step = 1e-5 * base[name]
        up, down = (
            model.log_likelihood({**base, name: base[name] + sign * step}, histories(days)) for sign in (1.0, -1.0)
        )
        assert exact[i] == pytest.approx((up - down) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_parameters_are_recovered_within_their_standard_errors(model) -> None:
    rng = np.random.default_rng(42)
    true = {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 2.5}
    n, end = 40_000, 104.0
    rate, dropout = rng.gamma(true["r"], 1 / true["alpha"], n), rng.beta(true["a"], true["b"], n)
    # Tosses survived before the one that ends it; BG/NBD's first toss comes one transaction later.
    last = rng.geometric(np.clip(dropout, 1e-300, 1.0)) - model.first_toss
    x, t_x, t = np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(1000):
        t = t + rng.exponential(1 / np.maximum(rate, 1e-300))
        buys = (t < end) & (x < last)
        if not buys.any():
            break
        x[buys] += 1
        t_x[buys] = t[buys]
        t[~buys] = np.inf
    fit = model.fit(PurchaseHistories(x, t_x, np.full(n, end), np.ones(n), 7.0))
    assert fit.converged
    for name, value in true.items():
        assert abs(fit.parameters[name] - value) < 3.5 * fit.standard_errors[name]


@pytest.mark.parametrize("model", MODELS, **by_name)
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


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_the_likelihood_keeps_its_digits_where_gamma_functions_cancel(model) -> None:
    base = {"r": 5e3, "alpha": 4e4, "a": 1e-4, "b": 1e5}
    few = PurchaseHistories([0, 3, 40], [0, 20, 300], [300, 310, 320], [2, 1, 3], 1.0)
    with mpmath.workdps(60):
        r, alpha, a, b = (mpmath.mpf(base[name]) for name in model.parameter_names)
        exact = mpmath.mpf(0)
        for x, t_x, T, count in zip(few.frequency, few.recency, few.T, few.count, strict=True):
            x, s = int(x), int(x) + model.first_toss
            alive = mpmath.beta(a, b + s) * (alpha + T) ** -(r + x)
            dead = mpmath.beta(a + 1, b + s - 1) * (alpha + t_x) ** -(r + x) if s else 0
            exact += count * mpmath.log(
                mpmath.gamma(r + x) / mpmath.gamma(r) * alpha**r * (alive + dead) / mpmath.beta(a, b)
            )
    assert model.log_likelihood(base, few) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize(("model", "parameters"), FORECASTERS, **by_name)
def test_p_alive_never_rises_with_silence(model, parameters) -> None:
    silence = np.r_[0.0, np.geomspace(0.01, 1e6, 400)]
    for x, t_x in [(0.0, 0.0), (1.0, 3.0), (12.0, 40.0), (500.0, 300.0)]:
        n = np.ones_like(silence)
        p = model.p_alive(parameters, x * n, t_x * n, t_x + silence)
        assert (np.diff(p) <= 0).all() and (p >= 0).all() and (p <= 1).all()
        if x > 0 or model.name != "bg_nbd":
            assert p[-1] < 0.05


@pytest.mark.parametrize(("model", "parameters"), FORECASTERS, **by_name)
def test_expectation_grows_with_the_horizon_and_equals_the_sum_of_its_parts(model, parameters) -> None:
    horizon = np.arange(1.0, 200.0)
    x, t_x, T = np.array([0.0, 3.0, 40.0]), np.array([0.0, 10.0, 70.0]), np.array([0.0, 30.0, 71.0])
    path = model.expected_transactions(parameters, horizon, x, t_x, T)
    assert path.shape == (3, 199)
    assert (np.diff(path, axis=1) > 0).all()
    assert path[:, [51]] == pytest.approx(model.expected_transactions(parameters, horizon[[51]], x, t_x, T), rel=1e-12)
    assert np.diff(path, axis=1, prepend=0.0).sum(axis=1) == pytest.approx(path[:, -1], rel=1e-12)


@pytest.mark.parametrize("model", MODELS, **by_name)
@settings(max_examples=60, deadline=None)
@given(p=unit_point, x=st.integers(0, 10_000), share=st.floats(0, 1), T=st.floats(1e-2, 11_000))
def test_no_parameters_make_anything_but_finite_numbers(model, p, x, share, T) -> None:
    rows = np.array([float(x)]), np.array([share * T if x else 0.0]), np.array([T])
    alive = model.p_alive(p, *rows)
    expected = model.expected_transactions(p, np.array([1.0, 365.25]), *rows)
    assert np.isfinite(alive).all() and 0 <= alive[0] <= 1
    assert np.isfinite(expected).all() and 0 <= expected[0, 0] <= expected[0, 1]
    # Nobody can buy more than it would without dropping out.
    assert expected[0, 1] <= (p["r"] + x) / (p["alpha"] + T) * 365.25 * (1 + 1e-10)


@pytest.mark.parametrize("model", MODELS, **by_name)
def test_a_base_observed_for_no_time_does_not_converge_and_says_so(model) -> None:
    fit = model.fit(PurchaseHistories([0], [0], [0], [100], 7.0))
    assert not fit.converged and "time" in fit.note and fit.parameters == {}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((-1, 0, 5, 1), "whole number"),
        ((1.5, 2, 5, 1), "whole number"),
        ((2, 6, 5, 1), "between 0 and T"),
        ((0, 2, 5, 1), "exactly where"),
        ((2, 0, 5, 1), "exactly where"),
        ((0, 0, 5, 0), "count"),
        ((0, 0, np.nan, 1), "finite"),
    ],
)
def test_an_impossible_history_is_refused_with_its_row(row, rule) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        PurchaseHistories(*([good, bad] for good, bad in zip((1, 2, 5, 1), row, strict=True)))
    assert "row 1" in str(caught.value)


@pytest.mark.parametrize("unit", [0.0, -7.0, np.nan])
def test_a_unit_that_is_no_length_of_time_is_refused(unit) -> None:
    with pytest.raises(ValueError, match="unit_days"):
        PurchaseHistories.from_days([0], [0], [5], [1], unit)
