"""What became of past alarms: whether the warned went on to buy less, against the unwarned of equal expected count.

Belongs here: the rows of warning_record. Not here: which snapshots are read and how (`warehouse/`).

`fell`: fewer transactions in the window after the alarm, (R, R + L], than the predictive of before the alarm's window
expects of L days while alive. The unwarned of the same snapshot are judged by their own windows and predictives. A customer
of whom more is expected falls short of it in another share of cases, and seasons make whole snapshots fall, so each warned
customer is matched with the unwarned of its own snapshot and decile of expected count: base_rate is what share of the warned
would have fallen had they been unwarned, and lift compares the very customers that were matched.
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
    """Of one level: how many were warned and how many fell; the same of those with somebody unwarned to match, and how many
    of these would have fallen as the unwarned did.
    """

    warned: int = 0
    fell: int = 0
    matched: int = 0
    matched_fell: int = 0
    expected_fell: float = 0.0
    lead_days: list[float] = field(default_factory=list)

    def add(self, fell: np.ndarray, rate: np.ndarray) -> None:
        """Warned customers of one snapshot; `rate` of each: the share of its match that fell, NaN without a match."""
        matched = ~np.isnan(rate)
        self.warned += fell.size
        self.fell += int(fell.sum())
        self.matched += int(matched.sum())
        self.matched_fell += int(fell[matched].sum())
        self.expected_fell += float(rate[matched].sum())

    @property
    def base_rate(self) -> float | None:
        return self.expected_fell / self.matched if self.matched else None

    @property
    def lift(self) -> float | None:
        return self.matched_fell / self.expected_fell if self.expected_fell else None


def record(snapshots: Iterable[pa.Table], as_of: date) -> pa.Table:
    """warning_record: a row for all and for each level, counts 0 and shares null where there is nothing to tell.

    `snapshots`: of each earlier one the tests whose next window ended in the last RECORD_DAYS: expected_transactions,
    is_testable, base_index, level (null: unwarned), transactions_after, lead_days (null: not lost so far).
    """
    counts = {name: _Counts() for name in (ALL, *WARNING_LEVELS)}
    tested = not_testable = 0
    indices: list[np.ndarray] = []
    for rows in snapshots:
        testable = np.asarray(rows["is_testable"].to_numpy(), dtype=bool)
        not_testable += int((~testable).sum())
        kept = rows.filter(pa.array(testable))
        tested += kept.num_rows
        if kept.num_rows:
            indices.append(to_floats(kept["base_index"]))
            _count(kept, counts)
    base_index = float(np.concatenate(indices).mean()) if indices else None
    found = []
    for name, each in counts.items():
        found.append(
            {
                "as_of_date": as_of, "level": name, "tested": tested, "not_testable": not_testable, "warned": each.warned,
                "fell": each.fell, "base_rate": each.base_rate, "lift": each.lift,
                "not_fallen_share": 1.0 - each.fell / each.warned if each.warned else None, "base_index": base_index,
                "median_lead_days": float(np.median(each.lead_days)) if each.lead_days else None,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(found, schema=SCHEMA)


def _count(rows: pa.Table, counts: dict[str, _Counts]) -> None:
    expected = to_floats(rows["expected_transactions"])
    fell = to_floats(rows["transactions_after"]) < expected
    level = np.array(rows["level"].to_pylist(), dtype=object)
    lead = to_floats(rows["lead_days"], np.nan)
    # The warned are few: deciles are those of all tested at the snapshot.
    decile = np.searchsorted(np.quantile(expected, _DECILES), expected, side="right")
    unwarned = np.array([one is None for one in level], dtype=bool)
    alone, alone_fell = (np.bincount(decile[which], minlength=10) for which in (unwarned, unwarned & fell))
    rate = np.where(alone > 0, alone_fell / np.maximum(alone, 1), np.nan)[decile]
    for name, each in counts.items():
        which = ~unwarned if name == ALL else level == name
        each.add(fell[which], rate[which])
        each.lead_days += lead[which & ~np.isnan(lead)].tolist()
