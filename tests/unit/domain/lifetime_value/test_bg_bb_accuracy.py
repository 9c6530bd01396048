"""BG/BB against mpmath at 150 digits, each quantity by two routes that must agree to 30; the inputs are the doubles themselves."""

import itertools
from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from cvm_pipeline.domain.lifetime_value import bg_bb

MODEL = bg_bb.MODEL
CENTURY = 36_525
FLOOR = mpf(10) ** -290
NEAR_ONE = [1.0, 1.0 + 1e-15, 1.0 - 1e-15, 1.0 + 1e-9, 1.0 - 1e-9, 1.0 + 1e-4, 1.0 - 1e-4]
Case = tuple[dict[str, float], int, int, int]


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    with mpmath.workdps(150):
        yield


def history(rng: np.random.Generator, T: int) -> tuple[int, int, int]:
    """x = 0, few, many or all; the last transaction at once, at T or between."""
    x = int(rng.choice([0, 1, T // 100, T // 3, T, 10_000]))
    x = min(x, T)
    t_x = int(rng.choice([x, (x + T) // 2, T])) if x else 0
    return x, t_x, T


def draw(rng: np.random.Generator, T: int) -> Case:
    """Parameters over 1e-3..1e3; half of the time some of them next to 1."""
    values = [10.0 ** rng.uniform(-3, 3) if rng.random() < 0.8 else float(rng.choice([1e-3, 1e3])) for _ in range(4)]
    for i in range(4):
        if rng.random() < (0.5 if i == 2 else 0.15):
            values[i] = float(rng.choice(NEAR_ONE))
    return dict(zip(MODEL.parameter_names, values, strict=True)), *history(rng, T)


def cases(seed: int, tenures: list[int]) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [draw(rng, T) for T in tenures]


QUICK = cases(2010, [0, 1, 2, 6, 7, 30, 31, 100] * 8 + [365] * 24 + [3_650] * 6 + [10_957] * 4)
LONG = cases(11, [1, 30, 365, 3_650, 10_957] * 80)


def exact(parameters: dict[str, float]) -> tuple[mpf, mpf, mpf, mpf]:
    return tuple(mpf(parameters[name]) for name in MODEL.parameter_names)


def agree(one: mpf, other: mpf) -> mpf:
    assert abs(one - other) <= abs(one) * mpf(10) ** -30
    return one


def by_sum(parameters: dict[str, float], x: int, t_x: int, n: int) -> tuple[mpf, mpf]:
    """Eq. 5 and 11 as printed: L, and L and alive for the next opportunity."""
    alpha, beta, gamma, delta = exact(parameters)
    scale = mpmath.beta(alpha, beta) * mpmath.beta(gamma, delta)
    seen = mpmath.beta(alpha + x, beta + n - x) / scale
    total = seen * mpmath.beta(gamma, delta + n)
    term = mpmath.beta(alpha + x, beta + t_x - x) * mpmath.beta(gamma + 1, delta + t_x) / scale
    for i in range(t_x, n):
        total += term
        term *= (beta + i - x) / (alpha + beta + i) * (delta + i) / (gamma + 1 + delta + i)
    return total, seen * mpmath.beta(gamma, delta + n + 1)


def by_filter(parameters: dict[str, float], x: int, t_x: int, n: int) -> tuple[mpf, mpf]:
    """The same opportunity by opportunity: what is still alive, and the chance of what was seen, less what was not."""
    alpha, beta, gamma, delta = exact(parameters)
    alive = mpf(1)
    for i in range(t_x):
        buys = (alpha + i) / (alpha + beta + i) if i < x else (beta + i - x) / (alpha + beta + i)
        alive *= buys * (delta + i) / (gamma + delta + i)
    seen = alive
    for i in range(t_x, n):
        alive *= (delta + i) / (gamma + delta + i)
        buys = (alpha + x) / (alpha + beta + i)
        seen -= alive * buys
        alive *= 1 - buys
    return seen, alive * (delta + n) / (gamma + delta + n)


def likelihood_and_alive(parameters: dict[str, float], x: int, t_x: int, n: int) -> tuple[mpf, mpf]:
    sums, filtered = by_sum(parameters, x, t_x, n), by_filter(parameters, x, t_x, n)
    return agree(sums[0], filtered[0]), agree(sums[1], filtered[1])


def expectation(parameters: dict[str, float], h: int, x: int, n: int) -> mpf:
    """E[transactions in the next h | alive for the next]: eq. 13 over 11, and opportunity by opportunity."""
    alpha, beta, gamma, delta = exact(parameters)
    chance, total = mpf(1), mpf(0)
    for i in range(n + 1, n + h + 1):
        total += chance
        chance *= (delta + i) / (gamma + delta + i)
    # The singularity at gamma = 1 is removable: this far from it the value agrees to some 60 digits.
    near = gamma if gamma != 1 else gamma + mpf(10) ** -65
    ratio = mpmath.gammaprod([delta + n + 1 + h, near + delta + n], [delta + n + 1, near + delta + n + h])
    printed = (near + delta + n) / (near - 1) * (1 - ratio)
    return agree(total, printed) * (alpha + x) / (alpha + beta + n)


def residual(parameters: dict[str, float], rate: float, x: int, n: int) -> mpf:
    """Eq. 14 over 11, and the sum itself; where that is long, Pfaff's transformation instead."""
    alpha, beta, gamma, delta = exact(parameters)
    v, b, c = mpmath.exp(-mpf(rate)), delta + n + 1, gamma + delta + n + 1
    options = {"maxterms": 10**7, "maxprec": 10**6}
    printed = mpmath.hyp2f1(1, b, c, v, **options)
    if rate > 0.01:
        total, term = mpf(0), mpf(1)
        for j in range(int(80 / rate) + 2):
            total += term
            term *= v * (b + j) / (c + j)
        agree(printed, total)
    else:
        agree(printed, mpmath.hyp2f1(1, gamma, c, v / (v - 1), **options) / (1 - v))
    return printed * v * (alpha + x) / (alpha + beta + n)


def count_chances(parameters: dict[str, float], h: int, x: int, n: int) -> list[mpf]:
    """P(m of the next h | alive for the next), all m, by an urn: each opportunity moves the chances that follow it."""
    alpha, beta, gamma, delta = exact(parameters)
    living, dead = [mpf(1)], [mpf(0)] * (h + 1)
    for k in range(h):
        moved = [mpf(0)] * (k + 2)
        for m, chance in enumerate(living):
            buys = (alpha + x + m) / (alpha + beta + n + k)
            moved[m + 1] += chance * buys
            moved[m] += chance * (1 - buys)
        survives = (delta + n + 1 + k) / (gamma + delta + n + 1 + k) if k + 1 < h else mpf(1)
        for m, chance in enumerate(moved):
            dead[m] += chance * (1 - survives)
        living = [chance * survives for chance in moved]
    return [chance + d for chance, d in zip(living, dead, strict=True)] if h else [mpf(1)]


def count_chance(parameters: dict[str, float], m: int, h: int, x: int, n: int) -> mpf:
    """The same of one m: the sum over the opportunities lived, eq. 7 with the parameters moved on."""
    alpha, beta, gamma, delta = exact(parameters)
    a, b, live = alpha + x, beta + n - x, delta + n + 1
    first = max(m, 1)
    term = mpmath.binomial(first, m) * mpmath.beta(a + m, b + first - m) / mpmath.beta(a, b)
    term *= mpmath.beta(gamma, live + first - 1) / mpmath.beta(gamma, live)
    total = mpf(0)
    for k in range(first, h):
        total += term * gamma / (gamma + live + k - 1)
        term *= (k + 1) / mpf(k + 1 - m) * (b + k - m) / (a + b + k) * (live + k - 1) / (gamma + live + k - 1)
    return total + term


def error(found: float, true: mpf) -> float:
    """Relative error; where the true value is below 1e-290, 0 for any number that small."""
    assert np.isfinite(found)
    if abs(true) < FLOOR:
        assert 0 <= found <= 1e-290
        return 0.0
    return float(abs(mpf(found) / true - 1))


def columns(*values: float) -> list[np.ndarray]:
    return [np.array([float(value)]) for value in values]


def likelihood_error(case: Case) -> float:
    parameters, x, t_x, n = case
    likelihood, alive = likelihood_and_alive(*case)
    rows = columns(x, t_x, n)
    log_alive = MODEL.log_p_alive(parameters, *rows)[0]
    found = MODEL.log_likelihood_rows(parameters, *rows)[0]
    if n == 0:
        assert found == 0.0
    return max(
        error(found, mpmath.log(likelihood)) if n else 0.0,
        error(-log_alive, -mpmath.log(alive / likelihood)),
        error(MODEL.p_alive(parameters, *rows)[0], alive / likelihood),
    )


def expectation_error(case: Case, horizons: list[int]) -> float:
    parameters, x, _, n = case
    true = [expectation(parameters, h, x, n) for h in horizons]
    rows = columns(x, n)
    found = MODEL.expected_while_alive(parameters, np.array(horizons, dtype=float), *rows)[0]
    return max(error(value, t) for value, t in zip(found, true, strict=True))


def residual_error(case: Case, rate: float) -> float:
    parameters, x, _, n = case
    return error(MODEL.residual_while_alive(parameters, rate, *columns(x, n))[0], residual(parameters, rate, x, n))


def pmf_error(case: Case, counts: list[int], h: int) -> float:
    parameters, x, _, n = case
    found = MODEL.pmf_while_alive(parameters, np.array(counts, dtype=float), float(h), *columns(x, n))[0]
    return max(error(value, count_chance(parameters, m, h, x, n)) for m, value in zip(counts, found, strict=True))


def gradient_error(case: Case) -> float:
    """Of d log L / d log parameter, in units of the larger of 1 and the gradient itself: it may pass through 0."""
    parameters, x, t_x, n = case
    found = MODEL.gradient_rows(parameters, *columns(x, t_x, n))[0]
    worst = 0.0
    for name, value in zip(MODEL.parameter_names, found, strict=True):
        step = mpf(parameters[name]) * mpf(10) ** -50
        ends = [by_sum({**parameters, name: mpf(parameters[name]) + sign * step}, x, t_x, n)[0] for sign in (1, -1)]
        true = mpmath.log(ends[0] / ends[1]) / (2 * mpf(10) ** -50)
        worst = max(worst, float(abs(value * mpf(parameters[name]) - true) / max(1, abs(true))))
    return worst


@pytest.mark.parametrize("case", QUICK)
def test_likelihood_and_p_alive_are_exact(case: Case) -> None:
    assert likelihood_error(case) < 1e-12


@pytest.mark.parametrize("case", [case for case in QUICK if case[3] <= 365][::4])
def test_the_gradient_is_exact(case: Case) -> None:
    assert gradient_error(case) < 1e-12


@pytest.mark.parametrize("case", QUICK[::2])
def test_expectation_is_exact(case: Case) -> None:
    assert expectation_error(case, [1, 2, 30, 365]) < 1e-12


@pytest.mark.parametrize("gamma", NEAR_ONE)
def test_expectation_has_no_singularity_at_gamma_1(gamma: float) -> None:
    parameters = {"alpha": 0.7, "beta": 30.0, "gamma": gamma, "delta": 5.0}
    assert expectation_error((parameters, 3, 40, 100), [1, 365, CENTURY]) < 1e-13


@pytest.mark.parametrize("case", QUICK[::4])
@pytest.mark.parametrize("rate", [2.609e-4, 0.05, 3.0])
def test_residual_transactions_are_exact(case: Case, rate: float) -> None:
    assert residual_error(case, rate) < 1e-12


@pytest.mark.parametrize("case", QUICK[::3])
def test_probabilities_of_counts_are_exact(case: Case) -> None:
    assert pmf_error(case, [0, 1, 2, 10, 60, 90], 90) < 1e-12


@pytest.mark.parametrize("case", QUICK[3:60:8])
def test_probabilities_of_counts_are_those_of_an_urn(case: Case) -> None:
    parameters, x, _, n = case
    for h in (1, 2, 15):
        urn = count_chances(parameters, h, x, n)
        found = MODEL.pmf_while_alive(parameters, np.arange(h + 1.0), float(h), *columns(x, n))[0]
        for m, chance in enumerate(urn):
            assert error(found[m], agree(chance, count_chance(parameters, m, h, x, n))) < 1e-13


def test_nothing_overflows_at_the_extremes() -> None:
    x = np.array([0.0, 0.0, 1.0, 1.0, 60.0, 10_000.0, 10_000.0, 10_957.0])
    t_x = np.array([0.0, 0.0, 1.0, 10_957.0, 60.0, 10_000.0, 10_957.0, 10_957.0])
    T = np.array([0.0, 10_957.0, 10_957.0, 10_957.0, 10_957.0, 10_957.0, 10_957.0, 10_957.0])
    horizons = np.array([0.0, 1 / 24, 1.0, 365.25, float(CENTURY)])
    for values in itertools.product([1e-3, 1.0, 1e3], repeat=4):
        parameters = dict(zip(MODEL.parameter_names, values, strict=True))
        likelihood = MODEL.log_likelihood_rows(parameters, x, t_x, T)
        assert np.isfinite(likelihood).all() and (likelihood <= 0).all()
        assert np.isfinite(MODEL.gradient_rows(parameters, x, t_x, T)).all()
        log_alive = MODEL.log_p_alive(parameters, x, t_x, T)
        assert np.isfinite(log_alive).all() and (log_alive < 0).all()
        expected = MODEL.expected_while_alive(parameters, horizons, x, T)
        assert (expected[:, 0] == 0).all() and (np.diff(expected, axis=1) >= 0).all() and (expected[:, 1] > 0).all()
        assert (expected <= horizons).all()
        residual = MODEL.residual_while_alive(parameters, 1e-6, x, T)
        assert np.isfinite(residual).all() and (residual > 0).all()


@pytest.mark.long
@pytest.mark.parametrize("case", LONG)
def test_the_whole_grid_is_exact(case: Case) -> None:
    _, x, _, n = case
    rate = 10.0 ** (-5 + (x + n) % 6)
    assert likelihood_error(case) < 1e-11
    assert gradient_error(case) < 1e-11
    assert expectation_error(case, [1, 30, 365, CENTURY]) < 1e-12
    assert residual_error(case, rate) < 1e-12
    assert pmf_error(case, [0, 1, 2, 10, 60, 365], 365) < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("case", LONG[::10])
def test_probabilities_of_counts_over_a_century_are_exact(case: Case) -> None:
    assert pmf_error(case, [0, 1, 100, 3_000, 10_000, CENTURY], CENTURY) < 1e-10
