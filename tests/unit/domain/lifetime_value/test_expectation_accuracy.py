"""Expectations and P(alive) against mpmath at 150 digits, by two routes that must agree to 30 of them.

The series sums P(K > j) E[survives j tosses] over the would-be transactions K (all terms positive); the other route is the
papers' hypergeometric form. The inputs are the doubles themselves.
"""

import itertools

import mpmath
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import bg_nbd, mbg_nbd
from cvm_pipeline.domain.lifetime_value.alive_expectation import dropout_rule, expected_while_alive

DIGITS = 150
CENTURY = 36_525.0


def hypergeometric(t: float, R: float, A: float, a: float, B: float) -> mpmath.mpf:
    with mpmath.workdps(DIGITS):
        t_, R_, A_, a_, B_ = (mpmath.mpf(v) for v in (t, R, A, a, B))
        if a_ == 1:
            # The singularity at a = 1 is removable: this far from it the value agrees to some 60 digits.
            a_ += mpmath.mpf(10) ** -65
        z = t_ / (A_ + t_)
        f = mpmath.hyp2f1(R_, B_, a_ + B_ - 1, z, maxterms=10**7, maxprec=10**6)
        return (a_ + B_ - 1) / (a_ - 1) * (1 - (1 - z) ** R_ * f)


def series(t: float, R: float, A: float, a: float, B: float) -> mpmath.mpf:
    with mpmath.workdps(DIGITS):
        t_, R_, A_, a_, B_ = (mpmath.mpf(v) for v in (t, R, A, a, B))
        z = t_ / (A_ + t_)
        chance, survives = (1 - z) ** R_, mpmath.mpf(1)
        more, total, j = 1 - chance, mpmath.mpf(0), 0
        while True:
            term = survives * more
            total += term
            j += 1
            if term < total * mpmath.mpf(10) ** -45 and j > R_ * t_ / A_:
                return total
            survives *= (B_ + j - 1) / (a_ + B_ + j - 1)
            chance *= z * (R_ + j - 1) / j
            more -= chance


def alive(t: float, R: float, A: float, a: float, B: float, least_A: float) -> float:
    return float(expected_while_alive(np.array([t]), R, np.array([A]), a, B, least_A)[0, 0])


BOTH_ROUTES = [
    (52.0, 0.5, 6.0, 0.9, 2.6, 6.0),
    (156.0, 27.0, 40.0, 0.79, 30.0, 4.4),
    (52.0, 300.3, 60.0, 1.0, 300.0, 4.0),
    (1.0, 1000.5, 400.0, 1.0 + 1e-9, 1003.0, 3.0),
    (36.0, 5.0, 9.0, 1.0 - 1e-4, 8.0, 2.0),
    (200.0, 1e-3, 900.0, 1e3, 1e-3, 900.0),
    (1 / 24, 1e3, 1e3, 1e-3, 1e3, 1e3),
    (30.0, 500.0, 20.0, 5.0, 300.0, 2.0),
]


@pytest.mark.parametrize("case", BOTH_ROUTES)
def test_expectation_agrees_with_both_exact_routes(case) -> None:
    t, R, A, a, B, least = case
    exact, other = series(t, R, A, a, B), hypergeometric(t, R, A, a, B)
    assert abs(exact / other - 1) < mpmath.mpf(10) ** -30
    assert alive(t, R, A, a, B, least) == pytest.approx(float(exact), rel=1e-12)


def grid() -> list[tuple[float, float, float, float, float, float]]:
    """A seeded draw from the extremes of issue 3: parameters 1e-3..1e3, a at 1 +- little, horizons from an hour to a century."""
    rng = np.random.default_rng(2005)
    near_one = [1.0, 1.0 + 1e-15, 1.0 - 1e-9, 1.0 + 1e-4]
    cases = []
    for i, (x, T, t) in enumerate(
        itertools.product([0.0, 1.0, 30.0, 300.0], [0.0, 365.0, 10_957.0], [1 / 24, 365.25, CENTURY])
    ):
        r, alpha, a, b = 10.0 ** rng.uniform(-3, 3, 4)
        a = near_one[i % 4] if i % 3 == 0 else a
        cases.append((t, r + x, alpha + T, a, b + x, alpha))
    return cases


@pytest.mark.parametrize("case", grid())
def test_expectation_is_right_to_1e_11_over_the_extremes(case) -> None:
    t, R, A, a, B, least = case
    assert alive(t, R, A, a, B, least) == pytest.approx(float(hypergeometric(t, R, A, a, B)), rel=1e-11)


@pytest.mark.parametrize("model", [bg_nbd.MODEL, mbg_nbd.MODEL])
def test_p_alive_is_right_and_nothing_overflows_at_the_extremes(model) -> None:
    x = np.array([0.0, 1.0, 2.0, 60.0, 10_000.0, 10_000.0])
    t_x = np.array([0.0, 1.0, 0.5, 10_957.0, 10_957.0, 10_000.0])
    T = np.array([10_957.0, 10_957.0, 0.5, 10_957.0, 10_957.0, 10_957.0])
    horizons = np.array([0.0, 1 / 24, 365.25, CENTURY])
    for r, alpha, a, b in itertools.product([1e-3, 1.0, 1e3], [1e-3, 1e3], [1e-3, 1.0, 1e3], [1e-3, 1.0, 1e3]):
        parameters = {"r": r, "alpha": alpha, "a": a, "b": b}
        p = model.p_alive(parameters, x, t_x, T)
        expected = model.expected_transactions(parameters, horizons, x, t_x, T)
        assert np.isfinite(expected).all() and (expected >= 0).all() and (expected[:, 0] == 0).all()
        for i in range(x.size):
            exact = exact_p_alive(model, parameters, x[i], t_x[i], T[i])
            if exact > mpmath.mpf(10) ** -290:
                assert p[i] == pytest.approx(float(exact), rel=1e-10)
            else:
                assert 0.0 <= p[i] <= 1e-290


def exact_p_alive(model, parameters: dict[str, float], x: float, t_x: float, T: float) -> mpmath.mpf:
    with mpmath.workdps(DIGITS):
        r, alpha, a, b = (mpmath.mpf(parameters[name]) for name in ("r", "alpha", "a", "b"))
        tosses = int(x) + model.first_toss
        if tosses == 0:
            return mpmath.mpf(1)
        silence = ((alpha + mpmath.mpf(T)) / (alpha + mpmath.mpf(t_x))) ** (r + mpmath.mpf(x))
        return 1 / (1 + a / (b + tosses - 1) * silence)


def test_the_rule_integrates_moments_of_the_beta_exactly() -> None:
    for a, B in itertools.product([1e-3, 0.3, 1.0, 7.0, 1e3], [1e-3, 0.3, 1.0, 7.0, 1e4]):
        p, weight = dropout_rule(a, B, 100.0)
        assert weight.sum() == pytest.approx(1.0, rel=1e-14)
        assert weight @ p == pytest.approx(a / (a + B), rel=1e-11)


def test_mbg_nbd_expects_of_a_new_customer_what_hoppe_and_wagner_derive() -> None:
    r, alpha, a, b, t = 0.5248432, 6.183086, 0.891359, 1.614002, 52.0
    f = mpmath.hyp2f1(r, b + 1, a + b, t / (alpha + t))
    exact = b / (a - 1) * (1 - (alpha / (alpha + t)) ** r * f)
    parameters = {"r": r, "alpha": alpha, "a": a, "b": b}
    assert mbg_nbd.MODEL.unconditional_expectation(parameters, np.array([t]))[0] == pytest.approx(
        float(exact), rel=1e-12
    )
