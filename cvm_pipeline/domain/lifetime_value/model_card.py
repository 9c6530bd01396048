"""Rows of `clv_model_card`: what was fitted, how it was judged, who was chosen and why.

Belongs here: turning fits, races and choices into (model, cut_date, metric, value, note). Not here: fitting, judging.
A value that can't be had is null with the reason in note: never NaN, never infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value import gamma_gamma, margin
from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.backtest import Cut, Race, scores
from cvm_pipeline.domain.lifetime_value.race.base_fit import BaseFit
from cvm_pipeline.domain.lifetime_value.race.champion import P_ALIVE_RUNNING, PAliveChoice, published_choice
from cvm_pipeline.domain.lifetime_value.race.covariate_entrant import card_rows
from cvm_pipeline.domain.lifetime_value.race.drift import drift
from cvm_pipeline.domain.lifetime_value.race.entrants import NAIVE
from cvm_pipeline.domain.lifetime_value.race.gradient_boosting import AVERAGE, NAME, Trees
from cvm_pipeline.domain.lifetime_value.race.interval_report import interval_metrics
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.value_model import ValueModel
from cvm_pipeline.domain.lifetime_value.value_score import infinite_horizon

ALL = "all"
# The snapshot's kept model: its digest in the note.
FITTED_MODEL = "fitted_model"
# Whether the change of value since the snapshot before could be divided: why not in the note.
VALUE_CHANGE_SPLIT = "value_change_split"
CARD_SCHEMA = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("cut_date", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("note", pa.string()),
    ]
)
# Gamma-Gamma where spend goes with frequency: in use where the card holds it.
BY_FREQUENCY = f"{gamma_gamma.NAME}_by_frequency"
# Digits that no thread count moves: sums of many doubles may differ in the last.
_DIGITS = 12


@dataclass
class Card:
    """Collects rows; `table()` is the result."""

    _rows: list[tuple[str, str, str, float | None, str | None]] = field(default_factory=list)

    def add(self, model: str, metric: str, value: float | None, note: str = "", cut_date: str = ALL) -> None:
        """One row. A value that is None or not finite becomes null; its note then says why."""
        known = value is not None and math.isfinite(value)
        reason = note or ("" if known else "can't be had")
        rounded = float(f"{value:.{_DIGITS}g}") if known and value is not None else None
        self._rows.append((model, cut_date, metric, rounded, reason or None))

    def add_all(self, model: str, values: Mapping[str, float], cut_date: str = ALL, prefix: str = "") -> None:
        """One row per value."""
        for name, value in values.items():
            self.add(model, prefix + name, value, cut_date=cut_date)

    def add_flags(self, model: str, *, champion: bool, p_alive: bool, fallback: bool, note: str = "") -> None:
        """is_champion, gives_p_alive and fallback, each 0 or 1; `note` goes with the fallback."""
        self.add(model, "is_champion", float(champion))
        self.add(model, "gives_p_alive", float(p_alive))
        self.add(model, "fallback", float(fallback), note)

    def add_fit(self, model: str, names: Sequence[str], fit: Fit, cut_date: str = ALL) -> None:
        """param_ and se_ of each name, low_ and high_ where there are intervals, log_likelihood, customers,
        time_unit_days, converged, gradient_norm.
        """
        unfitted = fit.note or "not estimated for this model"
        for name in names:
            known = name in fit.parameters
            self.add(model, f"param_{name}", fit.parameters.get(name), "" if known else unfitted, cut_date)
        for name in names:
            known = name in fit.standard_errors
            self.add(model, f"se_{name}", fit.standard_errors.get(name), "" if known else unfitted, cut_date)
        for name, (low, high) in fit.intervals.items():
            self.add(model, f"low_{name}", low, fit.interval_method, cut_date)
            self.add(model, f"high_{name}", high, fit.interval_method, cut_date)
        fitted = fit.log_likelihood is not None
        self.add(model, "log_likelihood", fit.log_likelihood, "" if fitted else unfitted, cut_date)
        self.add(model, "customers", fit.customers, cut_date=cut_date)
        if fit.time_unit_days is not None:
            self.add(model, "time_unit_days", fit.time_unit_days, cut_date=cut_date)
        self.add(model, "converged", float(fit.converged), fit.note, cut_date)
        self.add(model, "gradient_norm", fit.gradient_norm, "" if fit.gradient_norm is not None else unfitted, cut_date)

    def table(self) -> pa.Table:
        """model, cut_date, metric, value, note: one row per model, cut and metric."""
        columns = list(zip(*self._rows, strict=True)) if self._rows else [()] * len(CARD_SCHEMA)
        return pa.table(
            [pa.array(column, type=f.type) for column, f in zip(columns, CARD_SCHEMA, strict=True)],
            schema=CARD_SCHEMA,
        )


def published_p_alive(card: pa.Table | None) -> PAliveChoice | None:
    """Which model gave p_alive by an earlier card, and how its rival stood."""
    if card is None:
        return None
    rows = zip(*(card[name].to_pylist() for name in CARD_SCHEMA.names), strict=True)
    return published_choice({(model, metric): (value, note) for model, cut, metric, value, note in rows if cut == ALL})


def published_model(card: pa.Table | None) -> str | None:
    """The digest of the model that a snapshot was valued with, by its card."""
    rows = [] if card is None else card.select(["cut_date", "metric", "note"]).to_pylist()
    found = [row["note"] for row in rows if row["metric"] == FITTED_MODEL and row["cut_date"] == ALL]
    return found[0] if found else None


def model_card(
    model: ValueModel,
    before: pa.Table | None = None,
    kept: tuple[str, int] | None = None,
    unsplit: str = "",
) -> pa.Table:
    """The whole card of one snapshot, CARD_SCHEMA; with drift since the card `before`, the newest published earlier.

    `kept`: digest and bytes of the model as it is kept; `unsplit`: why the model of `before` can't be had, else empty.
    """
    card = Card()
    champion, gives_p_alive = model.champion.name, model.p_alive.model.name
    _add_fits(card, model.base, ALL)
    described = [effects.name for effects in model.base.effects]
    known = [*model.base.fits, *described, *(name for name in (NAME, AVERAGE) if _is_known(name, model))]
    naive = list(NAIVE) if model.race else []
    for name in [*known, *naive, POOLED_RATE.name]:
        chosen = name == champion
        # A naive forecast that beat every model is a champion that nobody wished for: it says so.
        wins = chosen and name in NAIVE
        note = f"{name} beats every model on RMSE and Poisson deviance" if wins else ""
        pooled = name == POOLED_RATE.name and bool(model.fallback)
        card.add_flags(
            name, champion=chosen, p_alive=name == gives_p_alive, fallback=wins or pooled,
            note=model.fallback if pooled else note,
        )  # fmt: skip
    card.add_fit(POOLED_RATE.name, POOLED_RATE.parameter_names, _pooled_fit(model))
    _add_money(card, model)
    _add_infinite_horizon(card, model)
    if model.race:
        _add_race(card, model.race)
        card.add(gives_p_alive, P_ALIVE_RUNNING, model.p_alive_choice.running, model.p_alive_choice.rival)
    else:
        card.add(champion, "backtest_cuts", 0.0, model.unjudged)
    if before is not None:
        for name, metric, errors in drift(card.table(), before):
            card.add(name, metric, errors, "standard errors since the snapshot before")
        card.add(champion, VALUE_CHANGE_SPLIT, float(not unsplit), unsplit)
    if kept is not None:
        card.add(champion, FITTED_MODEL, kept[1], kept[0])
    return card.table()


def _is_known(name: str, model: ValueModel) -> bool:
    return isinstance(model.base.trees, Trees) or (model.race is not None and name in model.race.pooled)


def _pooled_fit(model: ValueModel) -> Fit:
    if model.fallback:
        return model.p_alive.fit
    return Fit.impossible(0.0, "not needed: models of lifetimes could be fitted")


def _add_fits(card: Card, base: BaseFit, cut_date: str) -> None:
    for name, fit in base.fits.items():
        card.add_fit(name, transaction_model(name).parameter_names, fit, cut_date)
    for effects in base.effects:
        card.add_fit(effects.name, effects.parameter_names, effects.fit, cut_date)
        for metric, (value, note) in card_rows(effects).items():
            card.add(effects.name, metric, value, note, cut_date)
    card.add_fit(gamma_gamma.NAME, gamma_gamma.NAMES, base.spend.fit, cut_date)
    if isinstance(base.trees, Trees):
        card.add(NAME, "training_rows", base.trees.rows, cut_date=cut_date)
        card.add(NAME, "target_days", base.trees.days, cut_date=cut_date)
        for name in (NAME, AVERAGE):
            card.add(name, "converged", 1.0, cut_date=cut_date)
    else:
        card.add(NAME, "converged", 0.0, base.trees, cut_date)


def _add_money(card: Card, model: ValueModel) -> None:
    spend = model.spend
    card.add(gamma_gamma.NAME, "param_base_mean", spend.base_mean, "mean value of all transactions")
    card.add_flags(gamma_gamma.NAME, champion=False, p_alive=False, fallback=spend.fallback, note=spend.note)
    if spend.by_frequency is not None:
        card.add_fit(BY_FREQUENCY, gamma_gamma.NAMES_BY_FREQUENCY, spend.by_frequency)
    tested = spend.independence
    if tested is not None:
        for name in ("spearman", "kappa", "likelihood_ratio", "kappa_p_value", "effect", "effect_low", "effect_high"):
            card.add(gamma_gamma.NAME, f"independence_{name}", getattr(tested, name), tested.note)
        card.add(gamma_gamma.NAME, "independence_fails", float(tested.fails), tested.note)
    for name in ("rate", "tau2", "sigma2"):
        card.add(margin.NAME, f"param_{name}", getattr(model.margin, name))
    card.add(margin.NAME, "customers", model.margin.customers)
    card.add_flags(margin.NAME, champion=False, p_alive=False, fallback=model.margin.fallback, note=model.margin.note)


def _add_infinite_horizon(card: Card, model: ValueModel) -> None:
    if model.sample is None:
        return
    names = ("residual_transactions_infinite", "sales_infinite")
    try:
        values = infinite_horizon(model, model.sample)
    except ValueError as error:
        for name in names:
            card.add(model.champion.name, name, None, str(error))
        return
    note = "mean per customer, discounted at ln(1 + discount_rate_yearly), before the margin rate"
    for name, value in zip(names, values, strict=True):
        card.add(model.champion.name, name, value, note)


def _add_race(card: Card, race: Race) -> None:
    for name, pooled in race.pooled.items():
        card.add_all(name, pooled, prefix="backtest_")
    for cut in race.cuts:
        _add_cut(card, race, cut)
    champion = race.champion
    card.add(champion, "backtest_cuts", len(race.cuts))
    card.add(champion, "backtest_customers", np.unique(np.concatenate([c.known.code for c in race.cuts])).size)
    card.add(champion, "backtest_window_days", race.plan.window_days)
    verdict = race.verdict
    for measure, low in verdict.low.items():
        card.add(
            champion,
            f"gate_{measure}_low",
            float(f"{low:.6g}"),
            "champion less the best naive forecast by that measure",
        )
        card.add(champion, f"gate_{measure}_high", float(f"{verdict.high[measure]:.6g}"))
    card.add(champion, "gate_blocked", float(verdict.blocked), verdict.reason)
    card.add(champion, "gate_warned", float(bool(verdict.warning)), verdict.warning)
    for metric, (value, note) in interval_metrics(race).items():
        card.add(champion, metric, value, note)


def _add_cut(card: Card, race: Race, cut: Cut) -> None:
    at = cut.window.start.isoformat()
    _add_fits(card, cut.base, at)
    for name in cut.predicted:
        card.add_all(name, scores([cut], name), at, "backtest_")
        for number, (mean, came) in enumerate(metrics.deciles(cut.predicted[name], cut.outcome.transactions), 1):
            card.add(name, f"backtest_decile_{number:02d}_predicted", mean, cut_date=at)
            card.add(name, f"backtest_decile_{number:02d}_actual", came, cut_date=at)
    for name, interval in cut.raw.items():
        earned = cut.outcome.value
        card.add(
            name, "backtest_crps", metrics.quantile_crps(interval.value_low, interval.value_high, earned), cut_date=at
        )
        card.add(name, "backtest_pit_share", metrics.central_share(interval.pit), "of the predictive as it is", at)
    for metric, (value, note) in interval_metrics(race, [cut]).items():
        card.add(race.champion, metric, value, note, at)
