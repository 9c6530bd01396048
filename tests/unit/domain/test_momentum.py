"""Momentum: the posterior against simulation, against a fine integral, and in its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from cvm_pipeline.domain.momentum import Prior, Window, probability_of_rise

# CDNOW: BG/NBD in weeks turned into days, and Gamma-Gamma.
CDNOW = Prior(r=0.2426, alpha=4.4136 * 7, p=6.25, q=3.74, v=15.44)
counts = st.integers(0, 80)
sales = st.floats(0, 5_000)


def window(transactions: float, sales: float, days: float = 365) -> Window:
    return Window(np.array([transactions], float), np.array([sales], float), np.array([days], float))


def simulated(earlier: Window, later: Window, prior: Prior, draws: int) -> float:
    rng = np.random.default_rng(11)
    product = []
    for each in (earlier, later):
        rate = rng.gamma(prior.r + each.transactions[0], 1 / (prior.alpha + each.days[0]), draws)
        nu = rng.gamma(prior.p * each.transactions[0] + prior.q, 1 / (prior.v + each.sales[0]), draws)
        product.append(rate * prior.p / nu)
    return float((product[1] > product[0]).mean())


@pytest.mark.parametrize(
    ("earlier", "later", "prior"),
    [
        ((2, 60, 365), (5, 220, 365), CDNOW),
        ((0, 0, 365), (1, 35, 365), CDNOW),
        ((0, 0, 366), (0, 0, 365), CDNOW),
        ((12, 400, 100), (9, 500, 100), CDNOW),
        ((60, 2_000, 365), (75, 2_600, 365), CDNOW),
        ((1, 900, 40), (2, 15, 40), Prior(0.6, 200, 0.4, 1.2, 60)),
        ((0, 0, 365), (3, 80, 365), Prior(0.05, 30, 0.2, 0.6, 9)),
        ((30, 500, 365), (31, 400, 365), Prior(0.05, 30, 0.1, 0.3, 9)),
    ],
)
def test_the_probability_is_that_of_simulation(earlier: tuple, later: tuple, prior: Prior) -> None:
    found = probability_of_rise(window(*earlier), window(*later), prior)[0]
    # Four standard errors of a million draws.
    assert found == pytest.approx(simulated(window(*earlier), window(*later), prior, 1_000_000), abs=2e-3)


@settings(max_examples=40, deadline=None)
@given(counts, counts, sales, sales, st.floats(0.1, 3), st.floats(0.3, 12), st.floats(0.6, 12))
def test_the_probability_is_that_of_a_fine_integral(
    n1: int, n2: int, s1: float, s2: float, r: float, p: float, q: float
) -> None:
    prior = Prior(r, 60.0, p, q, 20.0)
    c1, c2 = p * n1 + q, p * n2 + q
    k = (prior.v + s1) / (prior.v + s2)
    # The mean over 40,000 equally likely values of the ratio of spend.
    fall = special.betaincinv(c1, c2, (np.arange(40_000) + 0.5) / 40_000)
    exact = special.betainc(r + n1, r + n2, fall / (fall + k * (1 - fall))).mean()
    assert probability_of_rise(window(n1, s1), window(n2, s2), prior)[0] == pytest.approx(exact, abs=1e-3)


@settings(deadline=None)
@given(counts, counts, sales, sales, st.floats(10, 800), st.floats(10, 800))
def test_rise_and_fall_are_all_there_is(n1: int, n2: int, s1: float, s2: float, d1: float, d2: float) -> None:
    there = probability_of_rise(window(n1, s1, d1), window(n2, s2, d2), CDNOW)[0]
    back = probability_of_rise(window(n2, s2, d2), window(n1, s1, d1), CDNOW)[0]
    assert 0 <= there <= 1
    assert there + back == pytest.approx(1, abs=1e-3)


@settings(deadline=None)
@given(counts, sales)
def test_equal_windows_are_a_toss(transactions: int, spent: float) -> None:
    same = window(transactions, spent)
    assert probability_of_rise(same, same, CDNOW)[0] == pytest.approx(0.5, abs=1e-3)


def test_more_transactions_and_more_spend_make_a_rise_likelier() -> None:
    n = 12
    more_often = Window(np.arange(n, dtype=float), np.arange(n) * 35.0, np.full(n, 365.0))
    still = Window(np.full(n, 4.0), np.full(n, 140.0), np.full(n, 365.0))
    dearer = Window(np.full(n, 4.0), 50.0 + 40 * np.arange(n), np.full(n, 365.0))
    assert (np.diff(probability_of_rise(still, more_often, CDNOW)) > 0).all()
    assert (np.diff(probability_of_rise(still, dearer, CDNOW)) > 0).all()


def test_without_a_model_of_spend_the_rate_decides() -> None:
    prior = Prior(0.5, 30.0)
    found = probability_of_rise(window(2, 1e9, 100), window(5, 0, 100), prior)[0]
    assert found == pytest.approx(float(stats.beta(5.5, 2.5).sf(0.5)), abs=1e-12)
    # A certain spend is the limit of ever surer ones.
    surer = Prior(0.5, 30.0, 1.0, 1e6, 1e6)
    assert probability_of_rise(window(0, 0, 100), window(1, 1, 100), surer)[0] == pytest.approx(
        probability_of_rise(window(0, 0, 100), window(1, 1, 100), prior)[0], abs=2e-3
    )


def test_sales_below_zero_count_as_none_and_stay_finite() -> None:
    found = probability_of_rise(window(3, -500), window(3, 100), CDNOW)
    assert found == probability_of_rise(window(3, 0), window(3, 100), CDNOW)


def test_rows_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(5)
    n = 300
    days = np.full(n, 365.0)
    earlier, later = (Window(rng.integers(0, 9, n) * 1.0, rng.uniform(0, 300, n), days) for _ in range(2))
    whole = probability_of_rise(earlier, later, CDNOW)
    one = [
        probability_of_rise(*(window(each.transactions[i], each.sales[i], 365.0) for each in (earlier, later)), CDNOW)[
            0
        ]
        for i in range(n)
    ]
    np.testing.assert_allclose(whole, one, atol=1e-14)
