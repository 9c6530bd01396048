"""The race: everything is fitted on what was known at each cut, and judged on what followed.

Belongs here: the order of it: fits at each cut, forecasts, the shape for the learners, the champion, intervals from windows
that had ended by the cut. Not here: dates (cuts.py), measures (metrics.py), rules of choice (champion.py), the correction
of intervals (intervals.py), rows for tables (backtest_table.py).

Money is judged as the net sales of the window, undiscounted: margin rate and discount are factors that no window can
prove right or wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cvm_pipeline.domain.lifetime_value.predictive import Predictive, tabulate
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race import champion, metrics
from cvm_pipeline.domain.lifetime_value.race.base_fit import BaseFit, SpendSample, fit_base
from cvm_pipeline.domain.lifetime_value.race.champion import Forecasts, Verdict
from cvm_pipeline.domain.lifetime_value.race.cuts import Plan, Window
from cvm_pipeline.domain.lifetime_value.race.entrants import (
    NAIVE,
    Entrant,
    Naive,
    Probability,
    expected,
    profile_of_distinct,
)
from cvm_pipeline.domain.lifetime_value.race.intervals import (
    Correction,
    EndedWindow,
    TotalSpread,
    correct,
    corrected_pit,
    group_of,
    thirds,
    total_spread,
)
from cvm_pipeline.domain.lifetime_value.race.slices import Known, Outcome, Rows, Slices
from cvm_pipeline.domain.lifetime_value.registry import p_alive_models

_TIES_SEED = 19970101


@dataclass(frozen=True, eq=False)
class Interval:
    """10 % and 90 % quantiles of transactions and of value, and the randomised PIT of the value that came, (n,) each."""

    low: Floats
    high: Floats
    value_low: Floats
    value_high: Floats
    pit: Floats


@dataclass(frozen=True, eq=False)
class Cut:
    """One cut: who was known, what was fitted, what was forecast of each customer, and what came."""

    window: Window
    known: Known
    outcome: Outcome
    base: BaseFit
    spend: Floats  # expected value of one transaction
    entrants: Mapping[str, Entrant] = field(default_factory=dict)
    level: Mapping[str, Floats] = field(default_factory=dict)  # each entrant's own factor on its profile
    predicted: Mapping[str, Floats] = field(default_factory=dict)  # transactions, by entrant
    bought_again: Mapping[str, Floats] = field(default_factory=dict)  # P(N >= 1), by probability model
    chance: Mapping[str, Floats] = field(default_factory=dict)  # P(N = what came), by probability model
    raw: Mapping[str, Interval] = field(default_factory=dict)  # of the predictive as it is, by entrant
    corrected: Interval | None = None  # the champion's, by what had ended before the cut
    variance: float = 0.0  # of the champion's total value, by its customers' own chances

    def value(self, name: str) -> Floats:
        """Forecast value of each customer by the entrant."""
        return self.predicted[name] * self.spend


@dataclass(frozen=True, eq=False)
class Race:
    """What the cuts, newest first, say. `naive`: the best naive forecast, published beside every model's."""

    plan: Plan
    cuts: tuple[Cut, ...]
    pooled: Mapping[str, Mapping[str, float]]  # measures by entrant over all cuts
    shape: str
    champion: str
    brier: Mapping[str, float]
    verdict: Verdict
    correction: Correction
    total: TotalSpread

    @property
    def naive(self) -> str:
        """The best naive forecast by RMSE."""
        return self.verdict.naive


@dataclass(frozen=True)
class Rules:
    """What the race is run by: timing models by name, their unit, the measure that chooses, columns that are covariates."""

    models: tuple[str, ...]
    unit_days: float
    select_by: str
    covariates: tuple[str, ...] = ()


def race(slices: Slices, plan: Plan, rules: Rules) -> Race | None:
    """Run it among the models that can be fitted at every cut; None without a cut, or where none can."""
    cuts = [
        cut
        for window in plan.cuts
        if (cut := _fit_cut(slices, window, rules, plan.training_windows(window.start))) is not None
    ]
    everywhere = [name for name in rules.models if all(name in cut.base.timings for cut in cuts)]
    if not cuts or not everywhere:
        return None
    shape = _best_probability(cuts, everywhere, rules.select_by)
    cuts = [_forecast(cut, shape, everywhere) for cut in cuts]
    shared = [name for name in cuts[0].predicted if all(name in cut.predicted for cut in cuts)]
    pooled = {name: scores(cuts, name) for name in shared}
    naive = {name: pooled[name] for name in NAIVE}
    winner = champion.choose({n: s for n, s in pooled.items() if n not in NAIVE}, naive, rules.select_by)
    cuts = [_with_intervals(slices, plan, cut, winner, rules) for cut in cuts]
    oldest_first = [EndedWindow(cut.raw[winner].pit, cut.value(winner)) for cut in reversed(cuts)]
    verdict = champion.judge(_forecasts(cuts, winner), {n: _forecasts(cuts, n) for n in NAIVE if n != winner})
    return Race(
        plan=plan,
        cuts=tuple(cuts),
        pooled=pooled,
        shape=shape,
        champion=winner,
        brier={n: pooled[n]["brier"] for n in everywhere if n in p_alive_models()},
        verdict=verdict,
        correction=correct(oldest_first),
        total=_spread([cut for cut in cuts if cut.window in plan.apart], winner),
    )


def scores(cuts: Sequence[Cut], name: str) -> dict[str, float]:
    """Every measure of one entrant over these cuts pooled."""
    actual = np.concatenate([cut.outcome.transactions for cut in cuts])
    predicted = np.concatenate([cut.predicted[name] for cut in cuts])
    earned = np.concatenate([cut.outcome.value for cut in cuts])
    value = np.concatenate([cut.value(name) for cut in cuts])
    found = {measure: function(predicted, actual) for measure, function in metrics.OF_COUNTS.items()}
    if actual.size:
        found["rmse_se"] = metrics.rmse_standard_error(predicted, actual)
        found["total_error_se"] = metrics.total_error_standard_error(predicted, actual)
    # Ranking and shares of value make sense of positive value only; errors and totals take it as it is.
    ranked = {"value_gini", "value_capture"}
    found |= {
        measure: function(value, np.maximum(earned, 0.0) if measure in ranked else earned)
        for measure, function in metrics.OF_VALUE.items()
    }
    if all(name in cut.chance for cut in cuts):
        found["log_score"] = metrics.log_score(np.concatenate([cut.chance[name] for cut in cuts]))
        again = np.concatenate([cut.bought_again[name] for cut in cuts])
        found["brier"] = metrics.brier(again, (actual > 0).astype(np.float64))
    return found


def examples_of(slices: Slices, windows: Sequence[Window]) -> list[tuple[Rows, Outcome]]:
    """What a learner is shown: rows at each window's start and what followed."""
    pairs = [(slices.at(window.start), window) for window in windows]
    return [(known.rows, slices.outcome(known, window)) for known, window in pairs if known is not None]


def _fit_cut(slices: Slices, window: Window, rules: Rules, training: Sequence[Window] | None) -> Cut | None:
    """What was known at the window's start, fitted, and what the window brought; no trees where `training` is None."""
    known = slices.at(window.start)
    if known is None:
        return None
    rows = known.rows
    base = fit_base(
        rows.histories(1.0),
        SpendSample.of(rows),
        None if training is None else examples_of(slices, training),
        rules.models,
        rules.unit_days,
        (rows, rules.covariates),
    )
    if base.unfit:
        return None
    spend = base.spend.expected(rows["frequency"], rows["repeat_sales"])
    return Cut(window, known, slices.outcome(known, window), base, spend)


def _best_probability(cuts: Sequence[Cut], names: Sequence[str], select_by: str) -> str:
    alone = [
        replace(
            cut,
            predicted={n: expected(Probability(cut.base.timings[n]), cut.known.rows, cut.window.days) for n in names},
        )
        for cut in cuts
    ]
    return champion.best({name: scores(alone, name) for name in names}, select_by)


def _forecast(cut: Cut, shape: str, models: Sequence[str]) -> Cut:
    rows, days = cut.known.rows, cut.window.days
    x, _, T = rows.history
    entrants = {
        n: e for n, e in cut.base.entrants(shape, rows, days).items() if n in models or not isinstance(e, Probability)
    }
    level = {name: entrant.level(rows) for name, entrant in entrants.items()}
    profile = {name: profile_of_distinct(base, np.array([days]), x, T)[:, 0] for name, base in cut.base.timings.items()}
    # A naive forecast as it is: by way of its level, equal forecasts would differ in their last digit and not tie.
    predicted = {
        name: entrant.forecast(rows) if isinstance(entrant, Naive) else level[name] * profile[entrant.timing.model.name]
        for name, entrant in entrants.items()
    }
    chance, again = {}, {}
    for name in models:
        chance[name], again[name] = _chances(entrants[name], level[name], rows, days, cut.outcome.transactions)
    return replace(cut, entrants=entrants, level=level, predicted=predicted, chance=chance, bought_again=again)


def _chances(entrant: Entrant, alive: Floats, rows: Rows, days: float, came: Floats) -> tuple[Floats, Floats]:
    """P(N = what came) and P(N >= 1) of each row, exactly."""
    x, _, T = rows.history
    none = _pmf(entrant, np.zeros(x.size), days, x, T)
    exactly = alive * _pmf(entrant, came, days, x, T)
    return np.where(came == 0, exactly + 1.0 - alive, exactly), alive * (1.0 - none)


def _pmf(entrant: Entrant, count: Floats, days: float, x: Floats, T: Floats) -> Floats:
    """P(N = count of the row | alive), (n,): asked once for each distinct (x, T) of each count."""
    result = np.empty(x.size)
    for one in np.unique(count):
        rows = np.flatnonzero(count == one)
        pairs, where = np.unique(np.column_stack([x[rows], T[rows]]), axis=0, return_inverse=True)
        at_x, at_T = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
        result[rows] = entrant.timing.pmf(np.array([one]), days, at_x, at_T)[:, 0][where.reshape(-1)]
    return result


def _with_intervals(slices: Slices, plan: Plan, cut: Cut, winner: str, rules: Rules) -> Cut:
    tables: dict[str, Predictive] = {}
    raw = {}
    asked = [name for name in cut.entrants if name not in NAIVE or name == winner]
    for name in asked:
        entrant = cut.entrants[name]
        table = tables.setdefault(entrant.timing.model.name, _table(entrant, cut))
        raw[name] = _interval(cut, entrant, table, Correction())
    entrant = cut.entrants[winner]
    table = tables[entrant.timing.model.name]
    known_then = correct(_ended_by(slices, plan, cut, winner, rules))
    rows = cut.known.rows
    x, _, T = rows.history
    scale = cut.base.spend.shapes(x, rows["repeat_sales"])[2]
    variance = table.total_variance(cut.value(winner), cut.level[winner], scale, x, T).sum()
    return replace(cut, raw=raw, corrected=_interval(cut, entrant, table, known_then), variance=float(variance))


def _table(entrant: Entrant, cut: Cut) -> Predictive:
    x, _, T = cut.known.rows.history
    return tabulate(entrant.timing, cut.base.spend, cut.window.days, float(x.max()), float(T.max()))


def _interval(cut: Cut, entrant: Entrant, table: Predictive, correction: Correction) -> Interval:
    rows = cut.known.rows
    x, _, T = rows.history
    level, scale = cut.level[entrant.name], cut.base.spend.shapes(x, rows["repeat_sales"])[2]
    value = cut.value(entrant.name)
    low, high = correction.levels(group_of(value, thirds(value)))
    ties = np.random.Generator(np.random.PCG64([_TIES_SEED, cut.window.start.toordinal()])).random(x.size)
    return Interval(
        table.count_quantile(low, level, x, T),
        table.count_quantile(high, level, x, T),
        table.total_quantile(low, level, scale, x, T),
        table.total_quantile(high, level, scale, x, T),
        corrected_pit(table.total_pit(cut.outcome.value, ties, level, scale, x, T), low, high),
    )


def _ended_by(slices: Slices, plan: Plan, cut: Cut, winner: str, rules: Rules) -> list[EndedWindow]:
    """Windows that had ended when the cut was made, oldest first: other cuts' if any had, else the training windows.

    A learner can't be trained so early; the probability model that carries it stands in.
    """
    timing = cut.entrants[winner].timing.model.name
    windows = [w for w in plan.cuts if w.end <= cut.window.start] or list(plan.training_windows(cut.window.start))
    ended = []
    for window in sorted(windows, key=lambda w: w.start):
        earlier = _fit_cut(slices, window, Rules((timing,), rules.unit_days, rules.select_by), None)
        if earlier is None or timing not in earlier.base.timings:
            continue
        entrant = Probability(earlier.base.timings[timing])
        alive, forecast = entrant.level(earlier.known.rows), expected(entrant, earlier.known.rows, window.days)
        earlier = replace(earlier, level={timing: alive}, predicted={timing: forecast})
        interval = _interval(earlier, entrant, _table(entrant, earlier), Correction())
        ended.append(EndedWindow(interval.pit, earlier.value(timing)))
    return ended


def _forecasts(cuts: Sequence[Cut], name: str) -> Forecasts:
    return Forecasts(
        np.concatenate([cut.predicted[name] for cut in cuts]),
        np.concatenate([cut.outcome.transactions for cut in cuts]),
        np.concatenate([cut.known.code for cut in cuts]),
    )


def _spread(apart: Sequence[Cut], winner: str) -> TotalSpread:
    return total_spread(
        np.array([cut.value(winner).sum() for cut in apart]),
        np.array([cut.outcome.value.sum() for cut in apart]),
        np.array([cut.variance for cut in apart]),
    )
