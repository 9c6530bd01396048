"""The predictive distribution: against exact sums, against simulated customers, and at its edges."""

import numpy as np
import pytest
from scipy.optimize import brentq

from cvm_pipeline.domain.lifetime_value import mbg_nbd
from cvm_pipeline.domain.lifetime_value.mathematics.future_total import total_cdf
from cvm_pipeline.domain.lifetime_value.predictive import tabulate
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.entrants import Probability, Timing
from cvm_pipeline.domain.lifetime_value.spend import Spend

PARAMETERS = {"r": 0.52, "alpha": 6.18, "a": 0.89, "b": 1.61}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
DAYS = 273.0


def fitted(parameters: dict[str, float], unit: float | None = 7.0) -> Fit:
    return Fit(parameters, {}, 0.0, 1000.0, True, 0.0, time_unit_days=unit)


TIMING = Timing(mbg_nbd.MODEL, fitted(PARAMETERS))
MONEY = Spend(fitted(SPEND, None), 35.0, False)


@pytest.fixture(scope="module")
def table():
    return tabulate(TIMING, MONEY, DAYS, 40.0, 800.0)


def exact_cdf(money: float, x: float, T: float, level: float, scale: float) -> float:
    counts = np.arange(0.0, 400.0)
    chance = TIMING.pmf(counts, DAYS, np.array([x]), np.array([T]))[0]
    _, q, _ = MONEY.shapes(np.array([x]), np.array([x * 35.0]))
    alive = (chance * total_cdf(money / scale, counts, SPEND["p"], q[0])).sum()
    return float(1.0 - level + level * alive)


@pytest.mark.parametrize(("x", "T"), [(0.0, 100.0), (1.0, 273.0), (4.0, 500.0), (11.0, 777.0), (33.0, 300.0)])
@pytest.mark.parametrize("level", [0.15, 0.6, 1.0])
@pytest.mark.parametrize("at", [0.5, 0.9])
def test_quantiles_of_money_are_those_of_the_exact_sum(table, x: float, T: float, level: float, at: float) -> None:
    scale = float(MONEY.shapes(np.array([x]), np.array([x * 35.0]))[2][0])
    one = [np.array([value]) for value in (at, level, scale, x, T)]
    found = table.total_quantile(*one)[0]
    if exact_cdf(0.0, x, T, level, scale) >= at:
        # At the jump itself the table's chance of buying may differ by its own 1e-3.
        assert found <= 0.02 * scale or exact_cdf(0.0, x, T, level, scale) - at < 2e-3
        return
    true = brentq(lambda money: exact_cdf(money, x, T, level, scale) - at, 1e-9, 1e6)
    # In probability, which is what an interval promises: within 3e-3 of the level asked for.
    assert exact_cdf(found, x, T, level, scale) == pytest.approx(at, abs=3e-3)
    assert found == pytest.approx(true, rel=0.03)


def simulated(customers: int) -> tuple[np.ndarray, ...]:
    rng = np.random.Generator(np.random.PCG64(77))
    T = rng.integers(100, 700, customers) / 7.0
    x, t_x, came = mbg_nbd.MODEL.simulate(PARAMETERS, T, DAYS / 7.0, rng)
    nu = rng.gamma(SPEND["q"], 1.0 / SPEND["v"], customers)
    past = np.where(x > 0, rng.gamma(np.maximum(SPEND["p"] * x, 1e-9), 1.0 / nu), 0.0)
    spent = np.where(came > 0, rng.gamma(np.maximum(SPEND["p"] * came, 1e-9), 1.0 / nu), 0.0)
    return x, t_x * 7.0, T * 7.0, came, past, spent, rng.random(customers)


def test_simulated_customers_find_the_predictive_calibrated() -> None:
    x, t_x, T, came, past, spent, ties = simulated(20_000)
    table = tabulate(TIMING, MONEY, DAYS, float(x.max()), float(T.max()))
    level = TIMING.p_alive(x, t_x, T)
    scale = MONEY.shapes(x, past)[2]
    pit = table.total_pit(spent, ties, level, scale, x, T)
    # Four standard errors of a share of .8 over 20,000 are .011.
    assert metrics.central_share(pit) == pytest.approx(0.8, abs=0.012)
    assert np.histogram(pit, bins=10, range=(0, 1))[0] / pit.size == pytest.approx(0.1, abs=0.01)
    high = table.count_quantile(np.full(x.size, 0.9), level, x, T)
    assert np.mean(came <= high) >= 0.89
    busy = level * TIMING.profile(np.array([DAYS]), x, T)[:, 0] > 3.0
    assert np.mean(came[busy] <= high[busy]) == pytest.approx(0.92, abs=0.03)


def test_variance_is_that_of_simulated_customers() -> None:
    x, t_x, T, _, past, spent, _ = simulated(20_000)
    table = tabulate(TIMING, MONEY, DAYS, float(x.max()), float(T.max()))
    level = TIMING.p_alive(x, t_x, T)
    mean = level * TIMING.profile(np.array([DAYS]), x, T)[:, 0] * MONEY.expected(x, past)
    variance = table.total_variance(mean, level, MONEY.shapes(x, past)[2], x, T)
    # Heavy tails (q = 3.74): the mean of squares is itself known to some 5 %.
    assert variance.sum() == pytest.approx(((spent - mean) ** 2).sum(), rel=0.15)
    assert spent.sum() == pytest.approx(mean.sum(), rel=0.05)


def test_nobody_alive_spends_nothing(table) -> None:
    ones = np.ones(1)
    assert table.total_quantile(0.99 * ones, 0.0 * ones, ones, ones, 100 * ones)[0] == 0.0
    assert table.chance_of_buying(0.0 * ones, ones, 100 * ones)[0] == 0.0


def test_a_level_above_one_makes_more_of_everything(table) -> None:
    at = (np.full(1, 0.9), np.ones(1), np.full(1, 50.0), np.full(1, 3.0), np.full(1, 200.0))
    doubled = (at[0], 2.0 * at[1], *at[2:])
    assert table.total_quantile(*doubled)[0] == pytest.approx(2.0 * table.total_quantile(*at)[0])


def test_quantiles_rise_with_their_level_and_the_transform_is_their_inverse(table) -> None:
    u = np.linspace(0.01, 0.99, 99)
    level, scale, x, T = np.full(99, 0.7), np.full(99, 40.0), np.full(99, 2.0), np.full(99, 333.0)
    money = table.total_quantile(u, level, scale, x, T)
    assert (np.diff(money) >= 0).all()
    spent = money > 0
    back = table.total_pit(money, np.full(99, 0.5), level, scale, x, T)
    np.testing.assert_allclose(back[spent], u[spent], atol=2e-3)


def test_a_base_of_giants_is_tabulated_in_bounded_size() -> None:
    table = tabulate(TIMING, MONEY, DAYS, 10_000.0, 3650.0)
    assert table.log_total.size < 200_000
    x, T = np.array([10_000.0]), np.array([3650.0])
    quantiles = table.total_quantile(np.array([0.5]), np.ones(1), np.ones(1), x, T)
    assert np.isfinite(quantiles).all() and quantiles[0] > 0


def test_intervals_ask_the_entrant_for_its_level_only() -> None:
    entrant = Probability(TIMING)
    assert entrant.needs == () and entrant.name == "mbg_nbd"
