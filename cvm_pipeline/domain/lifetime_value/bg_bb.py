"""BG/BB: Fader, Hardie & Shang (2010), "Customer-Base Analysis in a Discrete-Time Noncontractual Setting", Marketing
Science 29(6).

Belongs here: fit, expectations, probabilities and simulation of customers who may buy once at each of a row of
opportunities. Not here: likelihood and P(alive) (bg_bb_likelihood.py), the periods that are left to a customer
(mathematics/beta_lifetimes.py), the search (estimation/maximum_likelihood.py).

**The unit of time is the opportunity**; in the pipeline it is a day, and a transaction a day with an order. So T = n
opportunities since the first transaction, t_x the last one with a transaction, x <= t_x of them with one, all whole.
Before each opportunity a living customer dies with chance theta ~ beta(gamma, delta); alive, it buys with chance
p ~ beta(alpha, beta).

**Alive** means: for the next opportunity, n + 1, as in eq. 11. So a customer is alive with a chance below 1 even right after
a transaction, and a new one with delta / (gamma+delta); what the protocol derives for a new customer from the history
(0, 0, 0) is the paper's E[X(n)] (eq. 8) and P(X(n) = x) (eq. 7).

What happens within h opportunities when h is not whole: expectations lie on the straight line between the whole numbers
around it, probabilities of counts are those of the whole number below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from cvm_pipeline.domain.lifetime_value.bg_bb_likelihood import (
    NAMES,
    Likelihood,
    Point,
    Rows,
    gradient,
    log_alive,
    log_likelihood,
    whole_pairs,
)
from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.mathematics.beta_lifetimes import discounted_periods, expected_periods
from cvm_pipeline.domain.lifetime_value.protocol import (
    Fit,
    Floats,
    Parameters,
    PurchaseHistories,
    TransactionModel,
    dot,
)

# alpha, then beta in the ratio of misses to transactions; gamma, then delta in mean opportunities: steady and mixed
# buyers, early and late deaths.
_STARTS = ((1.0, 1.0, 0.5, 1.0), (0.5, 0.3, 1.0, 0.3), (3.0, 0.5, 0.3, 3.0), (0.3, 2.0, 0.1, 0.1))
_LOW, _HIGH = np.full(4, 1e-4), np.full(4, 1e6)
_EXPLORED = 5_000
# A chance of death below one in a million opportunities is none.
_NO_DEATH = 1e-6
# Probabilities of counts: numbers at a time, and steps after which they are scaled anew (each is at most 1e4 or so).
_PMF_CHUNK, _SCALED = 100_000, 16


class BgBb(TransactionModel):
    """Parameters by the paper's letters: alpha, beta (buying), gamma, delta (death)."""

    name = "bg_bb"
    parameter_names = NAMES
    time_powers = MappingProxyType({})
    knows_p_alive = False  # metrics.md names two, of customers who can buy at any time
    own_unit_days = 1.0

    def fit(self, histories: PurchaseHistories) -> Fit:
        """Maximum likelihood; the histories' unit is the opportunity. Raises ValueError where a row is not whole."""
        grouped = histories.grouped()
        customers, unit = grouped.customers, grouped.time_unit_days
        opportunities, transactions = dot(grouped.T, grouped.count), dot(grouped.frequency, grouped.count)
        if opportunities == 0:
            return Fit.impossible(customers, "nobody had an opportunity to buy again", unit)
        if transactions == 0:
            return Fit.impossible(customers, "nobody bought again: deaths and never buying look the same", unit)
        likelihood = Likelihood(grouped)
        explore = Likelihood(grouped.thinned(_EXPLORED)) if grouped.T.size > _EXPLORED else None
        odds = (opportunities - transactions + 0.5) / transactions
        scale = np.array([1.0, odds, 1.0, opportunities / customers])
        starts = [scale * [a, a * b, g, g * d] for a, b, g, d in _STARTS]
        found = maximise(NAMES, likelihood, customers, starts, _LOW, _HIGH, explore)
        fit = found.as_fit(NAMES, customers, unit)
        share = fit.parameters["gamma"] / (fit.parameters["gamma"] + fit.parameters["delta"])
        if share >= _NO_DEATH:
            return fit
        why = f"no death is seen (mean {share:.0e} an opportunity): everybody counts as alive"
        return replace(fit, note=f"{why}; {fit.note}" if fit.note else why)

    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Eq. 5, log; 0 where there was no opportunity."""
        return _by_parameters(log_likelihood, parameters, x, t_x, T)

    def gradient_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """d log L / d (alpha, beta, gamma, delta), (n, 4)."""
        return _by_parameters(gradient, parameters, x, t_x, T)

    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Eq. 11: alive for opportunity T + 1."""
        return _by_parameters(log_alive, parameters, x, t_x, T)

    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        """Eq. 13 over eq. 11: (alpha+x)/(alpha+beta+n) times the opportunities before death, linear between whole h."""
        alpha, beta, gamma, delta = (parameters[name] for name in NAMES)
        x_, n = whole_pairs(x, T)
        ahead = np.atleast_1d(np.asarray(horizon, dtype=np.float64))
        whole = np.floor(ahead).astype(np.int64)
        distinct, where = np.unique(n, return_inverse=True)
        below, above = (expected_periods(gamma, delta, distinct[:, None] + 1, h) for h in (whole, whole + 1))
        path = below + (ahead - whole) * (above - below)
        return ((alpha + x_) / (alpha + beta + n))[:, None] * path[where]

    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        """Eq. 7 of a customer whose chances are those after (x, T) and who is alive for opportunity T + 1."""
        alpha, beta, gamma, delta = (parameters[name] for name in NAMES)
        x_, n = whole_pairs(x, T)
        wanted = np.asarray(counts, dtype=np.float64)
        order = np.argsort(wanted, kind="stable")
        result = np.zeros((n.size, wanted.size))
        step = max(1, _PMF_CHUNK // max(1, wanted.size))
        for start in range(0, n.size, step):
            x_part, n_part = (column[start : start + step].astype(np.float64) for column in (x_, n))
            a, b, live = alpha + x_part, beta + (n_part - x_part), delta + (n_part + 1.0)
            result[start : start + step, order] = _pmf(a, b, gamma, live, wanted[order], int(horizon))
        return result

    def residual_while_alive(self, parameters: Parameters, rate: float, x: Floats, T: Floats) -> Floats:
        """Eq. 14 over eq. 11, with d = exp(rate) - 1 an opportunity: the next one is discounted once."""
        if not rate > 0:
            raise ValueError(f"rate must be above 0, not {rate}")
        alpha, beta, gamma, delta = (parameters[name] for name in NAMES)
        x_, n = whole_pairs(x, T)
        distinct, where = np.unique(n, return_inverse=True)
        periods = np.exp(-rate) * discounted_periods(gamma, delta, distinct + 1, rate)
        return np.asarray((alpha + x_) / (alpha + beta + n) * periods[where])

    def simulate(
        self, parameters: Parameters, T: Floats, horizon: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """One customer per T: whole numbers of opportunities; `horizon` is rounded down."""
        alpha, beta, gamma, delta = (parameters[name] for name in NAMES)
        _, n = whole_pairs(np.zeros(np.size(T)), T)
        p, theta = rng.beta(alpha, beta, n.size), rng.beta(gamma, delta, n.size)
        lived = _tails_before_heads(theta, rng)
        seen = np.minimum(lived, n)
        # Told backwards: misses since the last transaction, then the transactions before it.
        last = np.maximum(seen - _tails_before_heads(p, rng), 0.0)
        x = np.where(last > 0, 1.0 + rng.binomial(np.maximum(last - 1.0, 0.0).astype(np.int64), p), 0.0)
        ahead = np.clip(lived - n, 0.0, np.floor(horizon)).astype(np.int64)
        return x, last, rng.binomial(ahead, p).astype(np.float64)


def _tails_before_heads(chance: Floats, rng: np.random.Generator) -> Floats:
    """Tosses before the first success; infinite where there is no chance."""
    with np.errstate(divide="ignore"):
        return np.floor(rng.standard_exponential(chance.size) / -np.log1p(-chance))


def _by_parameters(
    score: Callable[[Point, Rows], Floats], parameters: Parameters, x: Floats, t_x: Floats, T: Floats
) -> Floats:
    """`score` of the rows at their own parameters, which are alike or an array (n,)."""
    rows = Rows.of(x, t_x, T)
    own = np.stack(np.broadcast_arrays(*(np.asarray(parameters[name], dtype=np.float64) for name in NAMES)), axis=-1)
    if own.ndim == 1:
        return score(Point.of(own), rows)
    distinct, where = np.unique(own, axis=0, return_inverse=True)
    parts = [np.flatnonzero(where.ravel() == i) for i in range(len(distinct))]
    scored = [score(Point.of(at), rows.only(alike)) for at, alike in zip(distinct, parts, strict=True)]
    return np.concatenate(scored)[np.argsort(np.concatenate(parts))]


def _pmf(a: Floats, b: Floats, gamma: float, live: Floats, counts: Floats, h: int) -> Floats:
    """P(m of the next h | alive for the first) for p ~ beta(a, b), theta ~ beta(gamma, live): (n, m), `counts` rising.

    Over the opportunities k that the customer lives to see: P(k) C(k, m) B(a+m, b+k-m) / B(a, b). Each term is the one
    before times a ratio, and carries its own power of two: no logarithm is taken of what spans thousands of digits.
    """
    term = np.zeros((a.size, counts.size))
    total, power = np.zeros_like(term), np.zeros(term.shape, dtype=np.int32)
    # All of the first k bought and survived: where the count k begins.
    every, every_power = a / (a + b), np.zeros(a.size, dtype=np.int32)
    if h == 0:
        return np.broadcast_to(counts == 0, term.shape).astype(np.float64)
    term[:, counts == 0] = (b / (a + b))[:, None]
    for k in range(1, h + 1):
        known, started = np.searchsorted(counts, [k, k + 1])
        if k > 1:
            lives, m = 1.0 / (1.0 + gamma / (live + (k - 2))), counts[:known]
            # As 1 / (1 + y): a rounding that b + k and a + b + k share over thousands of k would add up.
            misses = 1.0 + (a[:, None] + m) / (b[:, None] + (k - 1 - m))
            term[:, :known] *= lives[:, None] * (k / (k - m)) / misses
            every = every * lives / (1.0 + b / (a + (k - 1)))
        term[:, known:started], power[:, known:started] = every[:, None], every_power[:, None]
        ends = gamma / (gamma + live + (k - 1)) if k < h else np.ones(a.size)
        total[:, :started] += term[:, :started] * ends[:, None]
        if k % _SCALED == 0:
            step = np.frexp(np.maximum(term[:, :started], total[:, :started]))[1]
            for numbers in (term, total):
                numbers[:, :started] = np.ldexp(numbers[:, :started], -step)
            power[:, :started] += step
            every, step = np.frexp(every)
            every_power = every_power + step
    return np.where(counts >= 0, np.ldexp(total, power), 0.0)


MODEL = BgBb()
