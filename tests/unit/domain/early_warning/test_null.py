"""The null's p-values against mpmath and scipy by other formulas, and their distribution against counting and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp
from scipy import stats

from cvm_pipeline.domain.early_warning import null, step_up
from cvm_pipeline.domain.early_warning.windows import Known, SpendNode, Start
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

GAMMA_GAMMA = {"p": 6.25, "q": 3.74, "v": 15.44}


def start(days: int = 91, spends: tuple[SpendNode, ...] = (SpendNode(1.0, GAMMA_GAMMA),)) -> Start:
    parameters = {"r": 1.4, "alpha": 9.0, "s": 0.6, "beta": 30.0}
    fit = Fit(parameters, {}, None, 100.0, True, 0.0, time_unit_days=7.0)
    return Start(days, Timing(transaction_model("pareto_nbd"), fit), spends)


def known(x: list[float], t_x: list[float], T: list[float], sales: list[float]) -> Known:
    return Known(*(np.array(column, float) for column in (x, t_x, T, sales)))


def negative_binomial_cdf(n: int, R: float, A: float, exposure: float) -> mp.mpf:
    """The sum of gamma-Poisson terms, each by its integral's closed form, in 40 digits."""
    with mp.workdps(40):
        R, A, t = mp.mpf(R), mp.mpf(A), mp.mpf(exposure)
        terms = (
            mp.gamma(R + k) / (mp.gamma(R) * mp.factorial(k)) * (A / (A + t)) ** R * (t / (A + t)) ** k
            for k in range(n + 1)
        )
        return mp.fsum(terms)


@pytest.mark.parametrize(
    ("n", "R", "A", "exposure"),
    [
        (0, 3.4, 150.0, 91.0),
        (2, 12.4, 500.0, 60.5),
        (0, 160.2, 900.0, 364.0),
        (30, 75.0, 800.0, 728.0),
        (5, 2.1, 63.0, 28.0),
    ],
)
def test_p_of_frequency_is_the_chance_of_so_few_or_fewer(n: int, R: float, A: float, exposure: float) -> None:
    found = null.frequency_p(*(np.array([float(v)]) for v in (n, R, A, exposure)))[0]
    assert found == pytest.approx(float(negative_binomial_cdf(n, R, A, exposure)), rel=1e-11)


@pytest.mark.parametrize(
    ("count", "total", "x", "sales"), [(1, 4.0, 2, 60.0), (3, 30.0, 9, 500.0), (12, 700.0, 40, 900.0)]
)
def test_p_of_spend_is_the_chance_of_so_little_for_so_many_transactions(
    count: float, total: float, x: float, sales: float
) -> None:
    p, q, v = GAMMA_GAMMA.values()
    found = null.spend_p(start(), known([x], [30], [90], [sales]), np.array([count]), np.array([total]))[0]
    expected = stats.betaprime(p * count, p * x + q, scale=v + sales).cdf(total)
    assert found == pytest.approx(expected, rel=1e-9)


def test_p_of_spend_is_one_without_a_transaction_above_nothing_and_without_the_signal() -> None:
    then = known([4, 4], [30, 30], [90, 90], [80, 0])
    assert null.spend_p(start(), then, np.array([0.0, 2.0]), np.array([0.0, 1.0])).tolist() == [1.0, 1.0]
    assert null.spend_p(start(spends=()), then, np.array([2.0, 2.0]), np.array([0.1, 0.1])).tolist() == [1.0, 1.0]


def test_p_of_spend_is_averaged_over_what_is_open_and_left_plain_where_no_alarm_can_come_of_it() -> None:
    other = GAMMA_GAMMA | {"p": 2.0}
    nodes = (SpendNode(0.6, GAMMA_GAMMA), SpendNode(0.4, other))
    then = known([9, 9], [60, 60], [90, 90], [500, 500])
    count, total = np.array([3.0, 3.0]), np.array([60.0, 300.0])
    each = [null.spend_p(start(spends=(SpendNode(1.0, told),)), then, count, total) for told in (GAMMA_GAMMA, other)]
    found = null.spend_p(start(spends=nodes), then, count, total)
    assert found[0] == pytest.approx(0.6 * each[0][0] + 0.4 * each[1][0], rel=1e-12)
    assert each[0][1] > null.PLAIN
    assert found[1] == each[0][1]


def test_combined_p_is_bonferroni_over_the_signals_had_and_at_most_one() -> None:
    found = null.combined_p(np.array([0.01, 0.01, 0.7]), np.array([1.0, 0.2, 0.8]), np.array([1.0, 2.0, 2.0]))
    assert found.tolist() == [0.01, 0.02, 1.0]


def test_the_attainable_p_is_that_of_silence_times_the_signals() -> None:
    R, A, exposure = np.array([5.0, 5.0]), np.array([100.0, 100.0]), np.array([91.0, 91.0])
    found = null.attainable_p(R, A, exposure, np.array([1.0, 2.0]))
    assert found == pytest.approx([(100 / 191) ** 5, 2 * (100 / 191) ** 5])


def test_a_customer_expected_is_alive_at_an_unchanged_rate_and_with_attrition_by_the_model_itself() -> None:
    then = known([8], [250], [280], [300])
    found = null.predictive(start(), then)
    r, alpha = 1.4, 63.0
    assert (found.R[0], found.A[0]) == pytest.approx((r + 8, alpha + 280))
    assert found.expected[0] == pytest.approx((r + 8) / (alpha + 280) * 91)
    model = transaction_model("pareto_nbd")
    parameters = {"r": 1.4, "alpha": 9.0, "s": 0.6, "beta": 30.0}
    weeks = [np.array([float(v)]) for v in (8, 250 / 7, 40)]
    assert found.expected_with_attrition[0] == pytest.approx(
        model.expected_transactions(parameters, np.array([13.0]), *weeks)[0, 0]
    )
    assert found.signals.tolist() == [2.0]


def test_sums_under_the_null_are_those_of_counting_every_outcome() -> None:
    rng = np.random.default_rng(4)
    n = 40
    R, A, exposure = rng.uniform(2, 60, n), rng.uniform(60, 900, n), rng.uniform(20, 700, n)
    signals = rng.integers(1, 3, n).astype(float)
    grid = step_up.GRID
    expected = np.zeros(grid.size)
    for customer in range(n):
        k = signals[customer]
        of = stats.nbinom(R[customer], A[customer] / (A[customer] + exposure[customer]))
        counts = np.arange(400)
        mass, cdf = of.pmf(counts), of.cdf(counts)
        for at, t in enumerate(grid):
            rejected_by_count = cdf <= t / k * (1 + 1e-12)
            by_spend = (t / k) * mass[~rejected_by_count & (counts > 0)].sum() if k == 2 else 0.0
            expected[at] += mass[rejected_by_count].sum() + by_spend
    found = null.sums_under_null(grid, R, A, exposure, signals)
    # nbinom's own mass beyond 400 counts, and a point of the grid within rounding of a jump.
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_p_values_are_never_too_small_under_the_null() -> None:
    rng = np.random.default_rng(11)
    n, k = 200_000, 2.0
    here, then = start(182), known([9], [300], [330], [400])
    expected = null.predictive(here, then)
    rate = rng.gamma(expected.R[0], 1 / expected.A[0], n)
    count = rng.poisson(rate * 182).astype(float)
    p, q, v = GAMMA_GAMMA.values()
    nu = rng.gamma(p * 9 + q, 1 / (v + 400), n)
    total = np.where(count > 0, rng.gamma(p * np.maximum(count, 1), 1 / nu), 0.0)
    many = Known(*(np.full(n, column[0]) for column in (then.x, then.t_x, then.T, then.repeat_sales)))
    columns = (np.full(n, v) for v in (expected.R[0], expected.A[0], 182.0))
    found = null.combined_p(null.frequency_p(count, *columns), null.spend_p(here, many, count, total), np.full(n, k))
    exact = null.sums_under_null(step_up.GRID, expected.R, expected.A, np.array([182.0]), np.array([k]))
    for t in (0.001, 0.01, 0.05):
        share = (found <= t).mean()
        error = 3 * np.sqrt(t / n)
        assert share <= t + error
        at = np.searchsorted(step_up.GRID, t * 1.0001) - 1
        assert (found <= step_up.GRID[at]).mean() == pytest.approx(exact[at], abs=error)
