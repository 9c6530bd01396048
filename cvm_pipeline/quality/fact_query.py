"""The three shapes that a fact of the gate has: rows that must not be there, two sums that must agree, a ratio.

Belongs here: those shapes. Not here: any fact (`gate_queries/`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cvm_pipeline.domain.contracts import MONEY


@dataclass(frozen=True)
class FactQuery:
    """One fact. `value` is what the suite judges; `nullable` where there may be nothing to compare with.

    `sql` selects (value, actual, expected); `rows`, where given, the failing rows, keys first. `must_block`: its suite must
    hold a critical check of it.
    """

    name: str
    meaning: str
    sql: str
    rows: str = ""
    type: str = "bigint"
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    must_block: bool = True


def none_of(name: str, meaning: str, rows: str, *, nullable_unless: str = "") -> FactQuery:
    """A fact that counts rows which must not be there; `nullable_unless` is a condition without which it says nothing."""
    value = f"case when {nullable_unless} then count(*) end" if nullable_unless else "count(*)"
    sql = f"select {value}, count(*)::varchar, '0' from ({rows})"
    return FactQuery(name, meaning, sql, rows, "bigint", 0, 0, bool(nullable_unless))


def difference(name: str, meaning: str, actual: str, expected: str) -> FactQuery:
    """A fact that two sums of money are equal to the last digit."""
    sql = f"""
        select (actual - expected)::{MONEY}, actual::varchar, expected::varchar
        from (select coalesce(({actual}), 0)::{MONEY} as actual, coalesce(({expected}), 0)::{MONEY} as expected)"""
    return FactQuery(name, meaning, sql, "", MONEY, 0, 0)


def ratio(name: str, meaning: str, actual: str, expected: str, *, must_block: bool = True) -> FactQuery:
    """A fact that compares two numbers by their ratio; null where there is nothing to divide by."""
    sql = f"""
        select actual / nullif(expected, 0), round(actual, 4)::varchar, round(expected, 4)::varchar
        from (select ({actual})::double as actual, ({expected})::double as expected)"""
    return FactQuery(name, meaning, sql, "", "double", nullable=True, must_block=must_block)
