"""The null and its p-values: alive through the window, rate and spend unchanged.

Belongs here: the predictive distributions of a window, p-values, the smallest p that silence can give, and how p is
distributed under the null. Not here: which window (`windows.py`), the index (`common_shock.py`), thresholds (`step_up.py`).

By Pareto/NBD, MBG/NBD and NBD alike the rate of who is alive at the start is gamma(R, A), R = r + x and A = alpha + T, so
with exposure E = length x index

    X ~ NBD(R, A, E),    p_frequency = P(X <= observed) = I_{A/(A+E)}(R, observed + 1)

(Schmittlein, Morrison & Colombo 1987; negative_binomial.py has its survival): not mid-p and not randomised, so P(p <= t) <= t.
Given n transactions in the window and Gamma-Gamma at the start (Fader & Hardie 2013) with past repeats of total s,

    total / (v + s) ~ BetaPrime(p n, p x + q),    p_spend = P(total <= observed) = I_{y/(1+y)}(p n, p x + q), y = total/(v+s),

and 1 where n = 0; averaged over what the likelihood leaves open of p, q, v (windows.spend_nodes). Transactions at or below 0 (given away, or taken back whole) have no place under a gamma density: n and
total are of those above 0. Given n > 0 p_spend is uniform and independent of the count, so that of the combined

    p = min(1, k min(p_frequency, p_spend)),    k signals had by what is known at the start,

    P(p <= t) = G(u) + u (1 - G(u) - [P(X=0) > u] P(X=0)),    u = t / k,  G(u) = P(p_frequency <= u).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from cvm_pipeline.domain.early_warning.windows import Known, Start
from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Who can't be told from chance by any silence is out of the family before it is tested.
LEAST_ATTAINABLE = 0.05
# Twice this is above any rate that can be configured.
PLAIN = 0.25


@dataclass(frozen=True, eq=False)
class Predictive:
    """What is expected of customers in their windows, by what was known at the starts, (n,) each.

    `R`, `A` (days): the rate while alive is gamma(R, A). `signals`: k, 1 or, with spend, 2. `expected`: transactions while
    alive; `expected_with_attrition`: with P(alive) and dying inside; `variance`: of the latter.
    """

    R: Floats
    A: Floats
    signals: Floats
    expected: Floats
    expected_with_attrition: Floats
    variance: Floats


def predictive(start: Start, known: Known) -> Predictive:
    """The predictive of the window that begins at `start`. Raises ValueError where it has no timing model."""
    days = float(start.window_days)
    r, alpha = start.rate
    timing = start.model
    R, A = r + known.x, alpha + known.T
    alive = timing.p_alive(known.x, known.t_x, known.T)
    expected = R * days / A
    with_attrition = alive * timing.profile(np.array([days]), known.x, known.T)[:, 0]
    # Of "gone" or "alive for the whole window": a little more than there is, since who dies in it lies between.
    variance = alive * expected * (1.0 + days / A) + alive * (1.0 - alive) * expected**2
    signals = np.where((known.repeat_sales > 0) & bool(start.spends), 2.0, 1.0)
    return Predictive(R, A, signals, expected, with_attrition, variance)


def frequency_p(observed: Floats, R: Floats, A: Floats, exposure: Floats) -> Floats:
    """P(X <= observed), (n,). `exposure`: length x index, days."""
    return np.asarray(betainc(R, observed + 1.0, A / (A + exposure)))


def spend_p(start: Start, known: Known, count: Floats, total: Floats) -> Floats:
    """P(the total of `count` transactions above 0 <= `total`), (n,); 1 where there is none, or no such signal.

    Averaged over what the start knows of p, q and v (windows.spend_nodes). Where the most likely parameters alone give more
    than PLAIN, theirs stands: no alarm comes of it.
    """
    result = np.ones(count.size)
    rows = np.flatnonzero((count > 0) & (known.repeat_sales > 0))
    for at, node in enumerate(start.spends):
        if at == 1:
            rows = rows[result[rows] <= PLAIN]
            mean = start.spends[0].weight * result[rows]
        p, q, scale = node.shapes(known.x[rows], known.repeat_sales[rows])
        y = total[rows] / scale
        tail = betainc(p * count[rows], q, y / (1.0 + y))
        if at == 0:
            result[rows] = tail
        else:
            mean += node.weight * tail
    if len(start.spends) > 1:
        result[rows] = mean
    return result


def combined_p(of_frequency: Floats, of_spend: Floats, signals: Floats) -> Floats:
    """min(1, k x the smallest), (n,): Bonferroni over the signals that the customer has."""
    return np.minimum(1.0, signals * np.minimum(of_frequency, of_spend))


def attainable_p(R: Floats, A: Floats, exposure: Floats, signals: Floats) -> Floats:
    """k P(X = 0), (n,): the p of silence. (That of spend has no smallest: it would make everybody testable.)"""
    return np.minimum(1.0, signals * frequency_p(np.zeros(R.size), R, A, exposure))


def sums_under_null(grid: Floats, R: Floats, A: Floats, exposure: Floats, signals: Floats) -> Floats:
    """Sum over customers of P(p <= t) under the null for each t of `grid` (ascending, below 1), (g,).

    Exact: the jumps of each customer's discrete p_frequency are put where they fall among the grid.
    """
    jumps, of_spenders, silent_spenders = (np.zeros(grid.size + 1) for _ in range(3))
    silences: Floats = np.zeros(R.size)
    rows: npt.NDArray[np.intp] = np.arange(R.size)
    n = 0.0
    while rows.size:
        each = R[rows], A[rows], exposure[rows]
        at = np.minimum(1.0, signals[rows] * frequency_p(np.full(rows.size, n), *each))
        place = np.searchsorted(grid, at)
        mass = negative_binomial.pmf(n, each[0], each[2], each[1])
        jumps += np.bincount(place, mass, grid.size + 1)
        spends = signals[rows] > 1
        of_spenders += np.bincount(place[spends], mass[spends], grid.size + 1)
        if n == 0:
            silences = np.asarray(mass, dtype=np.float64)
            silent_spenders += np.bincount(place[spends], mass[spends], grid.size + 1)
        rows = np.asarray(rows[place < grid.size], dtype=np.intp)
        n += 1.0
    by_frequency, reached = np.cumsum(jumps)[:-1], np.cumsum(of_spenders)[:-1]
    spenders = signals > 1
    if not spenders.any():
        return by_frequency
    k = float(signals[spenders][0])
    # Silences that p_frequency alone can't reject at t: there is nothing spent to reject by.
    unreached = float(silences[spenders].sum()) - np.cumsum(silent_spenders)[:-1]
    return by_frequency + grid / k * (float(spenders.sum()) - reached - unreached)
