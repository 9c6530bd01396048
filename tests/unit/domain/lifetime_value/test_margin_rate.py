"""Margin rates: own, shrunk to the base's by empirical Bayes, or configured."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import margin
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters, MarginSums


def simulated(tau: float, sigma: float, n: int = 50_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    revenue = rng.gamma(1.5, 200.0, n) + 5.0
    true = rng.normal(0.4, tau, n)
    return true, revenue * (true + rng.normal(0.0, sigma, n) / np.sqrt(revenue)), revenue


def fitted(own: np.ndarray, revenue: np.ndarray, configured: float = 1.0) -> MarginParameters:
    total = float(revenue.sum())
    return margin.fit(MarginSums.of(own, revenue), configured, total, total)


def test_both_variances_are_recovered() -> None:
    _, own, revenue = simulated(tau=0.1, sigma=1.5)
    found = fitted(own, revenue)
    assert found.rate == pytest.approx(0.4, abs=0.005)
    assert found.tau2 == pytest.approx(0.01, rel=0.05)
    assert found.sigma2 == pytest.approx(2.25, rel=0.05)
    assert not found.fallback


def test_shrunk_rates_are_nearer_the_truth_than_own_or_base() -> None:
    true, own, revenue = simulated(tau=0.1, sigma=1.5)
    found = fitted(own, revenue)
    error = [np.mean((rate - true) ** 2) for rate in (margin.score(own, revenue, found), own / revenue, found.rate)]
    assert error[0] < 0.8 * min(error[1:])


def test_a_large_customer_keeps_its_own_rate_and_a_small_one_gets_the_bases() -> None:
    found = MarginParameters(rate=0.3, tau2=0.01, sigma2=2.0, customers=100, fallback=False)
    rates = margin.score(np.array([0.6e7, 0.6e-3]), np.array([1e7, 1e-3]), found)
    assert rates == pytest.approx([0.6, 0.3], abs=1e-4)


def test_equal_margins_give_everybody_the_base_rate() -> None:
    revenue = np.array([10.0, 200.0, 35.5, 1e6])
    found = fitted(0.4 * revenue, revenue)
    assert (found.tau2, found.sigma2) == (0.0, 0.0)
    assert margin.score(0.4 * revenue, revenue, found) == pytest.approx(np.full(4, 0.4))


def test_equal_revenues_can_not_tell_rate_from_noise() -> None:
    found = fitted(np.array([10.0, 30.0, 50.0]), np.full(3, 100.0))
    assert found.tau2 == 0.0 and "equal revenues" in found.note
    assert margin.score(np.array([50.0]), np.array([100.0]), found) == pytest.approx([0.3])


def test_pure_noise_and_pure_difference_stay_within_their_bounds() -> None:
    for tau, sigma in [(0.0, 2.0), (0.2, 0.0)]:
        _, own, revenue = simulated(tau, sigma, 2_000)
        found = fitted(own, revenue)
        assert found.tau2 >= 0 and found.sigma2 >= 0
        assert found.tau2 == pytest.approx(tau**2, abs=2e-3)
        assert np.isfinite(margin.score(own, revenue, found)).all()


def test_uncovered_costs_take_the_configured_rate() -> None:
    sums = MarginSums.of([10.0, 90.0], [100.0, 150.0])
    found = margin.fit(sums, 0.25, cost_covered_revenue=199.0, revenue=250.0)
    assert found.fallback and found.rate == 0.25 and "80%" in found.note
    assert (margin.score(np.array([10.0, 90.0]), np.array([100.0, 150.0]), found) == 0.25).all()
    assert not margin.fit(sums, 0.25, cost_covered_revenue=200.0, revenue=250.0).fallback


@pytest.mark.parametrize("revenue", [0.0, -100.0])
def test_a_base_without_revenue_takes_the_configured_rate(revenue) -> None:
    found = margin.fit(MarginSums(), 0.5, 0.0, revenue)
    assert found.fallback and found.rate == 0.5


def test_customers_without_revenue_are_left_out_of_the_sums_and_get_the_base_rate() -> None:
    sums = MarginSums.of([40.0, -5.0, 8.0, -3.0], [100.0, -50.0, 10.0, 0.0])
    assert (sums.customers, sums.revenue, sums.margin) == (2.0, 110.0, 48.0)
    found = MarginParameters(0.3, 0.01, 2.0, 2, False)
    assert margin.score(np.array([-5.0, -3.0]), np.array([-50.0, 0.0]), found) == pytest.approx([0.3, 0.3])


def test_one_customer_is_the_base() -> None:
    found = fitted(np.array([30.0]), np.array([100.0]))
    assert found.rate == pytest.approx(0.3) and not found.fallback
    assert margin.score(np.array([30.0]), np.array([100.0]), found) == pytest.approx([0.3])


def test_margin_in_cents_gives_the_same_rates() -> None:
    _, own, revenue = simulated(tau=0.1, sigma=1.5, n=500)
    whole, cents = fitted(own, revenue), fitted(own * 100, revenue * 100)
    scored = margin.score(own * 100, revenue * 100, cents)
    assert scored == pytest.approx(margin.score(own, revenue, whole), rel=1e-9)


def test_a_configured_rate_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        margin.fit(MarginSums(), float("nan"), 0.0, 0.0)
