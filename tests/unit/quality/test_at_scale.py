"""A DuckDB table is judged without loading it, and the answers are those of the same table loaded whole."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
import pytest

from cvm_pipeline.quality import at_scale
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.suite import Check, Suite
from cvm_pipeline.quality.validate import validate

IDS = ("a", "b", "c1", "c2", "d e", " ", "", "\t", "\N{NO-BREAK SPACE}", "Zoë", "北京", "it's", "x\ny")
NUMBERS = (0.0, -0.0, 0.5, 1.0, 1.0000001, -1e-9, 2.5, math.nan, math.inf, -math.inf, None)
WORDS = ("A", "B", "a", "Can't", "", None)


class Loaded:
    """The same table, loaded whole: the plain way."""

    def __init__(self, table: DuckTable) -> None:
        self._table = table

    @property
    def rows(self) -> int:
        return self._table.rows

    def load(self, columns: list[str]) -> pd.DataFrame:
        return self._table.load(columns)


def checks() -> Iterator[Check]:
    """Every kind of check that a suite holds, and some that can't be judged."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("table_row_count_to_be_between", {"min_value": 1}),
        ("compound_columns_to_be_unique", {"column_list": ["customer_id", "value_tier"]}),
        ("column_values_to_be_between", {"column": "p_alive", "min_value": 0, "strict_min": True}),
        ("column_values_to_be_between", {"column": "p_alive", "min_value": 0, "max_value": 1}),
        ("column_values_to_be_between", {"column": "p_alive", "max_value": 1, "mostly": 0.5}),
        ("column_values_to_be_between", {"column": "clv", "min_value": 0}),
        ("column_values_to_be_between", {"column": "transactions", "min_value": 0, "max_value": 3}),
        ("column_values_to_be_between", {"column": "value_tier", "min_value": 0}),
        ("column_values_to_be_between", {"column": "clv", "min_value": {"$PARAMETER": "given"}}),
        ("column_values_to_be_between", {"column": "clv", "min_value": {"$PARAMETER": "not_given"}}),
        ("column_values_to_be_between", {"column": "no_such", "min_value": 0}),
        ("column_values_to_be_in_set", {"column": "is_finite(p_alive)", "value_set": [True]}),
        ("column_values_to_be_in_set", {"column": "is_finite(clv)", "value_set": [True]}),
        ("column_values_to_be_in_set", {"column": "value_tier", "value_set": ["A", "B", "Can't"]}),
        ("column_values_to_be_in_set", {"column": "transactions", "value_set": [0, 1, 2]}),
        ("column_values_to_be_in_set", {"column": "is_loyal", "value_set": [True]}),
        ("column_kl_divergence_to_be_less_than", {
            "column": "value_tier", "threshold": 0.1, "partition_object": {"values": ["A", "B"], "weights": [0.5, 0.5]}}),
        ("column_mean_to_be_between", {"column": "transactions", "min_value": 1, "max_value": 2}),
        ("column_median_to_be_between", {"column": "clv", "min_value": 0, "max_value": 2}),
        ("column_proportion_of_non_null_values_to_be_between", {"column": "p_alive", "min_value": 0.9}),
    ]  # fmt: skip
    for column in ("customer_id", "p_alive", "clv", "value_tier", "is_loyal", "first_order_date"):
        asked += [
            ("column_values_to_not_be_null", {"column": column}),
            ("column_values_to_be_unique", {"column": column}),
        ]
    for regex in (r"\S", r"^[a-c][0-9]?$", "^(a|b)$", r"^\w+$"):
        asked.append(("column_values_to_match_regex", {"column": "customer_id", "regex": regex}))
    for n, (kind, kwargs) in enumerate(asked):
        yield Check(f"check_{n}", f"expect_{kind}", kwargs, "critical", "why")


def table(con: duckdb.DuckDBPyConnection, rows: list[list[Any]]) -> DuckTable:
    con.execute("""create table t (customer_id varchar, p_alive double, clv decimal(18, 4), transactions bigint, value_tier varchar,
                   is_loyal boolean, first_order_date date)""")
    if rows:
        con.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", rows)
    return DuckTable(con, "t")


def drawn(seed: int) -> list[list[Any]]:
    """Rows that hold only what is sound, or whatever there is, in each column by chance."""
    draw = random.Random(seed)
    sound = {"ids": [f"c{n}" for n in range(500)], "numbers": [0.25, 0.5, 1.0], "words": ["A", "B"]}
    pools: list[list[Any]] = []
    for odd, name in ((IDS, "ids"), (NUMBERS, "numbers"), (WORDS, "words")):
        pools.append(list(odd) if draw.random() < 0.5 else sound[name])
    ids, numbers, words = pools
    return [
        [
            draw.choice(ids),
            draw.choice(numbers),
            draw.choice((1.5, 0, 12.3456, *((-0.0001, None) if seed % 2 else ()))),
            draw.choice((0, 1, 2, *((None, 3, -1) if seed % 3 else ()))),
            draw.choice(words),
            draw.choice((True, False, None) if seed % 2 else (True,)),
            draw.choice(("2024-01-01", "2024-02-02", None)),
        ]
        for _ in range(draw.choice((0, 1, 2, 30, 60)) if seed else 40)
    ]


@pytest.mark.parametrize("seed", range(10))
def test_the_answers_are_those_of_the_table_loaded_whole(seed: int) -> None:
    with duckdb.connect() as con:
        judged = table(con, drawn(seed))
        suite = Suite("customer_value", "why", tuple(checks()))
        # Three cells at once: parts of one row or a few.
        found = validate(judged, suite, {"given": 0.1}, cells_at_once=3 if seed % 2 else 60)
        plain = validate(Loaded(judged), suite, {"given": 0.1})
    for one, other in zip(found.results, plain.results, strict=True):
        assert one == other


def test_duplicates_are_counted_over_all_parts_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_scale, "HASHES_AT_ONCE", 7)
    with duckdb.connect() as con:
        judged = table(con, [[f"c{n % 20}", 0.5, 1, 1, "A", True, None] for n in range(35)])
        unique = Check("unique", "expect_column_values_to_be_unique", {"column": "customer_id"}, "critical", "why")
        (found,) = validate(judged, Suite("customer_value", "why", (unique,))).results
        (plain,) = validate(Loaded(judged), Suite("customer_value", "why", (unique,))).results
    assert found.unexpected_count == 30
    assert found == plain


def test_a_sound_table_is_never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any) -> Any:
        raise AssertionError(f"loaded {given[1:]}")

    sound = [check for check in checks() if check.type != "expect_table_row_count_to_be_between"]
    with duckdb.connect() as con:
        judged = table(con, [[f"c{n}", 0.5, 1, 1, "AB"[n % 2], True, f"2024-01-{n + 1:02}"] for n in range(20)])
        able = [
            c for c in sound if c.type.endswith(("not_be_null", "unique", "regex", "less_than")) and "|" not in str(c)
        ]
        able = [c for c in able if c.column not in ("p_alive", "clv", "is_loyal", "value_tier") or "null" in c.type]
        monkeypatch.setattr(DuckTable, "load", refused)
        monkeypatch.setattr(DuckTable, "parts", refused)
        report = validate(judged, Suite("customer_value", "why", tuple(able)))
    names = {c.name for c in able if c.kwargs.get("regex") not in (r"^[a-c][0-9]?$", r"^\w+$")}
    assert [(r.name, r.observed) for r in report.failures() if r.name in names] == []
