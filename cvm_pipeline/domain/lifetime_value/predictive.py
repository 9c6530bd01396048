"""The predictive distribution of a customer's own future: what it will buy and spend within so many days.

Belongs here: the distribution, its quantiles and its distribution function, for any entrant. Not here: correcting it by
what past cuts showed (race/intervals.py), the models behind it.

A customer buys N times: not at all with probability 1 - min(1, level), else as the timing model says of who is alive at
(x, T); a level above 1 makes more of everything by that factor. The N transactions are worth `scale` times a beta prime
(or gamma) variable that depends on N and x alone (mathematics/future_total.py). So everything about a customer is min(1, level), two
scale factors, and a distribution over (x, T): that is tabulated over nodes of x and T, once, and interpolated for each
row. The table's quantiles are those *given that anything is bought*, which vary smoothly where the chance of buying
nothing jumps; against exact computation they are right to some 1e-3, far below what any backtest can see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from cvm_pipeline.domain.lifetime_value.mathematics.future_total import total_cdf
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing, profile_of_distinct
from cvm_pipeline.domain.lifetime_value.spend import Spend

_LOGITS = np.linspace(-9.0, 9.0, 73)
_LEVELS = expit(_LOGITS)
_EXACT_X, _X_RATIO, _T_NODES = 12, 1.25, 14
_RATIOS, _COUNTS = 120, 160
# Rates go with alpha + T: logarithms of totals are straight in log(T + early), early some share of the longest T.
_EARLY = 1.0 / 15.0
_CHUNK = 25_000


@dataclass(frozen=True, eq=False)
class Predictive:
    """The table of one timing and spend model for one horizon: some ten thousand numbers whatever the base's size."""

    x: Floats  # nodes (i,)
    T: Floats  # nodes (j,), days
    buys: Floats  # (i, j): logit P(N >= 1 | alive)
    log_total: Floats  # (i, j, levels): log quantiles of total / scale, given N >= 1
    second_moment: Floats  # (i, j): E[(total / scale)^2 | N >= 1]
    counts: Floats  # (i, j, levels): quantiles of N given N >= 1

    def chance_of_buying(self, level: Floats, x: Floats, T: Floats) -> Floats:
        """P(N >= 1), (n,)."""
        return np.minimum(level, 1.0) * expit(self._at(self.buys, x, T))

    def total_quantile(self, u: Floats, level: Floats, scale: Floats, x: Floats, T: Floats) -> Floats:
        """Quantile of the money spent at probability u (n,), shape (n,); 0 where nothing is bought with at least that."""
        inside, bought = self._given_bought(u, level, x, T)
        total = np.exp(self._at(self.log_total, x, T, inside)) * scale * np.maximum(level, 1.0)
        return np.where(bought, total, 0.0)

    def count_quantile(self, u: Floats, level: Floats, x: Floats, T: Floats) -> Floats:
        """Quantile of N at probability u (n,): whole numbers, shape (n,)."""
        inside, bought = self._given_bought(u, level, x, T)
        count = np.ceil(self._at(self.counts, x, T, inside) * np.maximum(level, 1.0) - 1e-9)
        return np.where(bought, count, 0.0)

    def total_pit(self, spent: Floats, ties: Floats, level: Floats, scale: Floats, x: Floats, T: Floats) -> Floats:
        """Probability integral transform of what was spent, (n,), randomised at 0 by `ties` in [0, 1].

        Less than nothing (returns outweighed sales) counts as nothing: the distribution has no mass there.
        """
        buys = self.chance_of_buying(level, x, T)
        ratio = np.log(np.where(spent > 0, spent, 1.0)) - np.log(scale * np.maximum(level, 1.0))
        below = np.empty(x.size)
        steps = np.arange(_LEVELS.size, dtype=np.float64)
        for start in range(0, x.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            quantiles = self._corner_sum(self.log_total, x[part], T[part])
            place = (quantiles <= ratio[part, None]).sum(axis=1)
            low = np.clip(place - 1, 0, steps.size - 2)
            row = np.arange(low.size)
            left, right = quantiles[row, low], quantiles[row, low + 1]
            share = np.clip((ratio[part] - left) / np.maximum(right - left, 1e-12), 0.0, 1.0)
            below[part] = expit(_LOGITS[low] + share * (_LOGITS[1] - _LOGITS[0]))
        return np.where(spent > 0, 1.0 - buys * (1.0 - below), ties * (1.0 - buys))

    def total_variance(self, mean: Floats, level: Floats, scale: Floats, x: Floats, T: Floats) -> Floats:
        """Variance of the money spent, (n,), of a customer whose expected money is `mean`."""
        square = (scale * np.maximum(level, 1.0)) ** 2 * self._at(self.second_moment, x, T)
        return np.maximum(self.chance_of_buying(level, x, T) * square - mean**2, 0.0)

    def _given_bought(self, u: Floats, level: Floats, x: Floats, T: Floats) -> tuple[Floats, np.ndarray]:
        """The probability u of all customers as one among those who buy, and whether it lies there at all."""
        buys = self.chance_of_buying(level, x, T)
        bought = u > 1.0 - buys
        inside = np.where(bought, 1.0 - (1.0 - u) / np.where(buys > 0, buys, 1.0), 0.5)
        return np.clip(inside, _LEVELS[0], _LEVELS[-1]), bought

    def _at(self, table: Floats, x: Floats, T: Floats, level: Floats | None = None) -> Floats:
        """Linear between the nodes of x and T and, where the table has them, of levels."""
        flat = table.reshape(self.x.size * self.T.size, -1)
        if level is None:
            return self._corner_sum(table, x, T)[:, 0]
        place = (logit(level) - _LOGITS[0]) / (_LOGITS[1] - _LOGITS[0])
        low = np.clip(place.astype(np.int64), 0, _LEVELS.size - 2)
        share = place - low
        result = np.zeros(x.size)
        for corner, weight in self._corners(x, T):
            result += weight * ((1.0 - share) * flat[corner, low] + share * flat[corner, low + 1])
        return result

    def _corner_sum(self, table: Floats, x: Floats, T: Floats) -> Floats:
        flat = table.reshape(self.x.size * self.T.size, -1)
        return sum((weight[:, None] * flat[corner] for corner, weight in self._corners(x, T)), np.zeros((x.size, 1)))

    def _corners(self, x: Floats, T: Floats) -> list[tuple[np.ndarray, Floats]]:
        # And with r + x.
        i, along_x = _place(np.log1p(self.x), np.log1p(x))
        early = self.T[-1] * _EARLY
        j, along_T = _place(np.log(self.T + early), np.log(T + early))
        width = self.T.size
        corners = [
            (i * width + j, (1.0 - along_x) * (1.0 - along_T)),
            (i * width + j + 1, (1.0 - along_x) * along_T),
            ((i + 1) * width + j, along_x * (1.0 - along_T)),
            ((i + 1) * width + j + 1, along_x * along_T),
        ]
        return corners


def _place(nodes: Floats, at: Floats) -> tuple[np.ndarray, Floats]:
    """The node to the left of each value, and how far along to the next; the outermost nodes hold beyond themselves."""
    left = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, nodes.size - 2)
    return left, np.clip((at - nodes[left]) / (nodes[left + 1] - nodes[left]), 0.0, 1.0)


def tabulate(timing: Timing, spend: Spend, days: float, most_x: float, most_T: float) -> Predictive:
    """The table over x up to `most_x` and T up to `most_T` days, for the next `days`."""
    x, T = _x_nodes(most_x), _tenure_nodes(most_T)
    whole = timing.model.own_unit_days
    if whole:
        T = np.unique(np.round(T / whole)) * whole
    buys, second = np.empty((x.size, T.size)), np.empty((x.size, T.size))
    log_total = np.empty((x.size, T.size, _LEVELS.size))
    counts = np.empty_like(log_total)
    p, q, _ = spend.shapes(x, np.zeros_like(x))
    for i in range(x.size):
        at_x = np.full(T.size, x[i])
        # Where time is counted in opportunities, nobody has more transactions than there were.
        at_T = np.maximum(T, x[i] * whole) if whole else T
        mean = profile_of_distinct(timing, np.array([days]), at_x, at_T)[:, 0]
        n = _support(float(mean.max()), x[i])
        none = timing.pmf(np.zeros(1), days, at_x, at_T)[:, 0]
        # Beyond some hundred counts only every k-th is asked, and stands for its neighbours.
        mass = timing.pmf(n, days, at_x, at_T) * np.gradient(n)
        mass = np.maximum(mass, 1e-300)
        mass /= mass.sum(axis=1, keepdims=True)
        some = np.clip(1.0 - none, 1e-300, 1.0 - 1e-16)
        buys[i] = np.log(some) - np.log(np.maximum(none, 1e-300))
        ratios = _ratios(p, float(q[i]), n, mean)
        below = mass @ total_cdf(ratios[:, None], n[None, :], p, float(q[i])).T
        upto = np.cumsum(mass, axis=1)
        for j in range(T.size):
            log_total[i, j] = np.interp(_LOGITS, logit(np.clip(below[j], 1e-300, 1.0 - 1e-16)), np.log(ratios))
            counts[i, j] = n[np.minimum(np.searchsorted(upto[j], _LEVELS - 1e-12), n.size - 1)]
            step = np.diff(below[j], prepend=0.0)
            second[i, j] = (step * np.r_[ratios[0], np.sqrt(ratios[1:] * ratios[:-1])] ** 2).sum()
    return Predictive(x, T, buys, log_total, second, counts)


def _x_nodes(most: float) -> Floats:
    """Each of 0..12, then each a quarter above the last."""
    nodes = [float(n) for n in range(_EXACT_X + 1)]
    while nodes[-1] < most:
        nodes.append(np.ceil(nodes[-1] * _X_RATIO))
    return np.array(nodes)


def _tenure_nodes(most: float) -> Floats:
    """Denser near 0, where a day more changes most: evenly spaced as they are interpolated."""
    early = max(most, 1.0) * _EARLY
    nodes = np.geomspace(early, max(most, 1.0) + early, _T_NODES) - early
    nodes[0] = 0.0
    return nodes


def _support(mean: float, x: float) -> Floats:
    """Counts 1, 2, ... that carry the distribution of N given N >= 1; with gaps where there are many."""
    last = np.ceil(mean + 10.0 * np.sqrt(mean + mean**2 / (x + 1.0)) + 20.0)
    if last <= _COUNTS:
        return np.arange(1.0, last + 1.0)
    dense = np.arange(1.0, _COUNTS / 2.0)
    return np.unique(np.r_[dense, np.round(np.geomspace(_COUNTS / 2.0, last, _COUNTS // 2))])


def _ratios(p: float, q: float, n: Floats, mean: Floats) -> Floats:
    """Grid of total / scale: wide enough for every count, and fine where totals of `mean` transactions lie."""
    unit = p / max(q - 1.0, 0.5) if np.isfinite(q) else p
    wide = np.geomspace(unit * 1e-5, unit * n[-1] * 60.0, _RATIOS // 3)
    fine = np.geomspace(unit * max(mean.min(), 1.0) / 5.0, unit * max(mean.max(), 1.0) * 5.0, _RATIOS)
    return np.unique(np.r_[wide, fine])
