"""The one function in front of Great Expectations, above all where Great Expectations alone would pass or raise."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from cvm_pipeline.quality.results import CheckResult
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.suite import Check, Suite, SuiteIncomplete
from cvm_pipeline.quality.validate import validate

NAN, INFINITY = math.nan, math.inf


class Frame:
    """A frame as a table to be judged, which remembers what was loaded."""

    def __init__(self, **columns: Any) -> None:
        self.frame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
        self.loads: list[list[str]] = []

    @property
    def rows(self) -> int:
        return len(self.frame)

    def load(self, columns: list[str]) -> pd.DataFrame:
        self.loads.append(columns)
        return self.frame[columns]


def check(kind: str, severity: str = "critical", *, relative: bool = False, **kwargs: Any) -> Check:
    return Check("the_check", f"expect_{kind}", kwargs, severity, "why", relative, "look there")


BETWEEN_0_AND_1 = check("column_values_to_be_between", column="p_alive", min_value=0, max_value=1)
FINITE = check("column_values_to_be_in_set", column="is_finite(p_alive)", value_set=[True])
UNIQUE = check("column_values_to_be_unique", column="customer_id")
ROWS = check("table_row_count_to_be_between", min_value=1)


def judged(table: Any, one: Check, name: str = "customer_value") -> CheckResult:
    (result,) = validate(table, Suite(name, "why", (one,))).results
    return result


def probabilities(values: Sequence[float | None]) -> Frame:
    return Frame(customer_id=[f"c{n}" for n in range(len(values))], p_alive=pa.array(values, pa.float64()))


def test_a_negative_probability_fails_and_its_row_is_shown() -> None:
    result = judged(probabilities([0.5, -0.2, None]), BETWEEN_0_AND_1)
    assert not result.success
    assert result.blocks
    assert result.expected == "p_alive at least 0 and at most 1"
    assert result.observed == "1 of 3 rows fail, such as -0.2"
    assert result.failing_rows == [{"customer_id": "c1", "p_alive": -0.2}]
    assert (result.unexpected_count, result.likely_cause) == (1, "look there")


def test_an_id_is_told_as_a_failing_row_and_never_in_a_sentence() -> None:
    unique = check("column_values_to_be_unique", column="customer_id")
    result = judged(Frame(customer_id=["9137", "9137", "12"], clv=[1, 2, 3]), unique)
    assert result.observed == "2 of 3 rows fail"
    assert result.failing_rows == [{"customer_id": "9137"}] * 2


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_what_is_not_finite_fails(value: float) -> None:
    result = judged(probabilities([0.5, value, None]), FINITE)
    assert (result.success, result.unexpected_count) == (False, 1)
    assert result.failing_rows == [{"customer_id": "c1", "p_alive": str(value)}]


def test_a_null_is_no_failure_of_being_finite() -> None:
    assert judged(probabilities([0.5, None, 1.0]), FINITE).success


def test_a_nan_in_a_plain_numpy_column_fails_though_between_passes_it() -> None:
    table = probabilities([0.5])
    table.frame = pd.DataFrame({"customer_id": ["a", "b"], "p_alive": [0.5, NAN]})
    assert not judged(table, FINITE).success


def test_an_empty_table_fails_by_its_row_count() -> None:
    empty = Frame(customer_id=pa.array([], pa.string()), p_alive=pa.array([], pa.float64()))
    assert judged(empty, UNIQUE).success, "Great Expectations passes it, and so the row count must not"
    assert judged(empty, BETWEEN_0_AND_1).success
    result = judged(empty, ROWS)
    assert (result.blocks, result.observed) == (True, "0 rows")


def test_an_empty_suite_is_refused() -> None:
    with pytest.raises(SuiteIncomplete, match="holds no check"):
        validate(probabilities([0.5]), Suite("customer_value", "why", ()))


def test_a_duplicated_key_fails() -> None:
    result = judged(Frame(customer_id=["a", "b", "b"]), UNIQUE)
    assert (result.blocks, result.unexpected_count) == (True, 2)
    assert result.failing_rows == [{"customer_id": "b"}, {"customer_id": "b"}]


def test_a_duplicated_compound_key_fails() -> None:
    table = Frame(as_of_date=["1", "1", "1"], scheme=["tier", "tier", "stage"], customer_id=["a", "a", "a"])
    key = check("compound_columns_to_be_unique", column_list=["as_of_date", "scheme", "customer_id"])
    result = judged(table, key, "segment_membership")
    assert (result.success, result.unexpected_count, len(result.failing_rows)) == (False, 2, 2)
    assert result.column == "as_of_date, scheme, customer_id"


def test_an_unknown_tier_fails() -> None:
    tiers = check("column_values_to_be_in_set", column="value_tier", value_set=["A", "B"])
    result = judged(Frame(customer_id=["a", "b"], value_tier=["A", "Z"]), tiers)
    assert result.failing_rows == [{"customer_id": "b", "value_tier": "Z"}]


@pytest.mark.parametrize("values", [["x", None], [1, None], [1.5, None], [True, None]])
def test_a_null_fails_where_none_may_be(values: list[Any]) -> None:
    result = judged(Frame(customer_id=["a", "b"], clv=values), check("column_values_to_not_be_null", column="clv"))
    assert result.failing_rows == [{"customer_id": "b", "clv": None}]
    assert result.observed == "1 of 2 rows fail, such as null"


@pytest.mark.parametrize(
    "broken",
    [
        check("column_values_to_not_be_null", "warning", relative=True, column="p_aliev"),
        check("column_values_to_be_beetween", "warning", relative=True, column="p_alive", min_value=0),
        check("column_values_to_be_between", "warning", relative=True, column="p_alive", min_valeu=0),
        check("column_values_to_be_between", "warning", relative=True, column="customer_id", min_value=0),
        check("column_values_to_be_between", "warning", relative=True, column="p_alive", min_value={"$PARAMETER": "x"}),
        check(
            "column_values_to_be_in_set", "warning", relative=True, column="is_finite(customer_id)", value_set=[True]
        ),
    ],
)
def test_a_check_that_errors_is_a_critical_failure_that_nobody_can_accept(broken: Check) -> None:
    result = judged(probabilities([0.5]), broken)
    assert result.blocks
    assert not result.relative
    assert result.observed.startswith("could not be judged: ")


def test_one_broken_check_spoils_no_other() -> None:
    broken = Check("broken", "expect_column_values_to_not_be_null", {"column": "p_aliev"}, "critical", "why")
    report = validate(probabilities([0.5]), Suite("customer_value", "why", (BETWEEN_0_AND_1, broken)))
    assert [(result.name, result.success) for result in report.results] == [("the_check", True), ("broken", False)]


def test_a_table_that_loads_fewer_rows_than_it_has_fails() -> None:
    class Short(Frame):
        @property
        def rows(self) -> int:
            return len(self.frame) + 1

    result = judged(Short(customer_id=["a"]), UNIQUE)
    assert (result.blocks, result.observed) == (True, "could not be judged: ValueError: 1 rows were loaded of 2")


def test_at_most_ten_failing_rows_are_shown() -> None:
    result = judged(probabilities([-1.0] * 30), BETWEEN_0_AND_1)
    assert (result.unexpected_count, len(result.failing_rows)) == (30, 10)


def test_personal_data_is_never_shown() -> None:
    table = Frame(customer_id=["a", "b"], email=["ann@example.org", "no address"])
    form = check("column_values_to_match_regex", column="email", regex="@")
    result = judged(table, form, "customer_pii")
    assert result.failing_rows == [{"customer_id": "b"}]
    assert "address" not in json.dumps(result.to_json())


def test_an_error_over_personal_data_says_its_kind_only() -> None:
    class Broken(Frame):
        def load(self, columns: list[str]) -> pd.DataFrame:
            raise ValueError("could not convert 'ann@example.org'")

    result = judged(Broken(customer_id=["a"]), UNIQUE, "customer_pii")
    assert result.observed == "could not be judged: ValueError"


def test_results_are_plain_json() -> None:
    suite = Suite("customer_value", "why", (BETWEEN_0_AND_1, ROWS))
    report = validate(probabilities([NAN, INFINITY, -1.0, None]), suite)
    assert json.loads(json.dumps(report.to_json(), allow_nan=False)) == report.to_json()


def test_only_the_columns_that_a_check_needs_are_loaded() -> None:
    table = probabilities([0.5, 0.6])
    checks = (BETWEEN_0_AND_1, UNIQUE)
    named = tuple(Check(f"check_{n}", c.type, c.kwargs, c.severity, c.notes) for n, c in enumerate(checks))
    assert not validate(table, Suite("customer_value", "why", named), cells_at_once=2).failures()
    assert sorted(table.loads) == [["customer_id"], ["p_alive"]]


def test_columns_are_loaded_together_within_the_budget() -> None:
    table = probabilities([0.5, 0.6])
    named = tuple(
        Check(f"c{n}", c.type, c.kwargs, c.severity, c.notes) for n, c in enumerate((BETWEEN_0_AND_1, UNIQUE))
    )
    validate(table, Suite("customer_value", "why", named), cells_at_once=4)
    assert table.loads == [["customer_id", "p_alive"]]


def test_money_in_decimals_is_judged_by_its_range() -> None:
    con = duckdb.connect()
    con.execute("create table t as from (values ('a', 12.5000::decimal(18,4)), ('b', -0.0001)) t(customer_id, clv)")
    result = judged(DuckTable(con, "t"), check("column_values_to_be_between", column="clv", min_value=0))
    assert result.failing_rows == [{"customer_id": "b", "clv": "-0.0001"}]


def test_a_duckdb_table_can_be_judged_for_one_snapshot_only() -> None:
    con = duckdb.connect()
    con.execute("create table t as from (values ('a', 1), ('b', 2), ('b', 2)) t(customer_id, n)")
    assert judged(DuckTable(con, "t", "n = $n", {"n": 1}), UNIQUE).success
    assert not judged(DuckTable(con, "t", "n = $n", {"n": 2}), UNIQUE).success


def test_importing_the_package_does_not_import_great_expectations() -> None:
    modules = "cvm_pipeline.quality.validate, cvm_pipeline.quality.gate_facts, cvm_pipeline.quality.complete"
    code = f"import cvm_pipeline.quality, {modules}, sys; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
