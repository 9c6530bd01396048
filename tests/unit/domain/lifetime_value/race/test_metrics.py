"""Measures of a forecast: against scipy, against brute force, and at their edges."""

import numpy as np
import pytest
from scipy import stats

from cvm_pipeline.domain.lifetime_value.race import metrics

RNG = np.random.Generator(np.random.PCG64(5))
ACTUAL = RNG.poisson(RNG.gamma(0.5, 2.0, 400)).astype(float)
PREDICTED = np.round(ACTUAL * RNG.gamma(4.0, 0.25, 400) + RNG.gamma(1.0, 0.2, 400), 1)


def brute_capture(predicted: np.ndarray, actual: np.ndarray, tries: int = 4000) -> float:
    """The mean over random orders of ties of what the first fifth holds."""
    rng = np.random.Generator(np.random.PCG64(0))
    held = round(0.2 * predicted.size)
    found = [
        actual[np.lexsort((rng.random(predicted.size), -predicted))[:held]].sum() / actual.sum() for _ in range(tries)
    ]
    return float(np.mean(found))


def test_spearman_is_scipys() -> None:
    assert metrics.spearman(PREDICTED, ACTUAL) == pytest.approx(stats.spearmanr(PREDICTED, ACTUAL)[0], abs=1e-12)


def test_capture_averages_ties() -> None:
    coarse = np.round(PREDICTED)
    # The standard error of the brute mean over 4,000 orders is about 1e-4.
    assert metrics.capture(coarse, ACTUAL) == pytest.approx(brute_capture(coarse, ACTUAL), abs=6e-4)
    assert metrics.capture(np.ones(400), ACTUAL) == pytest.approx(0.2)


def test_gini_is_one_for_the_perfect_order_and_none_for_no_order() -> None:
    assert metrics.normalised_gini(ACTUAL, ACTUAL) == pytest.approx(1.0)
    assert metrics.normalised_gini(np.ones(400), ACTUAL) == pytest.approx(0.0, abs=1e-12)
    assert metrics.normalised_gini(-ACTUAL, ACTUAL) == pytest.approx(-1.0)


def test_poisson_deviance_is_twice_the_gap_to_the_saturated_likelihood() -> None:
    mu = np.maximum(PREDICTED, metrics.LEAST_FORECAST)
    gap = stats.poisson.logpmf(ACTUAL, np.maximum(ACTUAL, 1e-300)) - stats.poisson.logpmf(ACTUAL, mu)
    assert metrics.poisson_deviance(PREDICTED, ACTUAL) == pytest.approx(2.0 * gap.mean(), rel=1e-12)


def test_a_forecast_of_nothing_has_a_finite_deviance() -> None:
    assert np.isfinite(metrics.poisson_deviance(np.zeros(3), np.array([0.0, 1.0, 40.0])))
    with pytest.raises(ValueError, match="negative"):
        metrics.poisson_deviance(np.ones(1), np.array([-1.0]))


@pytest.mark.parametrize("name", [*metrics.OF_COUNTS, *metrics.OF_VALUE])
def test_the_order_of_customers_is_no_matter(name: str) -> None:
    function = {**metrics.OF_COUNTS, **metrics.OF_VALUE}[name]
    order = RNG.permutation(ACTUAL.size)
    assert function(PREDICTED[order], ACTUAL[order]) == pytest.approx(function(PREDICTED, ACTUAL), rel=1e-12)


@pytest.mark.parametrize("name", [*metrics.OF_COUNTS, *metrics.OF_VALUE])
def test_nobody_gives_no_number(name: str) -> None:
    function = {**metrics.OF_COUNTS, **metrics.OF_VALUE}[name]
    assert np.isnan(function(np.zeros(0), np.zeros(0)))


def test_deciles_do_not_depend_on_order_within_ties() -> None:
    coarse = np.round(PREDICTED)
    order = RNG.permutation(ACTUAL.size)
    np.testing.assert_allclose(
        metrics.deciles(coarse[order], ACTUAL[order]), metrics.deciles(coarse, ACTUAL), rtol=1e-12
    )
    assert len(metrics.deciles(coarse, ACTUAL)) == 10
    assert metrics.deciles(coarse[:9], ACTUAL[:9]) == []


def test_interval_score_is_least_at_the_true_quantiles() -> None:
    y = RNG.normal(size=20_000)
    true = stats.norm.ppf([0.1, 0.9])
    exact = metrics.interval_score(np.full(y.size, true[0]), np.full(y.size, true[1]), y)
    for low, high in ((-0.8, 0.8), (-2.0, 2.0), (0.0, 3.0)):
        assert exact < metrics.interval_score(np.full(y.size, low), np.full(y.size, high), y)
    assert metrics.coverage(np.full(y.size, true[0]), np.full(y.size, true[1]), y) == pytest.approx(0.8, abs=0.01)
    # The score of two quantiles: half the interval score's tails at 10 %, by definition.
    assert metrics.quantile_crps(np.full(y.size, true[0]), np.full(y.size, true[1]), y) == pytest.approx(0.1 * exact)


def test_standard_errors_are_those_of_resampling() -> None:
    rng = np.random.Generator(np.random.PCG64(9))
    draws = [rng.integers(0, ACTUAL.size, ACTUAL.size) for _ in range(1500)]
    rmse = np.std([metrics.rmse(PREDICTED[d], ACTUAL[d]) for d in draws])
    total = np.std([metrics.total_error(PREDICTED[d], ACTUAL[d]) for d in draws])
    # A bootstrap of 1,500 knows its own spread to 2 %; the delta method is first order.
    assert metrics.rmse_standard_error(PREDICTED, ACTUAL) == pytest.approx(rmse, rel=0.1)
    assert metrics.total_error_standard_error(PREDICTED, ACTUAL) == pytest.approx(total, rel=0.1)
