"""Whether the published intervals hold what they promise, judged on windows that were held out (metrics.md, "Interval").

Belongs here: coverage, randomised PIT, interval score, by thirds and pooled; coverage of totals; the verdict in one word.
Not here: making intervals (intervals.py, predictive.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.backtest import Cut, Interval, Race
from cvm_pipeline.domain.lifetime_value.race.intervals import (
    GROUPS,
    LEAST_APART,
    TotalSpread,
    group_of,
    thirds,
    total_spread,
)

LEAST_COVERAGE = 0.78
PIT_SHARE = (0.75, 0.85)
PIT_SHARE_OF_THIRD = (0.72, 0.88)
# Of the same intervals, the mean is summed in the same order: what is left of rounding.
_ROUNDING = 1e-9


def interval_metrics(race: Race, cuts: Sequence[Cut] | None = None) -> dict[str, tuple[float, str]]:
    """(value, note) by metric, of the champion's corrected intervals over `cuts` (all of them by default)."""
    judged = race.cuts if cuts is None else cuts
    whole = [_judged(cut) for cut in judged]
    earned = np.concatenate([cut.outcome.value for cut in judged])
    low, high, pit = (np.concatenate([getattr(i, part) for i in whole]) for part in ("value_low", "value_high", "pit"))
    plain = [cut.raw[race.champion] for cut in judged]
    raw_low, raw_high = (np.concatenate([getattr(i, part) for i in plain]) for part in ("value_low", "value_high"))
    group = np.concatenate([group_of(cut.value(race.champion), thirds(cut.value(race.champion))) for cut in judged])
    covered, share = metrics.coverage(low, high, earned), metrics.central_share(pit)
    of_thirds = [metrics.central_share(pit[group == g]) for g in range(GROUPS)]
    score, raw_score = metrics.interval_score(low, high, earned), metrics.interval_score(raw_low, raw_high, earned)
    broken = _broken(covered, share, of_thirds, score, raw_score)
    found = {
        "coverage_customer": (covered, "share of customers whose value lay within; ties at 0 make it run high"),
        "pit_share": (share, "share of randomised transforms within the interval: .8 where it is calibrated"),
        **{f"pit_share_third_{g + 1}": (of_thirds[g], "lowest third of predicted value first") for g in range(GROUPS)},
        "interval_score": (score, "of the corrected interval, net sales of the window"),
        "interval_score_uncorrected": (raw_score, "of the predictive as it is"),
        "backtest_interval_crps": (metrics.quantile_crps(low, high, earned), "of the two published quantiles"),
        "interval_is_sound": (float(not broken), broken),
    }
    if cuts is None:
        found["coverage_total"] = _coverage_of_totals(race)
        found["total_spread"] = (
            race.total.share,
            "standard deviation of the error of a total between cuts, as a share",
        )
        found["total_cuts"] = (race.total.cuts, "windows without overlap that it rests on")
    return found


def _judged(cut: Cut) -> Interval:
    if cut.corrected is None:
        raise ValueError(f"the cut of {cut.window.start} has no intervals")
    return cut.corrected


def _broken(covered: float, share: float, of_thirds: Sequence[float], score: float, raw_score: float) -> str:
    """Which of the three promises does not hold, in words; empty where all do."""
    told = []
    if covered < LEAST_COVERAGE:
        told.append(f"coverage {covered:.1%} is under {LEAST_COVERAGE:.0%}")
    if not PIT_SHARE[0] <= share <= PIT_SHARE[1]:
        told.append(f"PIT share {share:.1%} is not within {PIT_SHARE[0]:.0%} to {PIT_SHARE[1]:.0%}")
    for number, third in enumerate(of_thirds, 1):
        if np.isfinite(third) and not PIT_SHARE_OF_THIRD[0] <= third <= PIT_SHARE_OF_THIRD[1]:
            told.append(f"PIT share of third {number} is {third:.1%}")
    if score > raw_score * (1.0 + _ROUNDING):
        told.append(f"interval score {score:.4g} is worse than the uncorrected {raw_score:.4g}")
    return "; ".join(told)


def _coverage_of_totals(race: Race) -> tuple[float, str]:
    """Share of non-overlapping cuts whose total lay within the interval that the other cuts give."""
    apart = [cut for cut in race.cuts if cut.window in race.plan.apart]
    if len(apart) < 2:
        return np.nan, f"unproven: {len(apart)} non-overlapping cuts, fewer than {LEAST_APART}"
    predicted, actual, variance = (
        np.array(column)
        for column in zip(
            *((c.value(race.champion).sum(), c.outcome.value.sum(), c.variance) for c in apart), strict=True
        )
    )
    inside = []
    for k in range(len(apart)):
        others = np.arange(len(apart)) != k
        spread: TotalSpread = total_spread(predicted[others], actual[others], variance[others])
        low, high = spread.interval(predicted[k : k + 1], variance[k : k + 1])
        inside.append(bool(low[0] <= actual[k] <= high[0]))
    proven = (
        "" if len(apart) >= LEAST_APART else f"unproven: {len(apart)} non-overlapping cuts, fewer than {LEAST_APART}"
    )
    return float(np.mean(inside)), proven
