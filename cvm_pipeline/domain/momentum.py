"""Momentum: the posterior probability that rate x spend rose from an earlier window to a later one.

Belongs here: that probability, for the stage `growing`.
Not here: which windows are compared (`lifecycle.py`), the fit of the priors (`lifetime_value/`).

Within a window of length L with n transactions and net sales S the rate is Gamma(r + n, alpha + L) (Fader,
Hardie & Lee 2005, the mixing distribution of the transaction rate) and the mean spend is p / nu with nu ~
Gamma(p n + q, v + S) (Fader & Hardie 2013, eq. 1a-3: z_i ~ Gamma(p, nu), nu ~ Gamma(q, v)). Windows are
independent, so the product rose when

    ln(lambda_2 / lambda_1) > ln(nu_2 / nu_1).

For G_i ~ Gamma(a_i, 1) the ratio ln(G_2 / G_1) is the logit of a Beta(a_2, a_1) variable: both sides are a
logit-beta and a constant. Given one side, the probability of the other is a beta CDF, exact; what remains is
one integral. It is taken over the *narrower* of the two (by variance, a sum of trigammas), on whose scale the
CDF of the wider one is smooth, by Gauss-Legendre quadrature of its density, normalised by the same rule. The
density of the logit of Beta(u, d) is Gaussian about ln(u / d) with variance (u + d) / (u d) and falls off as
exp(u z) and exp(-d z): that gives the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

# Ranges in units of the density's finest detail, and the nodes that resolve them to 2e-4; most rows need the first.
_RULES = ((22.0, 26), (88.0, 104), (np.inf, 384))
# Function values at once: memory stays within a few tens of MB.
_VALUES = 1 << 20


@dataclass(frozen=True)
class Prior:
    """The population: rate ~ Gamma(r, alpha), alpha in **days** (the model's alpha x the days of its unit);
    spend by p, q, v.

    p, q and v are None together where spend has no model: then spend counts as constant and the rate alone
    decides.
    """

    r: float
    alpha: float
    p: float | None = None
    q: float | None = None
    v: float | None = None


@dataclass(frozen=True)
class Window:
    """What happened in a window, each (n,): transactions, net sales (project currency), length in days."""

    transactions: Floats
    sales: Floats
    days: Floats


def probability_of_rise(earlier: Window, later: Window, prior: Prior) -> Floats:
    """P(rate x spend is larger in the later window), (n,), within 5e-4 of the exact posterior.

    Sales below 0 (more taken back than bought) count as 0: the posterior of spend is defined on positive
    sales only.
    """
    a1, a2 = prior.r + earlier.transactions, prior.r + later.transactions
    shift = np.log((prior.alpha + earlier.days) / (prior.alpha + later.days))
    if prior.p is None or prior.q is None or prior.v is None:
        return np.asarray(special.betainc(a1, a2, special.expit(shift)))
    c1, c2 = prior.p * earlier.transactions + prior.q, prior.p * later.transactions + prior.q
    shift = shift + np.log((prior.v + np.maximum(later.sales, 0)) / (prior.v + np.maximum(earlier.sales, 0)))
    by_spend = _variance(c1, c2) < _variance(a1, a2)
    narrow_up, narrow_down = np.where(by_spend, c1, a2), np.where(by_spend, c2, a1)
    wide_up, wide_down = np.where(by_spend, a1, c2), np.where(by_spend, a2, c1)
    return _expected_cdf(narrow_up, narrow_down, wide_up, wide_down, shift)


def _variance(up: Floats, down: Floats) -> Floats:
    """Variance of the logit of Beta(up, down)."""
    return np.asarray(special.zeta(2, up) + special.zeta(2, down))


def _expected_cdf(up: Floats, down: Floats, wide_up: Floats, wide_down: Floats, shift: Floats) -> Floats:
    """E[CDF of Beta(wide_up, wide_down) at expit(Z + shift)], Z the logit of Beta(up, down), all (n,)."""
    mode, spread = np.log(up / down), np.sqrt(1 / up + 1 / down)
    low, high = mode - 9 / up - 5 * spread, mode + 9 / down + 5 * spread
    detail = (high - low) / np.minimum(spread, 1.0)
    result = np.empty(len(mode))
    done = np.zeros(len(mode), bool)
    for limit, count in _RULES:
        nodes, weights = _rule(count)
        due = np.flatnonzero(~done & (detail <= limit))
        done[due] = True
        for start in range(0, len(due), _VALUES // count):
            rows = due[start : start + _VALUES // count]
            u, d = up[rows, None], down[rows, None]
            z = (high + low)[rows, None] / 2 + (high - low)[rows, None] / 2 * nodes
            log_density = u * (z - mode[rows, None]) - (u + d) * (
                np.logaddexp(0, z) - np.logaddexp(0, mode[rows, None])
            )
            weight = weights * np.exp(log_density)
            below = special.betainc(wide_up[rows, None], wide_down[rows, None], special.expit(z + shift[rows, None]))
            result[rows] = (weight * below).sum(axis=1) / weight.sum(axis=1)
    return result.clip(0.0, 1.0)


@cache
def _rule(count: int) -> tuple[Floats, Floats]:
    # An eigenvalue problem: 0.1 s for the largest rule.
    return np.polynomial.legendre.leggauss(count)
