"""Stages of a history through time without a run: dbt's facts restated, P(alive) by the engine, stages by the package.

Belongs here: the few steps between, for tests that need many snapshots of many bases. Not here: what is asserted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from clean_fixture import History
from facts_restated import base_of, restated

from cvm_pipeline.domain import lifecycle
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_floats
from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.base_fit import BaseFit, SpendSample, fit_base
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.momentum import Prior

MODEL, UNIT_DAYS = "mbg_nbd", 7.0

_DATES = ("as_of_date", "first_order_date", "last_order_date", "reactivated_date")
_FLOATS = ("gap_median", "gap_limit")
_TEXTS = ("customer_id", "customer_type", "flag")
_MONEY = (
    "monetary_value", "revenue_total", "revenue_12m", "margin_total", "margin_12m", "net_sales", "repeat_sales",
    "margin_prior_12m", "net_sales_12m", "net_sales_prior_12m", "second_half_sales", "first_half_sales", "cost_covered_revenue",
)  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """Stage and what memory needs, by customer; `overdue`: silence over the own gap_limit; `gap`: the base's median, days;
    `model`: who gave p_alive.
    """

    as_of: dt.date
    stages: Mapping[str, str]
    transactions: Mapping[str, int]
    overdue: Mapping[str, float]
    broken: tuple[str, ...]
    gap: float
    model: str


def staged(history: History, as_of: dt.date, before: Snapshot | None = None) -> Snapshot:
    """One snapshot of the history as known by then, with the memory of the one before; `broken`: forbidden transitions."""
    rows, base = restated(history, as_of), base_of(history, as_of)
    batch = pa.RecordBatch.from_pylist(list(rows.values()), schema=_schema(next(iter(rows.values()))))
    timing, fits = _fitted(batch)
    p_alive = timing.p_alive(*(to_floats(batch[name], np.nan) for name in ("frequency", "recency", "T")))
    p_alive = np.where(to_floats(batch["transactions"]) > 0, p_alive, np.nan)
    margins = [
        float(
            pc.sum(
                pc.if_else(pc.greater_equal(batch["T"].fill_null(0), 730), batch[name].cast(pa.float64()), 0.0)
            ).as_py()
        )
        for name in ("margin_12m", "margin_prior_12m")
    ]
    facts = lifecycle.BaseFacts(as_of, base["base_gap_median"], base["gap_k"], *margins)
    fitted = lifecycle.fit(facts, _prior(timing, fits))
    ids, counts = batch["customer_id"].to_pylist(), batch["transactions"].to_pylist()
    previous = pa.array([before.stages.get(customer) if before else None for customer in ids], pa.string())
    then = before.transactions if before else {}
    bought = np.array([count > then.get(customer, 0) for customer, count in zip(ids, counts, strict=True)])
    stages = lifecycle.score(batch, p_alive, fitted, previous if before else None, bought).lifecycle_stage
    broken = lifecycle.check_transitions(previous, stages, bought).drop_null().to_pylist()
    overdue = {
        customer: row["days_since_last"] / row["gap_limit"] for customer, row in rows.items() if row["transactions"]
    }
    return Snapshot(
        as_of, dict(zip(ids, stages.to_pylist(), strict=True)), dict(zip(ids, counts, strict=True)), overdue, tuple(broken),
        base["base_gap_median"], timing.model.name,
    )  # fmt: skip


def _schema(row: Mapping[str, object]) -> pa.Schema:
    kinds = {
        **dict.fromkeys(_DATES, pa.date32()), **dict.fromkeys(_FLOATS, pa.float64()), **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_MONEY, MONEY),
    }  # fmt: skip
    return pa.schema([(name, kinds.get(name, pa.int64())) for name in row])


def _fitted(batch: pa.RecordBatch) -> tuple[Timing, BaseFit]:
    """Who gives p_alive, by the engine's own rule of when a base is too small for a model; and what it rests on."""
    x, t_x, T = (to_floats(batch[name], np.nan) for name in ("frequency", "recency", "T"))
    bought = to_floats(batch["transactions"]) > 0
    each = np.ones(int(bought.sum()))
    population = PurchaseHistories.from_days(x[bought], t_x[bought], T[bought], each, 1.0).grouped()
    sales, count = (float(to_floats(batch[name]).sum()) for name in ("net_sales", "transactions"))
    spend = SpendSample(x[bought], to_floats(batch["repeat_sales"])[bought], each, sales / count)
    base = fit_base(population, spend, [], (MODEL,), UNIT_DAYS)
    if MODEL in base.timings:
        return base.timings[MODEL], base
    return Timing(POOLED_RATE, POOLED_RATE.fit(population.in_unit(UNIT_DAYS))), base


def _prior(timing: Timing, base: BaseFit) -> Prior | None:
    rate = timing.parameters
    if "r" not in rate or "alpha" not in rate:
        return None
    spend = {} if base.spend.fallback else base.spend.parameters
    return Prior(rate["r"], rate["alpha"], spend.get("p"), spend.get("q"), spend.get("v"))
