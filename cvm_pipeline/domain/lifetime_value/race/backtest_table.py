"""Rows of `clv_backtest`: what was forecast of each customer at each cut, and what came.

Belongs here: the table's columns and order. Not here: the forecasts (backtest.py), `as_of_date` and `publication_id`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_money
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race.backtest import Cut, Race
from cvm_pipeline.domain.lifetime_value.race.entrants import NAIVE

_COUNTS = ("predicted", "actual", "naive", "low", "high")
SCHEMA = pa.schema(
    [
        pa.field("cut_date", pa.string(), nullable=False),
        pa.field("horizon_days", pa.int32(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("customer_id", pa.string(), nullable=False),
        *(pa.field(name, pa.float64()) for name in _COUNTS),
        *(pa.field(f"value_{name}", MONEY) for name in _COUNTS),
    ]
)


def backtest_rows(race: Race, customer_id: pa.Array) -> Iterator[pa.RecordBatch]:
    """Every model at every cut, in SCHEMA; `customer_id` by code. Naive forecasts stand beside the models', as `naive`."""
    for cut in race.cuts:
        for name in cut.predicted:
            if name not in NAIVE or name == race.champion:
                yield _rows(race, cut, name, customer_id)


def _rows(race: Race, cut: Cut, name: str, customer_id: pa.Array) -> pa.RecordBatch:
    size = cut.known.code.size
    interval = cut.corrected if name == race.champion and cut.corrected else cut.raw[name]
    naive = cut.predicted[race.naive]
    counts = [cut.predicted[name], cut.outcome.transactions, naive, interval.low, interval.high]
    money = [cut.value(name), cut.outcome.value, cut.value(race.naive), interval.value_low, interval.value_high]
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(cut.window.start.isoformat()), size),
            pa.repeat(pa.scalar(cut.window.days, pa.int32()), size),
            pa.repeat(pa.scalar(name), size),
            customer_id.take(pa.array(cut.known.code)).cast(pa.string()),
            *(pa.array(values) for values in counts),
            *(_money(values) for values in money),
        ],
        schema=SCHEMA,
    )


def _money(values: Floats) -> pa.Array:
    return to_money(values, np.ones(values.size, dtype=bool))
