"""The log-likelihood of a whole base under gamma rates and beta dropout, with gradient and Hessian in (r, alpha, a, b).

Belongs here: sums over histories, arranged so that a search costs little. Not here: the likelihood of one row
(geometric_dropout.py, whose module docstring has the formula), the search (estimation/maximum_likelihood.py).

With s tosses survived by who is alive, and d the log odds of being dead, log L of a row is

    log (r)_x - x log alpha + log (b)_s/(a+b)_s - (r+x) log(1 + T/alpha) + 1{s>0} log(1 + e^d),
    d = log a - log(b+s-1) + (r+x) [log(1 + T/alpha) - log(1 + t_x/alpha)].

- The first three depend on x alone. Ratios of gamma functions a whole number apart are finite products,
  Gamma(r+x)/Gamma(r) = r (r+1) ... (r+x-1) and B(a, b+s)/B(a, b) = prod (b+i)/(a+b+i): summed once over i with the
  customers that reach i, they keep every digit where gammaln would cancel (b = 1e5 in a base without dropout).
- The fourth is summed over distinct T.
- The last is all that is left to do row by row. Rows are sorted by x, so that what depends on x waits until the rows of
  an x are summed; logarithms are looked up by day where histories lie on a grid of days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories, dot

# Rows evaluated at once: the working arrays stay in a core's cache.
_CHUNK = 16_384
# Longer grids than this (three thousand years of days) are no grid.
_LONGEST_GRID = 2**20


class BaseLikelihood:
    """LL of grouped histories as a function of (r, alpha, a, b): LL, gradient (4,), Hessian (4, 4). Sorted by x."""

    def __init__(self, grouped: PurchaseHistories, first_toss: int) -> None:
        x, count = grouped.frequency, grouped.count
        # Customers with more than i repeats, and with more than i tosses survived.
        self._more_x, self._more_s = _exceeding(x, count), _exceeding(x + first_toss, count)
        self._transactions = dot(x, count)
        self._customers = grouped.customers
        self._days = _Days.of(grouped)
        of_T = grouped.T if self._days is None else self._days.values
        where = np.arange(x.size) if self._days is None else self._days.T
        self._T = of_T
        self._count_of_T = np.bincount(where, count, of_T.size).astype(np.float64)
        self._x_of_T = np.bincount(where, count * x, of_T.size).astype(np.float64)
        tossed = int(np.searchsorted(x, 1.0 - first_toss))
        self._rows = slice(tossed, x.size)
        self._histories = grouped
        kept = x[self._rows]
        self._starts = np.flatnonzero(np.r_[True, np.diff(kept) != 0])[: kept.size]
        self._x = kept[self._starts]
        self._before_last = self._x + (first_toss - 1.0)

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats]:
        r, alpha, a, b = map(float, point)
        value, gradient, hessian = self._without_death(r, alpha, a, b)
        shape, last = r + self._x, b + self._before_last
        deaths, sums = self._deaths(r, alpha, a, last)
        dead, dead_silence, dead_rate, dead_bend = sums[:4]
        # Of d by r, alpha, a, b, as far as x gives it: the rest of the first two, silence and rate, is inside the sums.
        slope_a, slope_b = np.full(last.size, 1.0 / a), -1.0 / last
        gradient += [dead_silence.sum(), dot(dead_rate, shape), dot(dead, slope_a), dot(dead, slope_b)]
        spread, silent, slower, silent2, silent_slower, slower2 = sums[4:]
        bends = (
            (0, 0, silent2.sum()),
            (0, 1, dot(silent_slower, shape) + dead_rate.sum()),
            (0, 2, dot(silent, slope_a)),
            (0, 3, dot(silent, slope_b)),
            (1, 1, dot(slower2, shape * shape) - dot(dead_bend, shape)),
            (1, 2, dot(slower, shape * slope_a)),
            (1, 3, dot(slower, shape * slope_b)),
            (2, 2, dot(spread - dead, slope_a * slope_a)),
            (2, 3, dot(spread, slope_a * slope_b)),
            (3, 3, dot(spread + dead, slope_b * slope_b)),
        )
        for row, column, bend in bends:
            hessian[row, column] += bend
            hessian[column, row] = hessian[row, column]
        return value + deaths, gradient, hessian

    def _without_death(self, r: float, alpha: float, a: float, b: float) -> tuple[float, Floats, Floats]:
        """All but the last term of the module docstring's log L."""
        rates = r + np.arange(self._more_x.size, dtype=np.float64)
        survived = b + np.arange(self._more_s.size, dtype=np.float64)
        total = a + survived
        T, n, x = self._T, self._count_of_T, self._x_of_T
        since, end = np.log1p(T / alpha), 1.0 / (alpha + T)
        value = (
            dot(self._more_x, np.log(rates)) - dot(self._more_s, np.log1p(a / survived))
            - r * dot(n, since) - dot(x, since) - self._transactions * np.log(alpha)
        )  # fmt: skip
        gradient = np.array(
            [
                dot(self._more_x, 1.0 / rates) - dot(n, since),
                dot(n * (r * T / alpha) - x, end),
                -dot(self._more_s, 1.0 / total),
                dot(self._more_s, a / (survived * total)),
            ]
        )
        hessian = np.zeros((4, 4))
        hessian[0, 0] = -dot(self._more_x, 1.0 / rates**2)
        hessian[0, 1] = hessian[1, 0] = dot(n, T / alpha * end)
        # d/d alpha of [r T/alpha - x] / (alpha + T).
        hessian[1, 1] = -dot(n, r * T / alpha**2 * end) - dot(n * (r * T / alpha) - x, end * end)
        hessian[2, 2] = hessian[2, 3] = hessian[3, 2] = dot(self._more_s, 1.0 / total**2)
        hessian[3, 3] = -dot(self._more_s, a * (total + survived) / (survived * total) ** 2)
        return float(value), gradient, hessian

    def _deaths(self, r: float, alpha: float, a: float, last: Floats) -> tuple[float, Floats]:
        """Sum of log(1 + e^d), and what its derivatives are made of, summed over the rows of each x, shape (10, xs).

        With P = P(dead), Q = P (1 - P), u = d/dr of d ("silence") and w = du/dalpha ("rate"), the sums of
        P, P u, P w, -P dw/dalpha, Q, Q u, Q w, Q u^2, Q u w, Q w^2.
        """
        days, h = self._days, self._histories
        table = None if days is None else (np.log1p(days.values / alpha), 1.0 / (alpha + days.values))
        sums = np.zeros((10, self._x.size))
        value = 0.0
        shape, odds = r + self._x, np.log(a) - np.log(last)
        ends = np.r_[self._starts[1:], h.T.size - self._rows.start]
        for start in range(self._rows.start, h.T.size, _CHUNK):
            rows = slice(start, min(start + _CHUNK, h.T.size))
            offset = start - self._rows.start
            # The x that the chunk holds, and where each begins in it.
            first, last_x = np.searchsorted(ends, [offset, offset + rows.stop - start - 1], side="right")
            held = slice(first, last_x + 1)
            begins = np.maximum(self._starts[held] - offset, 0)
            lengths = np.diff(np.r_[begins, rows.stop - start])
            if days is None or table is None:
                since_T, since_t = np.log1p(h.T[rows] / alpha), np.log1p(h.recency[rows] / alpha)
                end_T, end_t = 1.0 / (alpha + h.T[rows]), 1.0 / (alpha + h.recency[rows])
            else:
                (since_T, since_t), (end_T, end_t) = (
                    (column.take(days.T[rows]), column.take(days.t_x[rows])) for column in table
                )
            silence, rate = since_T - since_t, end_T - end_t
            d = np.repeat(shape[held], lengths) * silence
            d += np.repeat(odds[held], lengths)
            count, small = h.count[rows], np.exp(-np.abs(d))
            value += dot(count, np.maximum(d, 0.0) + np.log1p(small))
            larger = count / (1.0 + small)
            dead = np.where(d > 0, larger, larger * small)
            spread = larger * small / (1.0 + small)
            dead_rate, silent, slower = dead * rate, spread * silence, spread * rate
            terms = (
                dead, dead * silence, dead_rate, dead_rate * (end_T + end_t),
                spread, silent, slower, silent * silence, silent * rate, slower * rate,
            )  # fmt: skip
            for total, term in zip(sums, terms, strict=True):
                total[held] += np.add.reduceat(term, begins)
        return value, sums


@dataclass(frozen=True, eq=False)
class _Days:
    """Histories on a grid of whole days: the durations that there are, and which of them each row's T and t_x are."""

    values: Floats
    T: NDArray[np.int32]
    t_x: NDArray[np.int32]

    @classmethod
    def of(cls, histories: PurchaseHistories) -> _Days | None:
        """None where some duration is no whole number of days."""
        unit = histories.time_unit_days
        longest = float(np.max(histories.T, initial=0.0)) * unit
        if longest > _LONGEST_GRID:
            return None
        values = np.arange(np.rint(longest) + 1.0) / unit
        places = []
        for column in (histories.T, histories.recency):
            place = np.rint(column * unit).astype(np.int32)
            if not np.array_equal(values.take(place), column):
                return None
            places.append(place)
        return cls(values, *places)


def _exceeding(whole: Floats, count: Floats) -> Floats:
    """Customers whose value exceeds i, for i = 0..largest - 1."""
    of = np.bincount(whole.astype(np.int64), weights=count)
    return of[::-1].cumsum()[::-1][1:].astype(np.float64)
