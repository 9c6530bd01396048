"""The shipped suites against the contract: a sound table passes, and each promise of the contract, broken alone, blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from cvm_pipeline.domain.contracts import TABLES, Column, Table, table
from cvm_pipeline.quality.complete import assert_complete
from cvm_pipeline.quality.gate_queries import GATE_FACT
from cvm_pipeline.quality.last_publication import nothing_before
from cvm_pipeline.quality.results import QualityReport
from cvm_pipeline.quality.suite import load_suites
from cvm_pipeline.quality.tables import GATED
from cvm_pipeline.quality.validate import validate

SUITES = load_suites(Path(__file__).parents[2] / "expectations")
PUBLISHED = [each for each in TABLES if each.gated]
KINDS = {
    "varchar": pa.string(), "date": pa.date32(), "timestamp": pa.timestamp("us"), "bigint": pa.int64(), "integer": pa.int32(),
    "double": pa.float64(), "boolean": pa.bool_(), "decimal(18,4)": pa.float64(),
}  # fmt: skip
FORMS = {"rfm_cell": "543", "file_hash": "0" * 64}
ROWS = 4


class Rows:
    """Columns by name as a table to be judged."""

    def __init__(self, of: Table, values: dict[str, list[Any]]) -> None:
        arrays = {column.name: pa.array(values[column.name], KINDS[column.type]) for column in of.columns}
        self._frame = pa.table(arrays).to_pandas(types_mapper=pd.ArrowDtype)

    @property
    def rows(self) -> int:
        return len(self._frame)

    def load(self, columns: list[str]) -> pd.DataFrame:
        return self._frame[columns] if columns else pd.DataFrame(index=pd.RangeIndex(self.rows))


def value(column: Column, n: int) -> Any:
    """The n-th sound value of the column, different for each n as far as its bounds let it."""
    if column.vocabulary:
        return column.vocabulary[n % len(column.vocabulary)]
    low = 1 if column.low is None else column.low
    number = low + min(n, (column.high if column.high is not None else low + n) - low)
    by_type = {
        "varchar": FORMS.get(column.name, f"{column.name} {n}"), "date": date(2024, 1, 1) + timedelta(days=n),
        "timestamp": datetime(2024, 1, 1) + timedelta(days=n), "boolean": n % 2 == 0,
        "bigint": int(number), "integer": int(number), "double": float(number) + 0.5 * (number == 0), "decimal(18,4)": number,
    }  # fmt: skip
    return by_type[column.type]


def sound(of: Table) -> dict[str, list[Any]]:
    """Sound rows of the table, the last one null wherever it may be."""
    return {
        column.name: [
            None if column.nullable and column.name not in of.key and n == ROWS - 1 else value(column, n)
            for n in range(ROWS)
        ]
        for column in of.columns
    }


def judged(of: Table, values: dict[str, list[Any]], column: str = "") -> QualityReport:
    """The shipped suite on these rows; with `column`, only those of its checks that judge the column."""
    suite = SUITES[of.name]
    if column:
        suite = replace(suite, checks=tuple(check for check in suite.checks if column in check.columns))
    return validate(Rows(of, values), suite, nothing_before(suite))


def poisons() -> Iterator[tuple[str, str, Any]]:
    """Every single value that the contract forbids: (table, column, value)."""
    for of in PUBLISHED:
        for column in of.columns:
            if not column.nullable or column.name in of.key:
                yield of.name, column.name, None
            if column.type == "double":
                yield from ((of.name, column.name, bad) for bad in (float("nan"), float("inf"), float("-inf")))
            if column.low is not None:
                yield of.name, column.name, column.low - 1
            if column.high is not None:
                yield of.name, column.name, column.high + 1
            if column.vocabulary:
                yield of.name, column.name, "nonsense"


def test_the_shipped_suites_hold_the_whole_contract() -> None:
    assert_complete(SUITES, GATED)
    assert SUITES.keys() == {of.name for of in PUBLISHED} | {GATE_FACT.name}


@pytest.mark.parametrize("of", PUBLISHED, ids=lambda of: of.name)
def test_a_sound_table_passes(of: Table) -> None:
    report = judged(of, sound(of))
    assert [(result.name, result.observed) for result in report.failures()] == []
    assert len(report.results) == len(SUITES[of.name].checks)


@pytest.mark.parametrize(("name", "column", "bad"), poisons())
def test_a_value_that_the_contract_forbids_blocks(name: str, column: str, bad: Any) -> None:
    rows = sound(table(name))
    rows[column][1] = bad
    blocking = judged(table(name), rows, column).blocking_failures()
    assert blocking
    assert not any("could not be judged" in result.observed for result in blocking)
    assert all(result.failing_rows for result in blocking)


@pytest.mark.parametrize("of", PUBLISHED, ids=lambda of: of.name)
def test_a_duplicated_key_blocks(of: Table) -> None:
    rows = sound(of)
    for name in of.key:
        rows[name][1] = rows[name][0]
    blocking = judged(of, rows, of.key[-1]).blocking_failures()
    assert [result.expectation for result in blocking if "unique" in result.expectation]


@pytest.mark.parametrize("of", PUBLISHED, ids=lambda of: of.name)
def test_an_empty_table_blocks_unless_it_may_be_empty(of: Table) -> None:
    report = judged(of, {column.name: [] for column in of.columns})
    assert bool(report.blocking_failures()) != of.may_be_empty


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_every_check_says_why_and_where_to_look(suite: Any) -> None:
    assert all(check.notes and check.likely_cause for check in suite.checks)
    assert all(len(check.name) > len("is_sound") and "_" in check.name for check in suite.checks)
