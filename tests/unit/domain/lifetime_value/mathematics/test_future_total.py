"""The total of m transactions to come: its distribution function against mpmath, its moments, what Spend gives it."""

import mpmath as mp
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.gamma_gamma import fit
from cvm_pipeline.domain.lifetime_value.mathematics.future_total import total_cdf, total_mean, total_variance
from cvm_pipeline.domain.lifetime_value.spend import Spend, fit_spend

PAPER = {"p": 6.25, "q": 3.74, "v": 15.44}


def by_fraction(a: mp.mpf, b: mp.mpf, x: mp.mpf) -> mp.mpf:
    """I(x; a, b) for x below its mean, by Lentz's continued fraction."""
    bottom = 1 / (1 - (a + b) * x / (a + 1))
    top, result, i = mp.mpf(1), bottom, 0
    while True:
        i += 1
        for of in (
            i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i)),
            -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1)),
        ):
            bottom, top = 1 / (1 + of * bottom), 1 + of / top
            result *= bottom * top
        if abs(bottom * top - 1) < mp.mpf(10) ** -40:
            break
    log = a * mp.log(x) + b * mp.log1p(-x) + mp.loggamma(a + b) - mp.loggamma(a + 1) - mp.loggamma(b)
    return mp.exp(log) * result


def exact(ratio: float, count: float, p: float, q: float) -> mp.mpf:
    a, y = mp.mpf(p) * mp.mpf(count), mp.mpf(ratio)
    if np.isinf(q):
        term, n = 1 / a, a
        total = term
        while term > total * mp.mpf(10) ** -40:
            n += 1
            term *= y / n
            total += term
        return total * mp.exp(-y + a * mp.log(y) - mp.loggamma(a))
    b = mp.mpf(q)
    x, rest = y / (1 + y), 1 / (1 + y)
    return by_fraction(a, b, x) if x < (a + 1) / (a + b + 2) else 1 - by_fraction(b, a, rest)


def points() -> list[tuple[float, float, float, float]]:
    """(ratio, count, p, q): from the deep lower tail to the upper one, from one transaction to ten thousand."""
    found = []
    for p in (1e-3, 0.7, 6.25, 1e3):
        for q in (1e-3, 1.0, 3.74, 1e3, 1e6, np.inf):
            for count in (1.0, 13.0, 10_000.0):
                a = p * count
                middle = a if np.isinf(q) else a / q
                spread = np.sqrt(1 / a + (0 if np.isinf(q) else 1 / q))
                found += [
                    (middle * np.exp(k * min(spread, 3.0 if np.isinf(q) else 20.0)), count, p, q)
                    for k in (-6.0, -1.0, 0.1, 2.0)
                ]
    return found


def test_the_distribution_function_is_right_to_ten_digits() -> None:
    checked = 0
    with mp.workdps(60):
        for ratio, count, p, q in points():
            true = exact(ratio, count, p, q)
            if true > mp.mpf(10) ** -290:
                assert abs(float(total_cdf(ratio, count, p, q)) / true - 1) <= 1e-10, (ratio, count, p, q)
                checked += 1
    assert checked > 250


def test_nothing_bought_is_a_total_of_nothing() -> None:
    found = total_cdf(np.array([-1.0, 0.0, 1.0, np.inf]), np.array([[0.0], [2.0]]), 6.25, 3.74)
    assert found[0].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert found[1, :2].tolist() == [0.0, 0.0] and 0 < found[1, 2] < 1 and found[1, 3] == 1.0
    assert total_mean(0.0, 6.25, 0.5, 10.0) == 0.0 and total_variance(0.0, 6.25, 0.5, 10.0) == 0.0


def test_it_broadcasts_and_each_value_is_the_same_by_itself() -> None:
    ratio, count = np.array([[0.2], [1.0], [7.0]]), np.array([1.0, 2.0, 30.0, 0.0])
    for q in (3.74, np.inf, np.array([0.5, 2.0, np.inf, 9.0])):
        whole = total_cdf(ratio, count, 6.25, q)
        each = [
            [total_cdf(r, m, 6.25, b) for m, b in zip(count, np.broadcast_to(q, 4), strict=True)] for r in ratio[:, 0]
        ]
        assert whole.shape == (3, 4) and np.array_equal(whole, np.array(each))


@pytest.mark.parametrize("q", [3.74, 40.0, np.inf])
def test_moments_are_those_of_the_distribution(q) -> None:
    p, count, scale = 6.25, 3.0, 15.44
    y = np.geomspace(1e-7, 1e5, 100_001)
    above = 1.0 - total_cdf(y, count, p, q)
    first, second = (np.trapezoid(k * y ** (k - 1) * above, y) for k in (1, 2))
    assert total_mean(count, p, q, scale) == pytest.approx(scale * first, rel=1e-4)
    assert total_variance(count, p, q, scale) == pytest.approx(scale**2 * (second - first**2), rel=5e-3)


def test_a_tail_without_mean_or_variance_is_given_as_that_and_keeps_its_quantiles() -> None:
    assert total_mean(2.0, 6.25, 1.0, 3.0) == np.inf and np.isfinite(total_mean(2.0, 6.25, 1.01, 3.0))
    assert total_variance(2.0, 6.25, 2.0, 3.0) == np.inf and np.isfinite(total_variance(2.0, 6.25, 2.01, 3.0))
    assert 0.9 < total_cdf(1e4, 2.0, 6.25, 0.5) < 1.0


def spends() -> dict[str, Spend]:
    fitted = fit([1.0, 2.0, 3.0], [10.0, 20.0, 15.0])
    by_frequency = {**PAPER, "kappa": 0.3}
    use = {
        name: type(fitted)(given, {}, None, 3.0, True, None)
        for name, given in (("paper", PAPER), ("kappa", by_frequency))
    }
    return {
        "paper": Spend(use["paper"], 30.0, False),
        "kappa": Spend(use["paper"], 30.0, False, by_frequency=use["kappa"]),
        "fallback": Spend(use["paper"], 30.0, True, shape=0.8),
        "q next to 1": Spend(type(fitted)({**PAPER, "q": 1.0 + 1e-6}, {}, None, 3.0, True, None), 30.0, False),
    }


@pytest.mark.parametrize("kind", list(spends()))
def test_the_total_of_m_is_m_times_what_one_is_expected_to_be(kind) -> None:
    spend = spends()[kind]
    x = np.array([0.0, 1.0, 1.0, 4.0, 4.0, 300.0])
    sales = np.array([0.0, 25.0, -60.0, 0.0, 120.0, 9000.0])
    p, q, scale = spend.shapes(x, sales)
    for count in (1.0, 5.0, 40.0):
        assert total_mean(count, p, q, scale) == pytest.approx(count * spend.expected(x, sales), rel=1e-9)
    _, again, _ = spend.shapes(x, np.zeros_like(x))
    assert np.array_equal(q, again)


@pytest.mark.parametrize("kappa", [0.0, 0.3])
def test_a_simulated_customers_total_falls_where_the_distribution_says(kappa) -> None:
    rng = np.random.default_rng(7)
    parameters = {**PAPER, "kappa": kappa}
    p, q, v = PAPER.values()
    # Of many who bought x = 2 times those whose mean is near 12, under the prior of who buys again.
    nu = rng.gamma(q, 1.0 / (v * 3.0**kappa), 3_000_000)
    sales = rng.gamma(2 * p, 1.0 / nu)
    alike = np.abs(sales - 24.0) < 0.5
    to_come = rng.gamma(4 * p, 1.0 / nu[alike])
    fitted = fit([1.0, 2.0, 3.0], [10.0, 20.0, 15.0])
    spend = Spend(fitted, 30.0, False, by_frequency=type(fitted)(parameters, {}, None, 1.0, True, None))
    shape, b, scale = spend.shapes(np.array([2.0]), np.array([24.0]))
    below = total_cdf(to_come / scale, 4.0, shape, b)
    assert to_come.size > 10_000
    share = np.histogram(below, bins=10, range=(0, 1))[0] / below.size
    assert np.max(np.abs(share - 0.1)) < 0.012
    assert to_come.mean() == pytest.approx(4 * spend.expected(np.array([2.0]), np.array([24.0]))[0], rel=0.01)


def test_without_a_model_a_transactions_spread_is_the_bases_own() -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(1, 9, 19).astype(float)
    found = [fit_spend(x, rng.gamma(x / 0.25) * 10.0, np.ones(19), 40.0).shape for _ in range(400)]
    # cv^2 = 1/4 for 18 degrees of freedom, and one customer's worth of 1.
    assert np.mean(1.0 / np.array(found)) == pytest.approx((18 * 0.25 + 1.0) / 19, rel=0.05)
    alone = np.array([3.0]), np.array([60.0]), np.ones(1)
    nobody = np.zeros(2), np.zeros(2), np.ones(2)
    assert fit_spend(*alone, 20.0).shape == 1.0 and fit_spend(*nobody, 20.0).shape == 1.0


def test_spread_does_not_depend_on_currency_order_or_grouping() -> None:
    x, sales, n = np.array([1.0, 2.0, 3.0, 2.0]), np.array([10.0, 50.0, 20.0, 50.0]), np.ones(4)
    shape = fit_spend(x, sales, n, 20.0).shape
    assert fit_spend(x, 100.0 * sales, n, 2000.0).shape == pytest.approx(shape, rel=1e-12)
    assert fit_spend(x[::-1], sales[::-1], n, 20.0).shape == shape
    assert fit_spend(x[:3], sales[:3], np.array([1.0, 2.0, 1.0]), 20.0).shape == pytest.approx(shape, rel=1e-12)
