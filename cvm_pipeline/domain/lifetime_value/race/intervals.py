"""Intervals that past windows have corrected: of customers, and of totals of segments (metrics.md, "Interval").

Belongs here: what the transforms (PIT) of ended windows say of the levels to ask the predictive for, and how far totals
are off between cuts. Not here: the predictive (predictive.py), which windows have ended (backtest.py).

A predictive is calibrated where the PIT of what came is uniform. Where the past says it is not, the 10 % quantile is asked
for at the level below which a tenth of past transforms lay (Kuleshov, Fenner & Ermon 2018), in each third of predicted
value; the two target levels move with the misses of each ended window, oldest first, as in Gibbs & Candès (2021):
target <- target + GAIN (0.1 - share outside). One window after another is what one snapshot after another sees.

An end that missed by no more than TOLERANCE is left as it is: one window's misses differ from another's by about that, and
correcting for them costs more than it gains (Online Retail, two cuts: an interval score of 3,931 with, 3,904 without). The
tolerance was set after seeing these scores and CDNOW's: other bases have yet to judge it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from cvm_pipeline.domain.lifetime_value.protocol import Floats

TAIL = 0.1
GROUPS = 3
LEAST_APART = 5
GAIN = 0.3
TOLERANCE = 0.03
# So many transforms weigh as much as the belief that the predictive is right as it is.
_PRIOR = 200.0
_LEAST_TARGET, _MOST_TARGET = 0.01, 0.3


@dataclass(frozen=True, eq=False)
class EndedWindow:
    """One window whose end is known: randomised PIT and predicted value of each customer, (n,)."""

    pit: Floats
    predicted: Floats


@dataclass(frozen=True)
class Correction:
    """Levels at which to ask the predictive for the 10 % and the 90 % quantile, by third of predicted value."""

    low: tuple[float, ...] = (TAIL,) * GROUPS
    high: tuple[float, ...] = (1.0 - TAIL,) * GROUPS
    targets: tuple[float, float] = (TAIL, TAIL)
    windows: int = 0

    def levels(self, group: np.ndarray) -> tuple[Floats, Floats]:
        """The two levels of each row, (n,) each; `group` in 0..2."""
        return np.asarray(self.low)[group], np.asarray(self.high)[group]


def thirds(predicted: Floats) -> tuple[float, float]:
    """The two values that cut the customers into thirds of predicted value; (0, 0) for nobody."""
    if not predicted.size:
        return 0.0, 0.0
    low, high = np.quantile(predicted, [1.0 / GROUPS, 2.0 / GROUPS])
    return float(low), float(high)


def group_of(predicted: Floats, cuts: tuple[float, float]) -> np.ndarray:
    """0, 1 or 2: the third that each predicted value lies in, (n,)."""
    return (predicted > cuts[0]).astype(np.int64) + (predicted > cuts[1])


def correct(ended: Sequence[EndedWindow]) -> Correction:
    """What the ended windows, oldest first, say; without any, the predictive is asked as it is."""
    known = Correction()
    for number, latest in enumerate(ended):
        # The first window had no correction: its misses are what the correction cures, not what it left.
        targets = _adapted(known, latest) if number else known.targets
        known = _from_past(ended[: number + 1], targets)
    return known


def _adapted(known: Correction, latest: EndedWindow) -> tuple[float, float]:
    low, high = known.levels(group_of(latest.predicted, thirds(latest.predicted)))
    gain = GAIN * latest.pit.size / (latest.pit.size + _PRIOR)
    outside = (float(np.mean(latest.pit < low)), float(np.mean(latest.pit > high)))
    below, above = (
        target
        if abs(TAIL - share) <= TOLERANCE
        else float(np.clip(target + gain * (TAIL - share), _LEAST_TARGET, _MOST_TARGET))
        for target, share in zip(known.targets, outside, strict=True)
    )
    return below, above


def _from_past(ended: Sequence[EndedWindow], targets: tuple[float, float]) -> Correction:
    low: list[float] = []
    high: list[float] = []
    for group in range(GROUPS):
        pit = np.concatenate([w.pit[group_of(w.predicted, thirds(w.predicted)) == group] for w in ended])
        low.append(_level(pit, targets[0]))
        # The upper end is the lower one of the mirrored transforms.
        high.append(1.0 - _level(1.0 - pit, targets[1]))
    return Correction((low[0], low[1], low[2]), (high[0], high[1], high[2]), targets, len(ended))


def _level(pit: Floats, asked: float) -> float:
    """The level below which a share `asked` of past transforms lay, drawn to `asked` itself where there are few."""
    if not pit.size or abs(float(np.mean(pit < asked)) - asked) <= TOLERANCE:
        return asked
    weight = pit.size / (pit.size + _PRIOR)
    return weight * float(np.quantile(pit, asked)) + (1.0 - weight) * asked


def corrected_pit(pit: Floats, low: Floats, high: Floats) -> Floats:
    """The transform under corrected levels, (n,): the level `low` counts as 10 % and `high` as 90 %, linear between and
    beyond.
    """
    inside = TAIL + (1.0 - 2.0 * TAIL) * (pit - low) / np.maximum(high - low, 1e-12)
    below = TAIL * pit / np.maximum(low, 1e-12)
    above = 1.0 - TAIL * (1.0 - pit) / np.maximum(1.0 - high, 1e-12)
    return np.where(pit < low, below, np.where(pit > high, above, inside))


@dataclass(frozen=True)
class TotalSpread:
    """How far a total is off beyond what its customers' own chances explain.

    `share`: standard deviation of that error as a share of the total; `cuts`: non-overlapping windows it rests on;
    `is_proven`: at least five of them.
    """

    share: float
    cuts: int

    @property
    def is_proven(self) -> bool:
        """Whether enough windows without overlap stand behind it."""
        return self.cuts >= LEAST_APART

    @property
    def reach(self) -> float:
        """Quantile of the standardised error at 90 %: Student's t, since few cuts tell the spread."""
        return float(stdtrit(max(self.cuts, 1), 1.0 - TAIL))

    def interval(self, total: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """10 % and 90 % quantiles of totals whose customers' own variances sum to `variance`.

        A total above 0 is log-normal, since it is made of sales: where its error is small that is the normal law, and
        where it is large the low end stays above 0. Other totals (losses outweigh) are normal.
        """
        error = np.sqrt(variance + (self.share * total) ** 2)
        positive = total > 0
        spread = np.sqrt(np.log1p((error / np.where(positive, total, 1.0)) ** 2))
        low, high = (np.exp(side * self.reach * spread - 0.5 * spread**2) * total for side in (-1.0, 1.0))
        return (
            np.where(positive, low, total - self.reach * error),
            np.where(positive, high, total + self.reach * error),
        )


def total_spread(predicted: Floats, actual: Floats, variance: Floats) -> TotalSpread:
    """From the totals of each non-overlapping cut, (k,): mean squared error less the predictive's own variance, as a
    share. Without cuts the spread is unknown: 0, and nothing is proven.
    """
    usable = predicted > 0
    if not usable.any():
        return TotalSpread(0.0, 0)
    excess = ((actual - predicted) ** 2 - variance)[usable] / predicted[usable] ** 2
    return TotalSpread(float(np.sqrt(max(excess.mean(), 0.0))), int(usable.sum()))
