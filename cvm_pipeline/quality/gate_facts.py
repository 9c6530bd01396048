"""The gate's facts of one candidate: computed, kept as rows, and judged like any other table.

Belongs here: running `gate_queries/` against a candidate, and showing a failing fact with what was compared and the rows
behind it. Not here: the queries, nor the thresholds (`expectations/gate_fact.json`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from cvm_pipeline.quality.engine import ROWS_SHOWN
from cvm_pipeline.quality.fact_query import FactQuery
from cvm_pipeline.quality.frame import rows_shown
from cvm_pipeline.quality.gate_queries import FACTS, GATE_FACT, PREAMBLE
from cvm_pipeline.quality.results import CheckResult, QualityReport
from cvm_pipeline.quality.source import arrow_frame
from cvm_pipeline.quality.suite import Suite
from cvm_pipeline.quality.validate import validate

if TYPE_CHECKING:
    import duckdb


_NEVER_NULL = {fact.name for fact in FACTS if not fact.nullable}


class FactMissing(ValueError):
    """A fact that must be there is not, or is null: nothing may be judged as if it held."""


@dataclass(frozen=True)
class Names:
    """Qualified names, all the program's own, of what one connection has attached.

    `candidate`, `pii` and `marts` are schemas (`cand.cvm`, `pii.cvm_pii`, `work.marts`); `earlier` is the relation that holds
    earlier snapshots, by default the candidate's own history. `memory_date` is the snapshot that previous_tier and
    previous_stage were read from, None where there was none.
    """

    candidate: str
    pii: str
    marts: str
    earlier: str = ""
    memory_date: date | None = None
    is_on_grid: bool = True


@dataclass(frozen=True)
class Fact:
    """One fact: `value` is judged, `actual` and `expected` say what was compared, `rows` shows up to ten rows behind it."""

    name: str
    value: float | None
    actual: str
    expected: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    def to_row(self, as_of_date: date) -> dict[str, Any]:
        """A row of `gate_fact` as it is kept: one per snapshot and fact."""
        return {
            "as_of_date": as_of_date, "fact": self.name, "actual": self.actual, "expected": self.expected,
            "difference": self.value,
        }  # fmt: skip


def compute(con: duckdb.DuckDBPyConnection, names: Names, as_of_date: date) -> list[Fact]:
    """All facts of the candidate's snapshot, in the order of the catalogue. Raises duckdb.Error where a table is not there."""
    return [_computed(con, query, names, as_of_date) for query in FACTS]


def judge(facts: Sequence[Fact], as_of_date: date, suite: Suite, parameters: Mapping[str, Any]) -> QualityReport:
    """The suite `gate_fact` over these facts; a failing one shows what was compared and the rows behind it."""
    report = validate(FactTable(facts, as_of_date), suite, parameters)
    by_name = {fact.name: fact for fact in facts}
    return QualityReport(tuple(_shown(result, by_name.get(result.column)) for result in report.results))


class FactTable:
    """The facts as a table of one row, a column each: the `TableSource` that the suite `gate_fact` judges."""

    def __init__(self, facts: Sequence[Fact], as_of_date: date) -> None:
        self._values = {"as_of_date": as_of_date, **{fact.name: fact.value for fact in facts}}

    @property
    def rows(self) -> int:
        return 1

    def load(self, columns: list[str]) -> pd.DataFrame:
        """Raises FactMissing for a fact that is unknown, or null where it must not be: 'between' would pass a null."""
        for name in columns:
            if name not in self._values:
                raise FactMissing(f"there is no fact {name}")
            if self._values[name] is None and name in _NEVER_NULL:
                raise FactMissing(f"the fact {name} is null")
        if not columns:
            return pd.DataFrame(index=pd.RangeIndex(1))
        kinds = {name: pa.date32() if name == "as_of_date" else pa.float64() for name in columns}
        arrays = {name: pa.array([self._values[name]], type=kind) for name, kind in kinds.items()}
        return pa.table(arrays).to_pandas(types_mapper=pd.ArrowDtype)


def _computed(con: duckdb.DuckDBPyConnection, query: FactQuery, names: Names, as_of_date: date) -> Fact:
    values = {"as_of_date": as_of_date, "memory_date": names.memory_date, "is_on_grid": names.is_on_grid}
    ((value, actual, expected),) = con.execute(_statement(query.sql, names), values).fetchall()
    rows: list[dict[str, Any]] = []
    if query.rows and value:
        first = f"select * from ({query.rows}) order by all limit {ROWS_SHOWN}"
        found = arrow_frame(con, _statement(first, names), values)
        rows = rows_shown(found, list(range(len(found))), list(found.columns))
    number = None if value is None else float(value)
    return Fact(query.name, number, str(actual or "none"), str(expected or "none"), rows)


def _statement(sql: str, names: Names) -> str:
    return (PREAMBLE + "fact as (" + sql + ") select * from fact").format(
        candidate=names.candidate,
        pii=names.pii,
        marts=names.marts,
        earlier=names.earlier or f"{names.candidate}.customer_value_history",
    )


def _shown(result: CheckResult, fact: Fact | None) -> CheckResult:
    if fact is None or result.observed.startswith("could not be judged"):
        return result
    ratio = GATE_FACT.column(fact.name).type == "double"
    joined = "against" if ratio else "expected"
    value = "nothing to compare with" if fact.value is None else f"{fact.value:,.6g}"
    counted = None if result.success or ratio or fact.value is None else int(abs(fact.value)) if fact.rows else 1
    return replace(
        result,
        observed=f"{value} ({fact.actual}, {joined} {fact.expected})",
        failing_rows=fact.rows,
        unexpected_count=counted,
    )
