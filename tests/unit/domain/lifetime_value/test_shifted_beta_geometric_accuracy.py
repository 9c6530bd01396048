"""The shifted beta-geometric against mpmath at 150 digits, by two routes that agree to 30; the inputs are the doubles themselves."""

from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from cvm_pipeline.domain.lifetime_value.shifted_beta_geometric import CONTRACT_MODEL, ContractHistories

MODEL = CONTRACT_MODEL
CENTURY = 36_525
NEAR_ONE = [1.0, 1.0 + 1e-15, 1.0 - 1e-15, 1.0 + 1e-9, 1.0 - 1e-9, 1.0 + 1e-4, 1.0 - 1e-4]
Case = tuple[float, float, int]


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    with mpmath.workdps(150):
        yield


def cases(seed: int, n: int) -> list[Case]:
    """Parameters over 1e-3..1e3, some of them next to 1, and renewals up to 10,000."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        alpha, beta = 10.0 ** rng.uniform(-3, 3, 2)
        if rng.random() < 0.5:
            alpha = rng.choice([*NEAR_ONE, 1e-3, 1e3])
        if rng.random() < 0.3:
            beta = rng.choice([*NEAR_ONE, 1e-3, 1e3])
        drawn.append((float(alpha), float(beta), int(rng.choice([0, 1, 5, 100, 10_000]))))
    return drawn


QUICK, LONG = cases(2007, 36), cases(7, 200)


def agree(one: mpf, other: mpf) -> mpf:
    assert abs(one - other) <= abs(one) * mpf(10) ** -30
    return one


def error(found: float, true: mpf) -> float:
    """Relative error; where the true value is below 1e-290, 0 for any number that small."""
    if abs(true) < mpf(10) ** -290:
        assert 0 <= found <= 1e-290
        return 0.0
    return float(abs(mpf(float(found)) / true - 1))


def path(case: Case, periods: int, v: mpf) -> tuple[mpf, mpf, mpf]:
    """S(periods | n), the sum of S(t | n) and that of v^(t-1) S(t | n), t = 1..periods, toss by toss."""
    alpha, beta, n = mpf(case[0]), mpf(case[1]), case[2]
    survival, plain, discounted, weight = mpf(1), mpf(0), mpf(0), mpf(1)
    for t in range(n, n + periods):
        survival *= (beta + t) / (alpha + beta + t)
        plain += survival
        discounted += weight * survival
        weight *= v
    return survival, plain, discounted


def survival_error(case: Case, periods: int) -> float:
    alpha, beta, n = mpf(case[0]), mpf(case[1]), case[2]
    printed = mpmath.beta(alpha, beta + n + periods) / mpmath.beta(alpha, beta + n)
    true = agree(printed, path(case, periods, mpf(1))[0])
    parameters = {"alpha": case[0], "beta": case[1]}
    rate = (beta + n) / (alpha + beta + n)
    return max(
        error(MODEL.survival(parameters, periods, n), true),
        error(-MODEL.log_survival(parameters, periods, n), -mpmath.log(true)),
        error(MODEL.p_alive(parameters, n, False, periods), true),
        error(MODEL.retention_rate(parameters, n + 1), rate),
    )


def expected_error(case: Case, periods: int) -> float:
    alpha, beta, n = mpf(case[0]), mpf(case[1]), case[2]
    near = alpha if alpha != 1 else alpha + mpf(10) ** -65
    ends = [
        mpmath.gammaprod([beta + n + t + 1, near + beta + n], [near + beta + n + t, beta + n]) for t in (0, periods)
    ]
    true = agree(path(case, periods, mpf(1))[1], (ends[0] - ends[1]) / (near - 1))
    parameters = {"alpha": case[0], "beta": case[1]}
    undiscounted = MODEL.residual_lifetime(parameters, 0.0, n, periods)[0]
    return max(error(MODEL.expected_renewals(parameters, periods, n)[0, 0], true), error(undiscounted, true))


def lifetime_error(case: Case, d: float, periods: int) -> float:
    """Infinite, and finite: the sum, and the infinite one less what comes after."""
    v = 1 / (1 + mpf(d))
    infinite, after = endless(case, v), endless((case[0], case[1], case[2] + periods), v)
    survival, _, discounted = path(case, periods, v)
    finite = agree(discounted, infinite - after * survival * v**periods)
    parameters = {"alpha": case[0], "beta": case[1]}
    return max(
        error(MODEL.residual_lifetime(parameters, d, case[2])[0], infinite),
        error(MODEL.residual_lifetime(parameters, d, case[2], periods)[0], finite),
    )


def endless(case: Case, v: mpf) -> mpf:
    """The paper's hypergeometric function, and the sum itself; where that is long, Pfaff's transformation instead."""
    alpha, b, c = mpf(case[0]), mpf(case[1]) + case[2] + 1, mpf(case[0]) + mpf(case[1]) + case[2] + 1
    options = {"maxterms": 10**7, "maxprec": 10**6}
    printed = mpmath.hyp2f1(1, b, c, v, **options) * (b - 1) / (c - 1)
    terms = int(mpmath.ceil(-80 / mpmath.log(v)))
    if terms < 10_000:
        return agree(printed, path(case, terms, v)[2])
    return agree(printed, mpmath.hyp2f1(1, alpha, c, v / (v - 1), **options) / (1 - v) * (b - 1) / (c - 1))


def likelihood_error(case: Case) -> float:
    alpha, beta, n = mpf(case[0]), mpf(case[1]), case[2]
    parameters = {"alpha": case[0], "beta": case[1]}
    worst = 0.0
    for ended in (False, True):
        history = ContractHistories(np.array([float(n)]), np.array([ended]), np.ones(1))
        if n == 0 and not ended:
            assert MODEL.log_likelihood(parameters, history) == 0
            continue

        def log_likelihood(a: mpf, b: mpf, ended: bool = ended) -> mpf:
            last = mpmath.beta(a + 1, b + n) if ended else mpmath.beta(a, b + n)
            return mpmath.log(last / mpmath.beta(a, b))

        toss_by_toss = mpmath.log(path((case[0], case[1], 0), n, mpf(1))[0])
        toss_by_toss += mpmath.log(alpha / (alpha + beta + n)) if ended else 0
        true = agree(log_likelihood(alpha, beta), toss_by_toss)
        worst = max(worst, error(-MODEL.log_likelihood(parameters, history), -true))
        by_alpha, by_beta = MODEL.gradient(parameters, history)
        tiny = mpf(10) ** -50
        slopes = [
            (log_likelihood(alpha * (1 + tiny), beta) - log_likelihood(alpha * (1 - tiny), beta)) / (2 * tiny),
            (log_likelihood(alpha, beta * (1 + tiny)) - log_likelihood(alpha, beta * (1 - tiny))) / (2 * tiny),
        ]
        for found, slope in zip((by_alpha * alpha, by_beta * beta), slopes, strict=True):
            worst = max(worst, float(abs(found - slope) / max(1, abs(slope))))
    return worst


@pytest.mark.parametrize("case", QUICK)
def test_every_quantity_is_exact(case: Case) -> None:
    assert likelihood_error(case) < 1e-13
    assert survival_error(case, 1) < 1e-13
    assert survival_error(case, 120) < 1e-12
    assert expected_error(case, 120) < 1e-12
    assert lifetime_error(case, 0.1, 120) < 1e-12


@pytest.mark.parametrize("alpha", NEAR_ONE)
def test_expected_renewals_have_no_singularity_at_alpha_1(alpha: float) -> None:
    assert expected_error((alpha, 3.8, 2), 5_000) < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("case", LONG)
def test_the_whole_grid_is_exact(case: Case) -> None:
    assert likelihood_error(case) < 1e-13
    for periods in (1, 12, CENTURY):
        assert survival_error(case, periods) < 1e-12
        assert expected_error(case, periods) < 1e-12
    for d in (1e-6, 2.6e-4, 0.01, 1.0, 20.0):
        assert lifetime_error(case, d, 3_000) < 1e-12
