"""The scaled exponential integral against mpmath, by two routes: the v-integral by panels, and Legendre's continued fraction."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain.lifetime_value.mathematics.exponential_integral import scaled_exponential_integral

DIGITS = 50


def by_quadrature(order: float, x: float) -> mpmath.mpf:
    with mpmath.workdps(DIGITS):
        n, at = mpmath.mpf(order), mpmath.mpf(x)
        cut = mpmath.log1p(100 / at)
        for _ in range(15):
            cut -= (at * mpmath.expm1(cut) + (n - 1) * cut - 100) / (at * mpmath.exp(cut) + n - 1)
        panels = mpmath.linspace(0, cut, 8 + int(2 * cut))
        return mpmath.quad(lambda v: mpmath.exp(-at * mpmath.expm1(v) - (n - 1) * v), panels)


def by_continued_fraction(order: float, x: float) -> mpmath.mpf:
    """DLMF 8.19.17, contracted; slow where x is small."""
    with mpmath.workdps(DIGITS):
        n, at = mpmath.mpf(order), mpmath.mpf(x)
        tail = mpmath.mpf(0)
        for k in range(4_000, 0, -1):
            tail = k * (n + k - 1) / (at + n + 2 * k - tail)
        return 1 / (at + n - tail)


def grid(size: int, seed: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    orders = 10.0 ** rng.uniform(-3, np.log10(2e4), size)
    x = 10.0 ** rng.uniform(-9, 9, size)
    orders[::4] = np.resize(1.0 + np.array([0, 1e-15, -1e-9, 1e-4]), orders[::4].size)
    orders[1::6] = np.round(orders[1::6]) + 1.0
    x[2::5] = 10.0 ** rng.uniform(-1, 1, x[2::5].size)
    return list(zip(orders, x, strict=True))


def worst_error(cases: list[tuple[float, float]]) -> float:
    worst = 0.0
    for order, x in cases:
        exact = by_quadrature(order, x)
        if x > 0.5:
            assert abs(by_continued_fraction(order, x) / exact - 1) < mpmath.mpf(10) ** -30
        worst = max(worst, abs(float(scaled_exponential_integral(order, x) / exact - 1)))
    return worst


def test_it_is_right_to_1e_14_by_both_routes() -> None:
    assert worst_error(grid(24, 1)) < 1e-14


@pytest.mark.long
def test_it_is_right_to_1e_14_over_the_whole_grid() -> None:
    assert worst_error(grid(600, 2)) < 1e-14


def test_it_is_mpmaths_exponential_integral() -> None:
    for order, x in [(1.0, 0.3), (2.0, 1.0), (0.41, 0.24), (3.5, 8.0)]:
        exact = mpmath.exp(x) * mpmath.expint(order, x)
        assert float(scaled_exponential_integral(order, x)) == pytest.approx(float(exact), rel=1e-13)


def test_arrays_broadcast_and_no_element_depends_on_its_neighbours() -> None:
    orders, x = np.array([0.5, 1.0, 40.0])[:, None], np.geomspace(1e-9, 1e9, 7_001)
    table = scaled_exponential_integral(orders, x)
    assert table.shape == (3, 7_001)
    assert table[1, 17] == scaled_exponential_integral(1.0, x[17])
    assert (table[:, 123] == scaled_exponential_integral(orders[:, 0], x[123])).all()


@settings(max_examples=100, deadline=None)
@given(n=st.floats(1e-3, 2e4), log_x=st.floats(-290, 290))
def test_it_keeps_its_bounds_and_its_recurrence(n, log_x) -> None:
    x = 10.0**log_x
    value, after = scaled_exponential_integral(n, x), scaled_exponential_integral(n + 1.0, x)
    # DLMF 8.19.21 and 8.19.12.
    assert 1.0 / (x + n) * (1 - 1e-13) <= value <= 1.0 / x * (1 + 1e-13)
    assert n * after + x * value == pytest.approx(1.0, rel=1e-12)
