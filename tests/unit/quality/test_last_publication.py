"""What the last publication held, as bounds; and what is said where there is nothing to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from cvm_pipeline.quality.last_publication import nothing_before, parameters_of
from cvm_pipeline.quality.results import CheckResult
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.suite import NOTHING_TO_COMPARE, Check, Suite
from cvm_pipeline.quality.validate import validate


def check(kind: str, **kwargs: Any) -> Check:
    return Check("the_check", f"expect_{kind}", kwargs, "warning", "why", True, "look there")


ROWS = check(
    "table_row_count_to_be_between",
    min_value={"$PARAMETER": "last_rows", "times": 0.9},
    max_value={"$PARAMETER": "last_rows", "times": 1.5, "plus": 1},
)
MEAN = check(
    "column_mean_to_be_between", column="p_alive", min_value={"$PARAMETER": "last_mean(p_alive)", "plus": -0.1},
    max_value={"$PARAMETER": "last_mean(p_alive)", "plus": 0.1},
)  # fmt: skip
MEDIAN = check("column_median_to_be_between", column="clv", max_value={"$PARAMETER": "last_median(clv)", "times": 2})
FILLED = check(
    "column_proportion_of_non_null_values_to_be_between", column="p_alive",
    min_value={"$PARAMETER": "last_non_null_share(p_alive)", "plus": -0.1},
)  # fmt: skip
SPREAD = check(
    "column_kl_divergence_to_be_less_than", column="value_tier", threshold=0.05,
    partition_object={"$PARAMETER": "last_shares(value_tier)"},
)  # fmt: skip


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """`last` and `now`, alike: ten customers, half of them in each of two tiers, two without p_alive."""
    with duckdb.connect() as con:
        con.execute("""create table last as select 'c' || n as customer_id, case when n < 8 then n / 10 end as p_alive,
            n::decimal(18, 4) as clv, case when n % 2 = 0 then 'A' else 'B' end as value_tier from range(10) r(n)""")
        con.execute("create table now as from last")
        yield con


def judged(con: duckdb.DuckDBPyConnection, one: Check, last: str | None = "last") -> CheckResult:
    suite, now = Suite("customer_value", "why", (one,)), DuckTable(con, "now")
    parameters = parameters_of(suite, now, DuckTable(con, last) if last else None)
    (result,) = validate(now, suite, parameters).results
    return result


def test_a_bound_that_is_impossible_is_told_as_the_limit_that_is_possible(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("update last set p_alive = 0.95")
    assert "mean p_alive at least 0.85 and at most 1;" in judged(con, MEAN).expected
    con.execute("update last set p_alive = case when clv = 0 then 0.05 end")
    assert "at least 0;" in judged(con, FILLED).expected


ALL = pytest.mark.parametrize(
    "one", [ROWS, MEAN, MEDIAN, FILLED, SPREAD], ids=["rows", "mean", "median", "filled", "spread"]
)


@ALL
def test_a_table_like_the_last_passes(con: duckdb.DuckDBPyConnection, one: Check) -> None:
    assert judged(con, one).success


@pytest.mark.parametrize(
    ("one", "change", "expected", "observed"),
    [
        (ROWS, "delete from now where clv > 5", "at least 9 and at most 16 rows; at the last publication 10", "6 rows"),
        (MEAN, "update now set p_alive = p_alive + .2", "mean p_alive at least 0.25 and at most 0.45; at the last "
         "publication 0.35", "mean p_alive is 0.55"),
        (MEAN, "update now set p_alive = null", "mean p_alive at least", "mean p_alive is nothing: no values"),
        (MEDIAN, "update now set clv = clv * 3", "median clv at most 9; at the last publication 4.5", "median clv is 13.5"),
        (FILLED, "update now set p_alive = null where clv < 3", "share of rows with a p_alive at least 0.7",
         "share of rows with a p_alive is 0.5"),
        (SPREAD, "update now set value_tier = 'A' where clv < 4", "(B 50.0%, A 50.0%), divergence at most 0.05",
         "(A 70.0%, B 30.0%)"),
        (SPREAD, "update now set value_tier = 'C'", "divergence at most 0.05", "divergence 5.7"),
        (SPREAD, "delete from now", "divergence at most 0.05", "divergence without bound"),
    ],
)  # fmt: skip
def test_a_table_unlike_the_last_warns_in_words(
    con: duckdb.DuckDBPyConnection, one: Check, change: str, expected: str, observed: str
) -> None:
    con.execute(change)
    result = judged(con, one)
    assert (result.success, result.severity, result.blocks) == (False, "warning", False)
    assert expected in result.expected
    assert observed in result.observed


@ALL
@pytest.mark.parametrize("last", [None, "empty", "elsewhere"])
def test_without_anything_to_compare_with_a_check_passes_and_says_so(
    con: duckdb.DuckDBPyConnection, one: Check, last: str | None
) -> None:
    con.execute("create table empty as from last limit 0; create table elsewhere as select 1 as another_column")
    result = judged(con, one, last)
    if last == "elsewhere" and one is ROWS:
        assert not result.success, "a table without the column still has rows"
    else:
        assert (result.success, result.observed) == (True, "nothing to compare with")
        assert "last publication" in result.expected


def test_values_that_were_all_null_are_nothing_to_compare_with(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("update last set p_alive = null, value_tier = null")
    assert [judged(con, one).observed for one in (MEAN, SPREAD)] == ["nothing to compare with"] * 2


@pytest.mark.parametrize("name", ["last_row", "last_mode(p_alive)", "min_customers_share"])
def test_a_parameter_that_nobody_gives_can_not_be_judged(con: duckdb.DuckDBPyConnection, name: str) -> None:
    result = judged(con, check("table_row_count_to_be_between", min_value={"$PARAMETER": name}))
    assert result.blocks
    assert result.observed.startswith("could not be judged: ParameterMissing")


def test_a_word_that_is_new_and_rare_is_no_surprise(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "create or replace table last as select 'c' || n as customer_id, 'A' as value_tier from range(200) r(n)"
    )
    con.execute(
        "create or replace table now as select 'c' || n as customer_id, if(n = 0, 'B', 'A') as value_tier from range(200) r(n)"
    )
    assert judged(con, SPREAD).success


def test_a_suite_before_the_first_publication_has_nothing_to_compare() -> None:
    assert nothing_before(Suite("customer_value", "why", (ROWS, MEAN))) == {
        "last_rows": NOTHING_TO_COMPARE, "last_mean(p_alive)": NOTHING_TO_COMPARE,
    }  # fmt: skip
