"""The likelihood of BG/BB and what follows from it: Fader, Hardie & Shang (2010), eq. 5 and eq. 11.

Belongs here: log-likelihood, its gradient and P(alive) of rows (x, t_x, n) of whole numbers. Not here: the sum over when a
silent customer died (mathematics/silent_opportunities.py), the model (bg_bb.py).

    L = B(alpha+x, beta+n-x)/B(alpha, beta) B(gamma, delta+n)/B(gamma, delta)
        + sum_{i=t_x}^{n-1} B(alpha+x, beta+i-x)/B(alpha, beta) B(gamma+1, delta+i)/B(gamma, delta)      (eq. 5)

is taken as C B: C = (alpha)_x (beta)_{t_x-x} / (alpha+beta)_{t_x} (delta)_{t_x} / (gamma+delta)_{t_x}, the chance of what
was seen up to t_x, and B that of the silence since then. Ratios of gamma functions a whole number apart are finite
products, summed as logs once over the whole numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvm_pipeline.domain.lifetime_value.mathematics.beta_lifetimes import (
    RunningSums,
    Whole,
    tosses_survived,
    whole_numbers,
)
from cvm_pipeline.domain.lifetime_value.mathematics.silent_opportunities import Silence, Silences
from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories, dot

NAMES = ("alpha", "beta", "gamma", "delta")
# Below it a product may have lost digits to underflow.
_SMALL = 1e-290


class Point(NamedTuple):
    """Parameters: buying (alpha, beta) and death (gamma, delta)."""

    alpha: float
    beta: float
    gamma: float
    delta: float

    @classmethod
    def of(cls, values: Floats) -> Point:
        """From an array (4,)."""
        return cls(*map(float, values))


class Rows(NamedTuple):
    """Histories: x transactions, the last at opportunity t of n; arrays of one length."""

    x: Whole
    t: Whole
    n: Whole

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Rows:
        """Raises ValueError, with the rule and the row, where a value is not whole or a history impossible."""
        counts, n = whole_pairs(x, T)
        t = np.asarray(t_x, dtype=np.float64)
        _require(t == np.floor(t), "recency must be a whole number of opportunities", counts, n, t)
        _require(t <= n, "recency is at most T", counts, n, t)
        _require(counts <= t, "frequency is at most recency: one transaction an opportunity", counts, n, t)
        _require((counts > 0) | (t == 0), "recency is 0 where frequency is 0", counts, n, t)
        return cls(counts, t.astype(np.int64), n)

    def only(self, which: Whole) -> Rows:
        """Some of the rows."""
        return Rows(*(column[which] for column in self))


def whole_pairs(x: ArrayLike, T: ArrayLike) -> tuple[Whole, Whole]:
    """x and T as whole numbers. Raises ValueError, with the rule and the row, where they are not or x exceeds T."""
    x, T = np.asarray(x, dtype=np.float64), np.asarray(T, dtype=np.float64)
    _require((x == np.floor(x)) & (x >= 0), "frequency must be a whole number, 0 or more", x, T)
    _require(np.floor(T) == T, "T must be a whole number of opportunities", x, T)
    _require(x <= T, "frequency is at most T: one transaction an opportunity", x, T)
    return x.astype(np.int64), T.astype(np.int64)


def _require(
    holds: NDArray[np.bool_], rule: str, x: Floats | Whole, T: Floats | Whole, t_x: Floats | None = None
) -> None:
    if not holds.all():
        row = int(np.argmin(holds))
        recency = "" if t_x is None else f", recency {t_x[row]:g}"
        raise ValueError(f"{rule}; row {row} has frequency {x[row]:g}{recency}, T {T[row]:g}")


def log_likelihood(point: Point, rows: Rows) -> Floats:
    """log L of each row, (n,)."""
    return _log_likelihood(point, rows, Silences(*rows, slopes=False).at(*point))


def gradient(point: Point, rows: Rows) -> Floats:
    """d log L / d (alpha, beta, gamma, delta), (n, 4)."""
    return _gradient(point, rows, Silences(*rows, slopes=True).at(*point))


def log_alive(point: Point, rows: Rows) -> Floats:
    """log P(alive for opportunity n + 1 | x, t_x, n), (n,)."""
    _, _, gamma, delta = point
    n = rows.n
    silence = Silences(*rows, slopes=False).at(*point)
    small = silence.product < _SMALL
    log_product = np.log(np.where(small, 1.0, silence.product))
    if small.any():
        log_product[small] = _log_product(point, rows.only(np.flatnonzero(small)))
    dead = silence.total > 0
    # Odds of having died by n: gamma S / ((gamma+delta+n) P).
    log_odds = np.log(np.where(dead, silence.total, 1.0) * gamma / (gamma + delta + n)) - log_product
    return -np.log1p(gamma / (delta + n)) - np.where(dead, np.logaddexp(0.0, log_odds), 0.0)


class Likelihood:
    """LL of a base and its gradient at (alpha, beta, gamma, delta). Raises ValueError as `Rows.of`."""

    def __init__(self, histories: PurchaseHistories) -> None:
        self._rows = Rows.of(histories.frequency, histories.recency, histories.T)
        self._silences = Silences(*self._rows, slopes=True)
        self._count = histories.count

    def __call__(self, point: Floats) -> tuple[float, Floats, None]:
        own = Point.of(point)
        silence = self._silences.at(*own)
        slopes = _gradient(own, self._rows, silence)
        value = dot(self._count, _log_likelihood(own, self._rows, silence))
        return value, np.array([dot(self._count, slope) for slope in slopes.T]), None


def _log_likelihood(point: Point, rows: Rows, silence: Silence) -> Floats:
    """log C + log B."""
    _, _, gamma, delta = point
    x, t, n = rows
    silent = np.log((gamma * silence.total + (gamma + delta + n) * silence.product) / (gamma + delta + t))
    new = x == 0
    if new.any():
        # Next to certain silence its chance has no digits left; that of any transaction has all of them.
        some = _some_transaction(point, n[new])
        silent[new] = np.where(some < 0.5, np.log1p(-np.minimum(some, 0.5)), silent[new])
    return _log_seen(point, x, t) + silent


def _log_seen(point: Point, x: Whole, t: Whole) -> Floats:
    """log C: minus sums of positive terms, of which none is the small difference of two large ones."""
    alpha, beta, gamma, delta = point
    missed = t - x
    most_x, most_missed, most = (int(np.max(column, initial=0)) for column in (x, missed, t))
    either = RunningSums(np.log(alpha + beta + whole_numbers(most)))
    hit = RunningSums(np.log(alpha + whole_numbers(most_x)))
    miss = RunningSums(np.log(beta + whole_numbers(most_missed)))
    # (alpha)_x / (alpha+beta)_x times a ratio of (.)_missed, or the other way round: the one that is far from 1.
    by_hits = tosses_survived(beta, alpha, most_x).between(0, x) + (either.between(x, t) - miss.between(0, missed))
    by_misses = tosses_survived(alpha, beta, most_missed).between(0, missed) + (
        either.between(missed, t) - hit.between(0, x)
    )
    bought = np.where(alpha + x >= beta + missed, by_hits, by_misses)
    return -bought - tosses_survived(gamma, delta, most).between(0, t)


def _some_transaction(point: Point, n: Whole) -> Floats:
    """P(X(n) > 0): the first transaction at any of the n opportunities."""
    alpha, beta, gamma, delta = point
    m = whole_numbers(float(np.max(n)))
    live = (delta + m) / (gamma + delta + m)
    silent = np.cumprod((beta + m) / (alpha + beta + m) * live)
    first = np.concatenate([np.ones(1), silent])[: m.size] * live * alpha / (alpha + beta + m)
    return RunningSums(first).between(0, n)


def _log_product(point: Point, rows: Rows) -> Floats:
    """log P by sums of logs: right to some 1e-11, which is enough where it is below -600."""
    alpha, beta, gamma, delta = point
    x, t, n = rows
    m = whole_numbers(float(np.max(n)))
    either, missed = RunningSums(np.log(alpha + beta + m)), RunningSums(np.log(beta + m))
    silent = missed.between(t - x, n - x) - either.between(t, n) - tosses_survived(gamma, delta, m.size).between(t, n)
    return silent + np.log((gamma + delta + t) / (gamma + delta + n))


def _gradient(point: Point, rows: Rows, silence: Silence) -> Floats:
    """d (log C + log B) / d (alpha, beta, gamma, delta), (n, 4)."""
    alpha, beta, gamma, delta = point
    x, t, n = rows
    m = whole_numbers(float(np.max(t, initial=0)))
    either = RunningSums(1.0 / (alpha + beta + m))
    hit = RunningSums(beta / ((alpha + m) * (alpha + beta + m)))
    miss = RunningSums(alpha / ((beta + m) * (alpha + beta + m)))
    alive, at_t = gamma + delta + n, gamma + delta + t
    slopes = gamma * silence.total_slopes + (alive * silence.product)[:, None] * silence.log_product_slopes
    slopes[:, 2] += silence.total
    slopes[:, 2:] += silence.product[:, None]
    slopes /= (gamma * silence.total + alive * silence.product)[:, None]
    slopes[:, 2:] -= (1.0 / at_t)[:, None]
    slopes[:, 0] += hit.between(0, x) - either.between(x, t)
    slopes[:, 1] += miss.between(0, t - x) - either.between(t - x, t)
    slopes[:, 2] -= RunningSums(1.0 / (gamma + delta + m)).between(0, t)
    slopes[:, 3] += RunningSums(gamma / ((delta + m) * (gamma + delta + m))).between(0, t)
    return slopes
