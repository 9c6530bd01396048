"""The base as it was known at several dates, and what happened between them: what backtests and learners live on.

Belongs here: rows of one date as arrays, and outcomes as differences of what two dates knew. Not here: which dates
(cuts.py), how they are read (SQL), what is fitted on them.

An outcome of a window is what was known at its end less what was known at its start, so that it never rests on anything
that came later: not even on a return or a cancellation after the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.cuts import Window

HISTORY = ("frequency", "recency", "T")
# Recent behaviour in steps of the plan's grid (w/6), and its spread: what a learner sees beside the history.
BEHAVIOUR = (
    "days_since_last", "transactions_1w", "transactions_2w", "transactions_4w", "transactions_6w", "net_sales",
    "repeat_sales", "net_sales_1w", "net_sales_2w", "net_sales_4w", "net_sales_6w", "last_value", "gap_sum_of_squares",
)  # fmt: skip
COLUMNS = (*HISTORY, *BEHAVIOUR)


@dataclass(frozen=True, eq=False)
class Rows:
    """Customers at one date: float64 arrays (n,) by column name, durations in days, money in the project's currency.

    `words`: attributes as then known, arrays (n,) of strings or None, by column name.
    """

    columns: Mapping[str, Floats]
    words: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]

    @property
    def history(self) -> tuple[Floats, Floats, Floats]:
        """frequency x, recency t_x and T, in days."""
        return self["frequency"], self["recency"], self["T"]

    def take(self, rows: np.ndarray) -> Rows:
        """Some of them."""
        return Rows(*({name: column[rows] for name, column in each.items()} for each in (self.columns, self.words)))

    @property
    def size(self) -> int:
        """How many."""
        return int(self["frequency"].size)

    def histories(self, unit_days: float) -> PurchaseHistories:
        """Their purchase histories in a model's unit, grouped."""
        return PurchaseHistories.from_days(*self.history, np.ones(self.size), unit_days).grouped()


@dataclass(frozen=True, eq=False)
class Known:
    """Rows of one date with who they are: `code` is a customer's number (n,), the same at every date, ascending."""

    code: np.ndarray
    rows: Rows
    flagged: np.ndarray

    def unflagged(self) -> Known:
        """Without the customers that are out of every fit."""
        kept = ~self.flagged
        return Known(self.code[kept], self.rows.take(kept), self.flagged[kept])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What followed for each row of a window's start: transactions and net value of its `days`, (n,)."""

    transactions: Floats
    value: Floats
    days: int


@dataclass(frozen=True, eq=False)
class Slices:
    """All dates of a plan. `customer_id`: the id behind each code."""

    customer_id: pa.Array
    dates: Mapping[date, Known]

    @classmethod
    def of(cls, table: pa.Table, covariates: Sequence[str] = ()) -> Slices:
        """From rows of slice_date, customer_id, is_flagged, COLUMNS and the `covariates` (words). Raises KeyError."""
        table = table.combine_chunks()
        ids = pc.unique(table["customer_id"])
        ids = ids.take(pc.array_sort_indices(ids))
        code = pc.index_in(table["customer_id"], value_set=ids).to_numpy()
        day = np.asarray(table["slice_date"].cast(pa.date32()).cast(pa.int32()))
        flagged = np.asarray(table["is_flagged"].cast(pa.bool_()).to_numpy())
        every = Rows(
            {name: to_floats(table[name]) for name in COLUMNS},
            {name: table[name].cast(pa.string()).to_numpy(zero_copy_only=False) for name in covariates},
        )
        dates = {}
        for one in np.unique(day):
            rows = np.flatnonzero(day == one)
            rows = rows[np.argsort(code[rows], kind="stable")]
            dates[date.fromordinal(int(one) + _EPOCH)] = Known(code[rows], every.take(rows), flagged[rows])
        return cls(ids, dates)

    def at(self, day: date) -> Known | None:
        """Who was known and unflagged at that date; None where nobody was."""
        known = self.dates.get(day)
        if known is None:
            return None
        known = known.unflagged()
        return known if known.rows.size else None

    def outcome(self, known: Known, window: Window) -> Outcome:
        """What the window brought for customers known at its start. Who is known no more (all orders void) brought none.

        A transaction cancelled since makes a difference negative: no transaction is then counted.
        """
        end = self.dates.get(window.end)
        now, sales = np.zeros(known.code.size), np.zeros(known.code.size)
        if end is not None:
            at = np.searchsorted(end.code, known.code)
            there = at < end.code.size
            there[there] = end.code[at[there]] == known.code[there]
            now[there] = end.rows["frequency"][at[there]] + 1.0
            sales[there] = end.rows["net_sales"][at[there]]
        before = known.rows["frequency"] + 1.0
        return Outcome(np.maximum(now - before, 0.0), sales - known.rows["net_sales"], window.days)


_EPOCH = date(1970, 1, 1).toordinal()
