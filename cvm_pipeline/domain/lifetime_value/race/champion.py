"""Who wins: the champion, the model that gives P(alive), and whether the champion may be published.

Belongs here: the rules of metrics.md, "Champion", "Gate" and "P(alive)", on forecasts already made. Not here: making them
(backtest.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race import metrics

# By the lowest: these are errors. By the highest: these rank.
LOWER_IS_BETTER = ("rmse", "mae", "poisson_deviance", "value_rmse", "value_mae")
HIGHER_IS_BETTER = ("spearman", "value_spearman", "value_gini", "value_capture")
SELECT_BY = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
GATE_MEASURES = ("rmse", "poisson_deviance")

SNAPSHOTS_TO_CHANGE = 3
# Metric of the model that gives p_alive: how long its rival, named in the note, has been better.
P_ALIVE_RUNNING = "p_alive_rival_running"

LEAST_JUDGED = 100
WORST_TOTAL = 0.35
_REPLICATES = 500
_SEED = 20050701
_CHUNK_CELLS = 4_000_000
# Ranking or mean error worse than the best naive forecast's by this much is worth a warning.
_NOTABLE = 0.05


@dataclass(frozen=True, eq=False)
class Forecasts:
    """One entrant's forecasts over all cuts: transactions, (n,)."""

    predicted: Floats
    actual: Floats
    customer: np.ndarray  # the same customer has the same code at every cut


def best(scores: Mapping[str, Mapping[str, float]], select_by: str) -> str:
    """The name with the best pooled score; ties by name. Raises ValueError where nobody has a score."""
    sign = -1.0 if select_by in HIGHER_IS_BETTER else 1.0
    judged = {name: sign * score[select_by] for name, score in scores.items() if np.isfinite(score[select_by])}
    if not judged:
        raise ValueError(f"nobody has a {select_by}")
    return min(sorted(judged), key=judged.__getitem__)


def choose(models: Mapping[str, Mapping[str, float]], naive: Mapping[str, Mapping[str, float]], select_by: str) -> str:
    """The champion: the best model, or the naive forecast that beats every model on both RMSE and Poisson deviance."""
    winner = best(models, select_by)
    beaten = {measure: min(score[measure] for score in models.values()) for measure in GATE_MEASURES}
    better = {n: s for n, s in naive.items() if all(s[measure] < beaten[measure] for measure in GATE_MEASURES)}
    return best(better, "rmse") if better else winner


@dataclass(frozen=True)
class PAliveChoice:
    """The model that gives P(alive); `running`: for how many snapshots its rival has been better, this one included."""

    model: str
    rival: str
    running: int


def published_choice(card: Mapping[tuple[str, str], tuple[float | None, str | None]]) -> PAliveChoice | None:
    """The choice as a model card holds it, {(model, metric): (value, note)}; None where a card says nothing of it."""
    for (model, metric), (value, _) in card.items():
        if metric == "gives_p_alive" and value == 1:
            running, rival = card.get((model, P_ALIVE_RUNNING), (0.0, None))
            return PAliveChoice(model, rival or "", int(running or 0))
    return None


def choose_p_alive(brier: Mapping[str, float], before: PAliveChoice | None) -> PAliveChoice:
    """The better on the Brier score of "bought again"; it changes only when better at three snapshots running.

    `brier`: of each candidate that could be fitted (nan where nothing was judged). `before`: what was published at the
    newest earlier snapshot. Raises ValueError where no candidate could be fitted.
    """
    if not brier:
        raise ValueError("no model can give p_alive")
    ranked = sorted(brier, key=lambda name: (brier[name] if np.isfinite(brier[name]) else np.inf, name))
    if before is None or before.model not in brier:
        return PAliveChoice(ranked[0], "", 0)
    rival = ranked[0]
    if rival == before.model or not brier[rival] < brier[before.model]:
        return PAliveChoice(before.model, "", 0)
    running = before.running + 1 if before.rival == rival else 1
    return PAliveChoice(rival, "", 0) if running >= SNAPSHOTS_TO_CHANGE else PAliveChoice(before.model, rival, running)


@dataclass(frozen=True)
class Verdict:
    """Whether the champion may be published. `low`/`high`: 95 % interval of champion less naive, by measure."""

    blocked: bool
    reason: str
    warning: str
    naive: str
    low: Mapping[str, float]
    high: Mapping[str, float]


def judge(champion: Forecasts, naive: Mapping[str, Forecasts]) -> Verdict:
    """The gate, over all cuts pooled, by paired bootstrap of customers (seeded).

    Blocked where the champion is worse than a naive forecast beyond the 95 % interval on RMSE or on Poisson deviance, or
    where its total misses by more than 35 % and by more than that forecast's. Under 100 customers it only warns.
    """
    rivals = {measure: _best_naive(naive, measure) for measure in GATE_MEASURES}
    low, high, problems = {}, {}, []
    for measure, name in rivals.items():
        low[measure], high[measure] = _difference(champion, naive[name], measure)
        if low[measure] > 0:
            problems.append(
                f"{measure} is worse than that of {name} by at least {low[measure]:.4g} (95 % interval, by customer)"
            )
    rival = rivals["rmse"]
    mine, theirs = (abs(metrics.total_error(f.predicted, f.actual)) for f in (champion, naive[rival]))
    if mine > WORST_TOTAL and mine > theirs:
        problems.append(
            f"its total misses by {mine:.0%}, more than {WORST_TOTAL:.0%} and more than {rival} ({theirs:.0%})"
        )
    reason = "; ".join(problems)
    few = np.unique(champion.customer).size < LEAST_JUDGED
    warning = _warning(champion, naive)
    if few and reason:
        warning = "; ".join(
            filter(None, [f"fewer than {LEAST_JUDGED} customers judged, so only a warning: {reason}", warning])
        )
    return Verdict(bool(reason) and not few, "" if few else reason, warning, rival, low, high)


def _best_naive(naive: Mapping[str, Forecasts], measure: str) -> str:
    function = metrics.OF_COUNTS[measure]
    return min(sorted(naive), key=lambda name: function(naive[name].predicted, naive[name].actual))


def _warning(champion: Forecasts, naive: Mapping[str, Forecasts]) -> str:
    told = []
    rank = metrics.spearman(champion.predicted, champion.actual)
    error = metrics.mae(champion.predicted, champion.actual)
    ranks = {name: metrics.spearman(f.predicted, f.actual) for name, f in naive.items()}
    ranks = {name: value for name, value in ranks.items() if np.isfinite(value)}
    if ranks and rank < max(ranks.values()) - _NOTABLE:
        name = max(ranks, key=ranks.__getitem__)
        told.append(f"{name} ranks customers better (Spearman {ranks[name]:.3f} against {rank:.3f})")
    errors = {name: metrics.mae(f.predicted, f.actual) for name, f in naive.items()}
    name = min(errors, key=errors.__getitem__)
    if errors[name] < error * (1.0 - _NOTABLE):
        told.append(f"{name} has the smaller mean absolute error ({errors[name]:.3f} against {error:.3f})")
    return "; ".join(told)


def _difference(champion: Forecasts, naive: Forecasts, measure: str) -> tuple[float, float]:
    """2.5 % and 97.5 % quantiles of champion's measure less naive's over Poisson-weighted resamples of customers."""
    rows = [_losses(f, measure) for f in (champion, naive)]
    _, customer = np.unique(champion.customer, return_inverse=True)
    sums = np.column_stack([np.bincount(customer, weights=column) for column in (*rows, np.ones(customer.size))])
    rng = np.random.Generator(np.random.PCG64(_SEED))
    at_once = max(1, _CHUNK_CELLS // sums.shape[0])
    totals = []
    for start in range(0, _REPLICATES, at_once):
        weights = rng.poisson(1.0, (min(at_once, _REPLICATES - start), sums.shape[0])).astype(np.float64)
        totals.append(weights @ sums)
    mine, theirs, weight = np.concatenate(totals).T
    weight = np.maximum(weight, 1.0)
    mine, theirs = mine / weight, theirs / weight
    differences = np.sqrt(mine) - np.sqrt(theirs) if measure == "rmse" else mine - theirs
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def _losses(forecasts: Forecasts, measure: str) -> Floats:
    if measure == "rmse":
        return (forecasts.predicted - forecasts.actual) ** 2
    return metrics.poisson_deviances(forecasts.predicted, forecasts.actual)
