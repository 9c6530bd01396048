"""Every quantity of BG/NBD and MBG/NBD against mpmath at 150 digits, over the extremes of issue 3."""

import geometric_dropout_exact as exact
import mpmath
import numpy as np
import pytest
from geometric_dropout_exact import MODELS, Case, agreed, draw

from cvm_pipeline.domain.lifetime_value import mbg_nbd
from cvm_pipeline.domain.lifetime_value.mathematics.alive_expectation import Posterior
from cvm_pipeline.domain.lifetime_value.mathematics.beta_rule import mean_per_dropout
from cvm_pipeline.domain.lifetime_value.mathematics.gamma_functions import log_beta_ratio

# What is promised is 1e-10; what is held is this.
TOLERANCE = 1e-12
# P(alive) by the fast way takes the logarithm of a rounded ratio R = 10^4 times.
WITH_P_ALIVE = 5e-12


def cases(seed: int, size: int, most_x: int = 10_000) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [draw(rng, most_x) for _ in range(size)]


def assert_right(value: float, truth: mpmath.mpf, case: object, tolerance: float = TOLERANCE) -> None:
    """Relatively; below 1e-290 it must lie in [0, 1e-290]."""
    with mpmath.workdps(exact.DIGITS):
        if abs(truth) > exact.FLOOR:
            assert abs(mpmath.mpf(float(value)) / truth - 1) <= tolerance, (value, float(truth), case)
        else:
            assert 0.0 <= value <= 1e-290, (value, case)


def check_likelihood_and_p_alive(case: Case) -> None:
    alive, dead = exact.likelihood_parts(case)
    with mpmath.workdps(exact.DIGITS):
        log_likelihood = mpmath.log(alive + dead) if case.T > 0 else mpmath.mpf(0)
        log_alive = -mpmath.log1p(dead / alive)
    model, parameters = case.model, case.parameters
    found = model.log_likelihood_rows(parameters, *case.history)[0]
    # Where log L goes through 0, what is added up to it says how many digits there are.
    size = max(abs(float(log_likelihood)), 1e-2 * case.x)
    assert abs(found - log_likelihood) <= TOLERANCE * size, case
    if case.tosses == 0:
        assert model.log_p_alive(parameters, *case.history)[0] == 0.0 == log_alive
    else:
        assert model.log_p_alive(parameters, *case.history)[0] == pytest.approx(float(log_alive), rel=1e-14), case
    assert_right(model.p_alive(parameters, *case.history)[0], mpmath.exp(log_alive), case, WITH_P_ALIVE)


def check_expectation(case: Case) -> None:
    truth = exact.expectation(case)
    x, t_x, T = case.history
    horizon = np.array([case.horizon])
    while_alive = case.model.expected_while_alive(case.parameters, horizon, x, T)[0, 0]
    assert_right(while_alive, truth, case)
    alive, dead = exact.likelihood_parts(case)
    given_history = case.model.expected_transactions(case.parameters, horizon, x, t_x, T)[0, 0]
    assert_right(given_history, truth * alive / (alive + dead), case, WITH_P_ALIVE)
    assert_right(case.model.expected_while_alive(by_row(case), horizon, x, T)[0, 0], truth, case)


def by_row(case: Case) -> dict[str, np.ndarray]:
    """The parameters as a model with covariates gives them: another way through the code."""
    return {name: np.array([value]) for name, value in case.parameters.items()}


def check_pmf(case: Case, counts: list[int]) -> None:
    x, _, T = case.history
    found = case.model.pmf_while_alive(case.parameters, np.array(counts, dtype=float), case.horizon, x, T)[0]
    for m, chance in zip(counts, found, strict=True):
        assert_right(chance, exact.pmf(case, m), (m, case))
    # Counts without a gap take another way through the code.
    row = case.model.pmf_while_alive(case.parameters, np.arange(counts[-1] + 1.0), case.horizon, x, T)[0]
    assert row[counts] == pytest.approx(found, rel=TOLERANCE, abs=1e-290)


def check_residual(case: Case, rate: float) -> mpmath.mpf:
    x, _, T = case.history
    truth = exact.residual(case, rate)
    assert_right(case.model.residual_while_alive(case.parameters, rate, x, T)[0], truth, (rate, case))
    assert_right(case.model.residual_while_alive(by_row(case), rate, x, T)[0], truth, (rate, case))
    return truth


def counts_of(case: Case, rng: np.random.Generator) -> list[int]:
    """None, few, and some about the mean of who never drops out."""
    mean = (case.r + case.x) / (case.alpha + case.T) * case.horizon
    return sorted({0, 1, 2, int(rng.integers(0, 60)), int(min(mean * 10 ** rng.uniform(-1, 0.5), 400))})


def rate_of(rng: np.random.Generator) -> float:
    return float(10.0 ** rng.uniform(-5, -1))


def test_log_likelihood_and_p_alive_are_right_over_the_extremes() -> None:
    for case in cases(1, 40):
        check_likelihood_and_p_alive(case)


def test_expectations_are_right_over_the_extremes() -> None:
    for case in cases(2, 40):
        check_expectation(case)


def test_both_exact_expectations_agree() -> None:
    moderate = [
        case for case in cases(3, 150, most_x=60) if (case.r + case.x) / (case.alpha + case.T) * case.horizon < 99
    ]
    assert len(moderate) > 50
    for case in moderate[:8]:
        agreed(exact.expectation(case), exact.expectation_by_sum(case))


def test_probabilities_are_right_over_the_extremes() -> None:
    rng = np.random.default_rng(4)
    for case in cases(4, 14):
        check_pmf(case, counts_of(case, rng))


def test_the_infinite_horizon_is_right_over_the_extremes() -> None:
    rng = np.random.default_rng(5)
    for case in cases(5, 14):
        check_residual(case, rate_of(rng))


def test_both_exact_infinite_horizons_agree() -> None:
    case = Case(1, 0.5, 6.0, 0.9, 1.6, 3.0, 10.0, 40.0, 52.0)
    agreed(exact.residual(case, 0.002), exact.residual_by_quadrature(case, 0.002))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_the_whole_grid_is_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for case in cases(seed, 100):
        check_likelihood_and_p_alive(case)
        check_expectation(case)
        check_pmf(case, counts_of(case, rng))
        check_residual(case, rate_of(rng))
    for case in cases(seed + 1000, 5):
        rate = rate_of(rng)
        agreed(check_residual(case, rate), exact.residual_by_quadrature(case, rate))
        if (case.r + case.x) / (case.alpha + case.T) * case.horizon < 2_000:
            agreed(exact.expectation(case), exact.expectation_by_sum(case))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_digits_hold_where_gamma_functions_cancel(model) -> None:
    """As a fit may end in a base without dropout: r and b large, a small."""
    for x, t_x, T in [(0.0, 0.0, 300.0), (3.0, 20.0, 310.0), (40.0, 300.0, 320.0)]:
        check_likelihood_and_p_alive(Case(model.first_toss, 5e3, 4e4, 1e-4, 1e5, x, t_x, T, 52.0))


def test_the_rule_integrates_moments_of_the_beta_exactly() -> None:
    a, B = (axis.ravel() for axis in np.meshgrid([1e-3, 0.3, 1.0, 7.0, 1e3], [1e-3, 0.3, 1.0, 7.0, 1e4]))
    # E[p / p], E[p^2 / p] and E[p (1-p) / p].
    found = mean_per_dropout(lambda p, rows: np.concatenate([p, p * p, p * (1.0 - p)], axis=1), 3, a, B, 100.0 * a**0)
    assert found[:, 0] == pytest.approx(1.0, rel=1e-14)
    assert found[:, 1] == pytest.approx(a / (a + B), rel=1e-11)
    assert found[:, 2] == pytest.approx(B / (a + B), rel=1e-11)


def test_the_chance_to_survive_tosses_is_right_in_its_logarithm() -> None:
    rng = np.random.default_rng(6)
    a, b = 10.0 ** rng.uniform(-4, 3, 300), 10.0 ** rng.uniform(-4, 5, 300)
    n = np.floor(10.0 ** rng.uniform(0, 4, 300))
    for a_, b_, n_, found in zip(a, b, n, log_beta_ratio(a, b, n), strict=True):
        with mpmath.workdps(60):
            A, B, N = map(mpmath.mpf, (a_, b_, n_))
            truth = mpmath.loggamma(B + N) - mpmath.loggamma(B) - mpmath.loggamma(A + B + N) + mpmath.loggamma(A + B)
        assert found == pytest.approx(float(truth), rel=1e-14, abs=3e-14)


def test_polynomials_and_integrals_give_the_same_expectations() -> None:
    rng = np.random.default_rng(7)
    x, T = rng.integers(0, 40, 500).astype(float), rng.uniform(0, 80, 500)
    horizon = np.r_[0.0, 365.25 / 84 * np.arange(1, 37)]
    each = Posterior(0.25 + x, np.full(500, 0.8), 2.4 + x)
    counts = np.arange(40.0)
    kinds, kind, A = Posterior(0.25 + counts, np.full(40, 0.8), 2.4 + counts), x.astype(int), 4.4 + T
    polynomials = kinds.expected_by_kind(horizon, A, kind)
    assert (polynomials[:, 0] == 0).all()
    assert polynomials == pytest.approx(each.expected(horizon, A), rel=1e-14)
    assert kinds.discounted_by_kind(0.01, A, kind) == pytest.approx(each.discounted(0.01, A), rel=1e-14)


def test_mbg_nbd_expects_of_a_new_customer_what_hoppe_and_wagner_derive() -> None:
    r, alpha, a, b, t = 0.5248432, 6.183086, 0.891359, 1.614002, 52.0
    f = mpmath.hyp2f1(r, b + 1, a + b, t / (alpha + t))
    exact_value = b / (a - 1) * (1 - (alpha / (alpha + t)) ** r * f)
    parameters = {"r": r, "alpha": alpha, "a": a, "b": b}
    assert mbg_nbd.MODEL.unconditional_expectation(parameters, np.array([t]))[0] == pytest.approx(
        float(exact_value), rel=1e-12
    )
