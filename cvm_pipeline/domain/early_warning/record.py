"""What became of past alarms: whether the warned went on to buy less, against the unwarned of equal expected count.

Belongs here: the rows of warning_record. Not here: which snapshots are read and how (`warehouse/`).

`fell`: fewer transactions in the window after the alarm, (R, R + L], than the predictive of before the alarm's window
expects of L days while alive. The unwarned of the same snapshots are judged by their own windows and predictives. A customer
of whom more is expected falls short of it in another share of cases, so the unwarned are weighted by deciles of expected
count: base_rate is what share of the warned would have fallen had they been unwarned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.contracts import WARNING_LEVELS, WARNING_RECORD
from cvm_pipeline.domain.customer_value import arrow_schema
from cvm_pipeline.domain.lifetime_value.decimals import to_floats

SCHEMA = arrow_schema(WARNING_RECORD)
ALL = "all"
RECORD_DAYS = 365
_DECILES = np.arange(0.1, 0.95, 0.1)


@dataclass
class _Counts:
    """Of one level, and (deciles) of the unwarned: how many, and how many of them fell, by decile of expected count."""

    warned: np.ndarray = field(default_factory=lambda: np.zeros(10))
    fell: np.ndarray = field(default_factory=lambda: np.zeros(10))
    lead_days: list[float] = field(default_factory=list)

    def add(self, decile: np.ndarray, fell: np.ndarray, which: np.ndarray) -> None:
        self.warned += np.bincount(decile[which], minlength=10)
        self.fell += np.bincount(decile[which & fell], minlength=10)

    def base_rate(self, others: _Counts) -> float | None:
        # A decile without anybody unwarned has nobody to compare with.
        here = self.warned * (others.warned > 0)
        if not here.sum():
            return None
        return float(np.sum(here * others.fell / np.maximum(others.warned, 1.0)) / here.sum())


def record(snapshots: Iterable[pa.Table], as_of: date) -> pa.Table:
    """warning_record: a row for all and for each level, counts 0 and shares null where there is nothing to tell.

    `snapshots`: of each earlier one the tests whose next window ended in the last RECORD_DAYS: expected_transactions,
    is_testable, base_index, level (null: unwarned), transactions_after, lead_days (null: not lost so far).
    """
    counts = {name: _Counts() for name in (ALL, *WARNING_LEVELS)}
    others = _Counts()
    tested = not_testable = 0
    indices: list[np.ndarray] = []
    for rows in snapshots:
        testable = np.asarray(rows["is_testable"].to_numpy(), dtype=bool)
        not_testable += int((~testable).sum())
        kept = rows.filter(pa.array(testable))
        tested += kept.num_rows
        if kept.num_rows:
            indices.append(to_floats(kept["base_index"]))
            _count(kept, counts, others)
    base_index = float(np.concatenate(indices).mean()) if indices else None
    found = []
    for name, each in counts.items():
        warned, fell = int(each.warned.sum()), int(each.fell.sum())
        share = fell / warned if warned else None
        base = each.base_rate(others)
        found.append(
            {
                "as_of_date": as_of, "level": name, "tested": tested, "not_testable": not_testable, "warned": warned,
                "fell": fell, "base_rate": base, "lift": share / base if share is not None and base else None,
                "not_fallen_share": None if share is None else 1.0 - share, "base_index": base_index,
                "median_lead_days": float(np.median(each.lead_days)) if each.lead_days else None,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(found, schema=SCHEMA)


def _count(rows: pa.Table, counts: dict[str, _Counts], others: _Counts) -> None:
    expected = to_floats(rows["expected_transactions"])
    fell = to_floats(rows["transactions_after"]) < expected
    level = np.array(rows["level"].to_pylist(), dtype=object)
    lead = to_floats(rows["lead_days"], np.nan)
    # The warned are few: deciles are those of all tested at the snapshot.
    decile = np.searchsorted(np.quantile(expected, _DECILES), expected, side="right")
    unwarned = np.array([one is None for one in level], dtype=bool)
    others.add(decile, fell, unwarned)
    for name, each in counts.items():
        which = ~unwarned if name == ALL else level == name
        each.add(decile, fell, which)
        each.lead_days += lead[which & ~np.isnan(lead)].tolist()
