"""Alarms: newly raised ones with their value at risk, level and reasons, and those that still stand.

Belongs here: the rows of early_warning. Not here: who is raised (`testing.py`), prices (`lifetime_value/pricing.py`).

An alarm stands for one window from the day on which it was raised, and the customer is not tested meanwhile: so it is
raised once. It lapses then, and the customer is tested on what came after the alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import floor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.contracts import EARLY_WARNING, TIERS
from cvm_pipeline.domain.customer_value import arrow_schema
from cvm_pipeline.domain.early_warning import levels
from cvm_pipeline.domain.early_warning.levels import Cuts
from cvm_pipeline.domain.early_warning.windows import Start
from cvm_pipeline.domain.lifetime_value.decimals import to_floats, to_money
from cvm_pipeline.domain.lifetime_value.pricing import Pricing
from cvm_pipeline.domain.lifetime_value.protocol import Floats

SCHEMA = arrow_schema(EARLY_WARNING)
# Columns that `raised` needs beside those of warning_test.
AT_THE_START = ("frequency", "recency", "T", "repeat_sales", "signals", "paid", "paid_sales")
NOW = ("frequency_now", "T_now", "repeat_sales_now", "recency_now", "margin_total", "revenue_total", "p_alive")


def raised(
    rows: pa.Table, starts: Sequence[Start], threshold: float, pricing: Pricing, cuts: Cuts, as_of: date
) -> pa.Table:
    """early_warning of the customers raised at this snapshot.

    `rows`: warning_test of them, with AT_THE_START (of their window) and NOW (of the snapshot), money as decimals or floats.
    """
    n = rows.num_rows
    of = {name: to_floats(rows[name]) for name in (*AT_THE_START, *NOW)}
    k, spend = of["signals"], to_floats(rows["p_spend"], 1.0)
    rate_fell, spend_fell = (k * p <= threshold for p in (to_floats(rows["p_frequency"]), spend))
    rate = pricing.margin_rate(of["margin_total"], of["revenue_total"])
    now = [of[f"{name}_now"] for name in ("frequency", "recency", "T", "repeat_sales")]
    then = [of[name] for name in ("frequency", "recency", "T", "repeat_sales")]
    alive = pricing.value_if_alive(now[0], now[2], now[3], rate)
    before, after = (pricing.clv(x, t_x, T, sales, rate) for x, t_x, T, sales in (then, now))
    at_risk = to_money(levels.value_at_risk(alive, of["p_alive"], before, after, rate_fell), np.ones(n, dtype=bool))
    days = rows["window_days"].combine_chunks().to_numpy()
    usual = _usual_spend(starts, days, of["frequency"], of["repeat_sales"])
    today = np.datetime64(as_of, "D")
    columns = {
        "as_of_date": pa.repeat(pa.scalar(as_of, pa.date32()), n),
        "customer_id": rows["customer_id"].combine_chunks().cast(pa.string()),
        "status": pa.repeat("new", n),
        "level": levels.level(at_risk, cuts),
        "signals": pa.array(_signals(rate_fell, spend_fell), pa.string()),
        "window_days": pa.array(days, pa.int32()),
        "p_value": rows["p_value"],
        "value_at_risk": at_risk,
        "reasons": pa.array(_reasons(rows, of, rate_fell, spend_fell, usual, at_risk), pa.string()),
        "raised_on": pa.repeat(pa.scalar(as_of, pa.date32()), n),
        "lapses_on": pa.array(today + days.astype("timedelta64[D]")),
    }
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def standing(published: pa.Table | None, present: pa.Array | pa.ChunkedArray, as_of: date) -> pa.Table:
    """The alarms of the snapshot before that have not lapsed, of customers who are still there (`present`) and unflagged.

    What they said when they were raised, they say while they stand.
    """
    if published is None:
        return SCHEMA.empty_table()
    today = pa.scalar(as_of, pa.date32())
    lasts = pc.greater(published["lapses_on"].cast(pa.date32()), today)
    there = pc.is_in(published["customer_id"].cast(pa.string()), value_set=present)
    kept = published.filter(pc.and_(lasts, there))
    columns = {"as_of_date": pa.repeat(today, kept.num_rows), "status": pa.repeat("standing", kept.num_rows)}
    given = [columns[name] if name in columns else kept[name].cast(SCHEMA.field(name).type) for name in SCHEMA.names]
    return pa.table(given, schema=SCHEMA)


def with_tier_falls(rows: pa.RecordBatch) -> pa.RecordBatch:
    """early_warning with "tier fell from A to B" among the reasons of new alarms; takes value_tier and previous_tier too.

    A reason, never a p-value: tiers compare a customer with the others.
    """
    now, before = (
        pc.index_in(rows[name].cast(pa.string()), pa.array(TIERS)) for name in ("value_tier", "previous_tier")
    )
    fell = pc.fill_null(pc.and_(pc.greater(now, before), pc.equal(rows["status"], "new")), False)
    said = pc.binary_join_element_wise(
        rows["reasons"].cast(pa.string()), "; tier fell from ", rows["previous_tier"].cast(pa.string()), " to ",
        rows["value_tier"].cast(pa.string()), "", null_handling="replace",
    )  # fmt: skip
    reasons = pc.if_else(fell, said, rows["reasons"].cast(pa.string()))
    return pa.RecordBatch.from_arrays(
        [reasons if name == "reasons" else rows[name].cast(SCHEMA.field(name).type) for name in SCHEMA.names],
        schema=SCHEMA,
    )


def _usual_spend(starts: Sequence[Start], days: np.ndarray, x: Floats, repeat_sales: Floats) -> Floats:
    """Expected value of a transaction by what was known at the window's start; NaN where there is no such mean."""
    usual = np.full(days.size, np.nan)
    for start in starts:
        here = np.flatnonzero(days == start.window_days)
        if start.spends and here.size:
            p, q, scale = start.spends[0].shapes(x[here], repeat_sales[here])
            usual[here] = np.where(q > 1.0, p * scale / np.where(q > 1.0, q - 1.0, 1.0), np.nan)
    return usual


def _signals(rate_fell: np.ndarray, spend_fell: np.ndarray) -> list[str]:
    return [
        ", ".join(name for name, fell in (("frequency", rate), ("spend", spend)) if fell)
        for rate, spend in zip(rate_fell.tolist(), spend_fell.tolist(), strict=True)
    ]


def _reasons(
    rows: pa.Table,
    of: dict[str, Floats],
    rate_fell: np.ndarray,
    spend_fell: np.ndarray,
    usual: Floats,
    at_risk: pa.Array,
) -> list[str]:
    said = []
    told = {
        name: rows[name].to_pylist()
        for name in (
            "observed_transactions",
            "window_days",
            "expected_transactions",
            "base_index",
            "p_frequency",
            "p_spend",
        )
    }
    for row in range(rows.num_rows):
        words = []
        days, index = told["window_days"][row], told["base_index"][row]
        if rate_fell[row]:
            words.append(
                f"{told['observed_transactions'][row]} transactions in {days} days, {told['expected_transactions'][row]:.1f} "
                f"expected (base x {index:.2f}): chance {told['p_frequency'][row]:.2g}"
            )
        if spend_fell[row]:
            each = of["paid_sales"][row] / of["paid"][row]
            before = "" if np.isnan(usual[row]) else f" after {usual[row]:.2f}"
            words.append(f"{each:.2f} a transaction in {days} days{before}: chance {told['p_spend'][row]:.2g}")
        # Cut, as everywhere that it is told: 0.4996 is below the limit of 0.50.
        words.append(f"P(alive) {floor(of['p_alive'][row] * 100 + 1e-9) / 100:.2f}, {at_risk[row].as_py():.2f} at risk")
        said.append("; ".join(words))
    return said
