"""Probabilities of the negative binomial against mpmath at 60 digits; the inputs are the doubles themselves."""

import mpmath
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial

Case = tuple[float, float, float, float]


def exact_log_pmf(n: float, R: float, t: float, A: float) -> mpmath.mpf:
    with mpmath.workdps(60):
        n_, R_, t_, A_ = map(mpmath.mpf, (n, R, t, A))
        choices = mpmath.loggamma(R_ + n_) - mpmath.loggamma(R_) - mpmath.loggamma(n_ + 1)
        return choices + R_ * mpmath.log(A_ / (A_ + t_)) + n_ * mpmath.log(t_ / (A_ + t_))


def exact_survival(n: float, R: float, t: float, A: float) -> mpmath.mpf:
    """The upper tail's own sum, or 1 less the lower one's, whichever is the smaller part."""
    with mpmath.workdps(60):
        R_, t_, A_ = map(mpmath.mpf, (R, t, A))
        z, k = t_ / (A_ + t_), int(n)
        term, total = mpmath.exp(exact_log_pmf(n, R, t, A)), mpmath.mpf(0)
        if n > R * t / A:
            while term > total * mpmath.mpf(10) ** -40:
                total += term
                term *= z * (R_ + k) / (k + 1)
                k += 1
            return total
        while k > 0:
            term *= k / (z * (R_ + k - 1))
            k -= 1
            total += term
        return 1 - total


def draws(size: int, most: float) -> list[Case]:
    """Shapes 1e-3..2e4; counts from 0 to 35 standard deviations above the mean, where it is at most `most`."""
    rng = np.random.default_rng(2000)
    cases: list[Case] = []
    while len(cases) < size:
        R, A, t = 10.0 ** rng.uniform([-3, -3, -1.4], [4.3, 4.1, 4.6])
        mean = R * t / A
        n = mean + rng.uniform(-10, 35) * np.sqrt(mean * (1 + t / A)) if len(cases) % 2 else 10.0 ** rng.uniform(0, 6)
        n = float(np.round(max(n, 0.0)))
        if max(n, mean) < most:
            cases.append((n, R, t, A))
    return cases


def test_the_probability_is_right_to_2e_12_and_its_logarithm_where_it_underflows() -> None:
    cases = draws(1500, 1e9)
    assert sum(negative_binomial.pmf(*np.array(cases).T) == 0.0) > 100
    for case, log_chance in zip(cases, negative_binomial.log_pmf(*np.array(cases).T), strict=True):
        exact = exact_log_pmf(*case)
        if exact > -667:
            assert abs(mpmath.expm1(mpmath.mpf(log_chance) - exact)) < 2e-12, case
        else:
            assert log_chance == pytest.approx(float(exact), rel=1e-13), case


def test_the_survival_function_is_right_to_1e_12() -> None:
    cases = draws(60, 5e2)
    for case, chance in zip(cases, negative_binomial.survival(*np.array(cases).T), strict=True):
        exact = exact_survival(*case)
        if exact > 1e-290:
            assert chance == pytest.approx(float(exact), rel=1e-12), case
        else:
            assert 0.0 <= chance <= 1e-290, case


def test_probabilities_add_up_to_the_survival_function() -> None:
    n = np.arange(0.0, 4000.0)
    chance = negative_binomial.pmf(n, 0.7, 30.0, 2.0)
    beyond = negative_binomial.survival(n, 0.7, 30.0, 2.0)
    assert beyond[0] == 1.0
    assert 1.0 - np.cumsum(chance)[:-1] == pytest.approx(beyond[1:], abs=1e-14)
    assert (n * chance).sum() == pytest.approx(0.7 * 30.0 / 2.0, rel=1e-12)


def test_in_no_time_nobody_buys() -> None:
    assert negative_binomial.pmf([0.0, 1.0, 7.0], 0.5, 0.0, 3.0).tolist() == [1.0, 0.0, 0.0]
    assert negative_binomial.survival([0.0, 1.0, 7.0], 0.5, 0.0, 3.0).tolist() == [1.0, 0.0, 0.0]


def test_arguments_broadcast_and_a_number_alone_stays_one() -> None:
    rows = negative_binomial.pmf([[0.0], [2.0]], [0.5, 1.5, 2.5], 4.0, 3.0)
    assert rows.shape == (2, 3)
    assert negative_binomial.pmf(2.0, 1.5, 4.0, 3.0).shape == ()
    assert rows[1, 1] == negative_binomial.pmf(2.0, 1.5, 4.0, 3.0)
