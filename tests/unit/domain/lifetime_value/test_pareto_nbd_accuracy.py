"""Every Pareto/NBD quantity against mpmath, over the extremes of issue 3."""

from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pytest
from pareto_nbd_exact import DIGITS, Customer

from cvm_pipeline.domain.lifetime_value.pareto_nbd import MODEL, NAMES
from cvm_pipeline.domain.lifetime_value.protocol import Floats

AGREE = mpmath.mpf(10) ** -30
# exp of this is 1e-290.
FAINT = -667.7


@dataclass(frozen=True)
class Case:
    """A point of the grid: parameters, history, horizon, count."""

    parameters: dict[str, float]
    x: float
    t_x: float
    T: float
    t: float
    m: int

    @property
    def row(self) -> tuple[Floats, Floats, Floats]:
        return np.array([self.x]), np.array([self.t_x]), np.array([self.T])

    @property
    def exact(self) -> Customer:
        return Customer.of(*self.parameters.values(), self.x, self.t_x, self.T)


ABOUT_1 = [1.0, *(1.0 + sign * step for step in (1e-15, 1e-9, 1e-4) for sign in (-1.0, 1.0))]


def grid(size: int, seed: int) -> list[Case]:
    """A seeded draw: parameters 1e-3..1e3, s at 1 +- little, alpha at beta +- little, t_x at 0, near and at T."""
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(size):
        r, alpha, s, beta = (float(v) for v in 10.0 ** rng.uniform(-3, 3, 4))
        if i % 3 == 0:
            s = float(rng.choice(ABOUT_1))
        if i % 4 == 1:
            beta = alpha * float(rng.choice(ABOUT_1))
        x = float(rng.choice([0, 1, 2, 30, 300, 3_000, 10_000]))
        T = float(rng.choice([0.5, 30.0, 365.0, 10_957.0]))
        t_x = T * float(rng.choice([1e-3, 0.3, 0.9, 0.999, 1.0])) if x else 0.0
        t = float(rng.choice([1 / 24, 7.0, 365.25, 36_525.0]))
        m = int(rng.choice([0, 1, 2, 9, 60, 700, 10_000]))
        cases.append(Case({"r": r, "alpha": alpha, "s": s, "beta": beta}, x, t_x, T, t, m))
    return cases


def check_death_and_likelihood(case: Case) -> None:
    exact = case.exact.log_p_alive()
    if case.t_x < case.T:
        assert abs(case.exact.log_p_alive(hypergeometric=True) / exact - 1) < AGREE
    assert MODEL.log_p_alive(case.parameters, *case.row)[0] == pytest.approx(float(exact), rel=1e-12, abs=0.0)
    alive = MODEL.p_alive(case.parameters, *case.row)[0]
    if exact > FAINT:
        assert alive == pytest.approx(float(mpmath.exp(exact)), rel=1e-12)
    else:
        assert 0.0 <= alive <= 1e-290
    found = MODEL.log_likelihood_rows(case.parameters, *case.row)[0]
    # Near 0, where L is near 1, the error is that of L: a few roundings of the largest logarithms that are added, which
    # at s = 918 and beta = .001 come to 6,000.
    r, alpha, s, beta = case.parameters.values()
    largest = r * abs(np.log(alpha)) + s * abs(np.log(beta))
    rounding = max(1e-12, 4 * np.finfo(float).eps * largest)
    assert found == pytest.approx(float(case.exact.log_likelihood()), rel=1e-12, abs=rounding)


def check_the_future(case: Case) -> None:
    x, _, T = case.row
    found = MODEL.expected_while_alive(case.parameters, np.array([case.t]), x, T)[0, 0]
    assert found == pytest.approx(float(case.exact.expected_while_alive(case.t)), rel=1e-13)
    exact = case.exact.pmf_while_alive(case.m, case.t)
    if case.m < 10:
        assert abs(case.exact.pmf_while_alive(case.m, case.t, hypergeometric=True) / exact - 1) < AGREE
    chance = MODEL.pmf_while_alive(case.parameters, np.array([float(case.m)]), case.t, x, T)[0, 0]
    if exact > mpmath.mpf(10) ** -290:
        assert chance == pytest.approx(float(exact), rel=1e-11)
    else:
        assert 0.0 <= chance <= 1e-290


def check_the_gradient(case: Case) -> None:
    """By differences so small that only digits limit them; d log L / d log parameter."""
    found = MODEL.gradient_rows(case.parameters, *case.row)[0]
    for name, slope in zip(NAMES, found, strict=True):
        with mpmath.workdps(DIGITS):
            at = getattr(case.exact, name)
            ends = [replace(case.exact, **{name: at * (1 + sign * mpmath.mpf(10) ** -30)}) for sign in (1, -1)]
            up, down = (end.log_likelihood(hypergeometric=True) for end in ends)
            exact = (up - down) / (2 * mpmath.mpf(10) ** -30)
        assert slope * case.parameters[name] == pytest.approx(float(exact), rel=1e-11, abs=1e-14)


def test_death_and_likelihood_are_right_to_1e_12_by_both_routes() -> None:
    for case in grid(14, 1959):
        check_death_and_likelihood(case)


def test_the_future_is_right_to_1e_11_by_both_routes() -> None:
    for case in grid(14, 2020):
        check_the_future(case)


def test_the_gradient_is_right_to_1e_11() -> None:
    for case in grid(10, 2005):
        check_the_gradient(case)


def test_the_infinite_horizon_is_tricomis_function() -> None:
    for case in grid(8, 7):
        x, _, T = case.row
        for rate in (1e-5, 3e-4, 0.1):
            exact = case.exact.residual_while_alive(rate)
            assert MODEL.residual_while_alive(case.parameters, rate, x, T)[0] == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_the_whole_grid_is_right(seed) -> None:
    for case in grid(60, 10_000 + seed):
        check_death_and_likelihood(case)
        check_the_future(case)
        check_the_gradient(case)


def test_no_parameters_make_anything_but_finite_numbers() -> None:
    rng = np.random.default_rng(3)
    x = np.array([0.0, 0.0, 1.0, 2.0, 60.0, 10_000.0, 10_000.0, 10_000.0])
    t_x = np.array([0.0, 0.0, 1e-3, 0.5, 10_957.0, 1e-3, 10_000.0, 10_957.0])
    T = np.array([0.0, 10_957.0, 10_957.0, 0.5, 10_957.0, 10_957.0, 10_957.0, 10_957.0])
    counts = np.array([0.0, 1.0, 7.0, 300.0, 10_000.0])
    for p in [*np.array(np.meshgrid(*[[1e-3, 1.0, 1e3]] * 4)).reshape(4, -1).T, *10.0 ** rng.uniform(-3, 3, (40, 4))]:
        parameters = dict(zip(NAMES, p, strict=True))
        alive = MODEL.p_alive(parameters, x, t_x, T)
        expected = MODEL.expected_while_alive(parameters, np.array([0.0, 1 / 24, 365.25, 36_525.0]), x, T)
        assert ((alive >= 0) & (alive <= 1)).all()
        assert np.isfinite(expected).all() and (expected[:, 0] == 0).all() and (np.diff(expected, axis=1) >= 0).all()
        assert np.isfinite(MODEL.log_likelihood_rows(parameters, x, t_x, T)).all()
        assert np.isfinite(MODEL.log_p_alive(parameters, x, t_x, T)).all()
        assert np.isfinite(MODEL.gradient_rows(parameters, x, t_x, T)).all()
        chance = MODEL.pmf_while_alive(parameters, counts, 36_525.0, x, T)
        assert ((chance >= 0) & (chance <= 1 + 1e-12)).all()
        assert np.isfinite(MODEL.residual_while_alive(parameters, 1e-4, x, T)).all()
