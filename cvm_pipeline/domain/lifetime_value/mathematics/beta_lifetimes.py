"""Lifetimes of whole periods that end by the toss of a customer's own coin, its chance theta ~ beta(a, b) over customers.

Belongs here: how many periods such a customer has left, plain and discounted, and the running sums that the models over
whole periods (bg_bb.py, shifted_beta_geometric.py) are made of. Not here: what happens in a period, any likelihood.

Who has survived s tosses has theta ~ beta(a, b+s) and survives j more with probability (b+s)_j / (a+b+s)_j, a finite
product of j factors: gammaln would lose four digits at ten thousand periods, sums of logs over whole numbers lose none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cvm_pipeline.domain.lifetime_value.protocol import Floats

Whole = NDArray[np.int64]

# The trapezoidal rule's error is below 1e-13 at 2 pi / step = sqrt(400 + 64 / width^2).
_WIDE, _NARROW = 400.0, 64.0
# exp(-_NEGLIGIBLE) of the largest changes no digit of a sum.
_NEGLIGIBLE = 38.0
_NEWTON_STEPS = 8
_CHUNK = 4096


class RunningSums:
    """Sums of terms over any stretch of whole numbers, as exact as the terms.

    Differences of plain running sums lose the digits of what lies before the stretch (a day's term after 30 years of
    them); here the rounding of every addition is kept and summed as well.
    """

    def __init__(self, terms: Floats) -> None:
        high = np.concatenate([np.zeros(1), np.cumsum(terms)])
        before, after = high[:-1], high[1:]
        added = after - before
        lost = (before - (after - added)) + (terms - added)
        self._high, self._low = high, np.concatenate([np.zeros(1), np.cumsum(lost)])

    def between(self, start: Whole | int, end: Whole | int) -> Floats:
        """Sum of the terms start..end-1, of the broadcast shape."""
        return np.asarray((self._high[end] - self._high[start]) + (self._low[end] - self._low[start]))


def whole_numbers(end: float) -> Floats:
    """0, 1, ..., end - 1 as floats."""
    return np.arange(end, dtype=np.float64)


def tosses_survived(a: float, b: float, most: int) -> RunningSums:
    """-log (b)_j / (a+b)_j as running sums over up to `most` tosses: minus the log of the chance to survive them."""
    return RunningSums(np.log1p(a / (b + whole_numbers(most))))


def expected_periods(a: float, b: float, survived: Whole, periods: Whole) -> Floats:
    """Sum over j < `periods` of (b+s)_j / (a+b+s)_j: periods alive among the next ones, the very next one for sure.

    s = `survived` >= 1 tosses; shapes broadcast. The sum telescopes to (a+b+s-1)/(a-1) [1 - (b+s)_h / (a+b+s-1)_h],
    whose singularity at a = 1 is removable: with Q = sum log1p((a-1)/(b+s+j)) / (a-1), all terms of one sign, it is
    (a+b+s-1) (1 - exp(-(a-1) Q)) / (a-1).
    """
    excess = a - 1.0
    # From the first toss that is asked for on: b + 0 may be next to 0.
    steps = np.maximum(b + whole_numbers(float(np.max(survived + periods, initial=0))), 1.0)
    terms = np.log1p(excess / steps) / excess if excess else 1.0 / steps
    q = RunningSums(terms).between(survived, survived + periods)
    grown = -np.expm1(-excess * q) / excess if excess else q
    return np.asarray((a + b + (survived - 1.0)) * grown)


def discounted_periods(a: float, b: float, survived: Whole, rate: float, periods: float = np.inf) -> Floats:
    """Sum over j < `periods` of exp(-rate j) (b+s)_j / (a+b+s)_j, shape of `survived` (n,): the first undiscounted.

    s = `survived` >= 1; `rate`: continuous, per period, above 0 where `periods` is infinite. With v = exp(-rate) it is
    E[(1 - (v (1-theta))^h) / (1 - v (1-theta))], theta ~ beta(a, b+s), positive throughout: the trapezoidal rule in
    u = logit theta, where the weight theta^a (1-theta)^(b+s) is log-concave and the left tail a geometric series.
    """
    s = np.asarray(survived, dtype=np.float64)
    result = np.empty(s.shape)
    for start in range(0, s.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _by_rule(a, b + s[part], rate, periods)
    return result


def _by_rule(a: float, b: Floats, rate: float, periods: float) -> Floats:
    with np.errstate(over="ignore"):
        most = periods if np.isfinite(periods) else float(1.0 / np.expm1(rate))
    narrowest = b + periods if np.isfinite(periods) else b
    step = 2.0 * np.pi / np.sqrt(_WIDE + _NARROW / (1.0 / a + 1.0 / narrowest))
    peak = np.log(a / b)
    top = _log_weight(a, b, peak)
    # Where theta is that small, nothing but the weight changes any more; further left there is only the series.
    low = -np.log(a + b + most) - _NEGLIGIBLE
    # The periods on the left are at most `most`, those at the peak about b / a of them or all.
    low = _falls_to(top - _NEGLIGIBLE - np.log1p(most * (a + b) / b), a, b, low)
    high = _falls_to(top - _NEGLIGIBLE, a, b, np.maximum(peak, 0.0) + _NEGLIGIBLE)
    nodes = np.ceil((high - low) / step) + 1.0
    weights, total = np.zeros(b.shape), np.zeros(b.shape)
    for k in range(int(np.max(nodes))):
        u = low + step * k
        log_stay = -np.logaddexp(0.0, u)
        weight = np.where(k < nodes, np.exp(a * (u + log_stay) + b * log_stay - top), 0.0)
        if k == 0:
            weight *= 1.0 + 1.0 / np.expm1(a * step)
        weights += weight
        total += weight * (np.expm1(periods * (log_stay - rate)) / np.expm1(log_stay - rate))
    return total / weights


def _log_weight(a: float, b: Floats, u: Floats) -> Floats:
    log_stay = -np.logaddexp(0.0, u)
    return np.asarray(a * (u + log_stay) + b * log_stay)


def _falls_to(target: Floats, a: float, b: Floats, u: Floats) -> Floats:
    """From outside towards where the log weight is `target`, by Newton: it is concave, so no step goes too far."""
    for _ in range(_NEWTON_STEPS):
        theta = expit(u)
        u = u - np.minimum(_log_weight(a, b, u) - target, 0.0) / (a * (1.0 - theta) - b * theta)
    return u
