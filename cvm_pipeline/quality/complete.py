"""Whether the suites are enough: each promise of the contract must be held by a check at least as strict.

Belongs here: what a suite must hold, and why Great Expectations alone would not notice its absence.
Not here: thresholds beyond the contract (`expectations/`), running anything (`validate.py`).

Great Expectations passes an empty suite, an empty table, a NaN in 'between' and a null in every check but not-null.
So a suite needs a row count, not-null checks, and `is_finite` beside every double; a check weakened by `mostly`, by a
row condition, by severity warning or by a bound from the configuration does not count as holding the contract.

A suite must also compare with the last publication: its rows, and how at least one column is spread. A table may satisfy
every promise row by row and still be half of what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from cvm_pipeline.domain.contracts import Column, Table
from cvm_pipeline.quality.gate_queries import FACTS, GATE_FACT
from cvm_pipeline.quality.last_publication import ROWS as LAST_ROWS
from cvm_pipeline.quality.last_publication import column_of, compared
from cvm_pipeline.quality.suite import Check, Suite, SuiteIncomplete, finite_argument
from cvm_pipeline.quality.tables import PRIVATE_SCHEMA

ROW_COUNT = "expect_table_row_count_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
UNIQUE_TOGETHER = "expect_compound_columns_to_be_unique"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"

_PLAIN_KWARGS = {
    "column", "column_list", "min_value", "max_value", "strict_min", "strict_max", "value_set",
}  # fmt: skip


def assert_complete(suites: Mapping[str, Suite], tables: Iterable[Table]) -> None:
    """Raises SuiteIncomplete, listing all that the suites lack for these tables; not-gated ones are left out."""
    gated = [table for table in tables if table.gated]
    problems = [problem for table in gated for problem in _problems(table, suites.get(table.name))]
    problems += [f"{name}.json: there is no gated table {name}" for name in suites.keys() - {t.name for t in gated}]
    problems += _shared_names(suites)
    if problems:
        raise SuiteIncomplete(problems)


def _problems(table: Table, suite: Suite | None) -> Iterator[str]:
    if suite is None:
        yield f"{table.name}.json is missing"
        return
    if not suite.checks:
        yield f"{table.name}.json holds no check"
        return
    if not suite.notes.strip():
        yield f"{table.name}.json: meta.notes is empty"
    for name, times in Counter(check.name for check in suite.checks).items():
        if times > 1:
            yield f"{table.name}.json: {times} checks are named {name}"
    for check in suite.checks:
        if not check.notes.strip():
            yield f"{table.name}.json: {check.name} has no notes that say why"
        for column in check.columns:
            if column not in table.names:
                yield f"{table.name}.json: {check.name} judges {column}, which the contract doesn't have"
    for problem in _lacking(table, [check for check in suite.checks if _holds_for_all_rows(check)]):
        yield f"{table.name}.json: {problem}"
    # The facts are of this candidate alone; those that compare are among the ones that must be judged.
    if table.name == GATE_FACT.name:
        yield from _unjudged_facts(suite)
    else:
        yield from _uncompared(table, suite)


def _uncompared(table: Table, suite: Suite) -> Iterator[str]:
    for check in suite.checks:
        for name in compared(check):
            if column_of(name) not in ("", *table.names):
                yield f"{suite.name}.json: {check.name} compares with {name}, which the last publication doesn't give"
        if compared(check) and not check.relative:
            yield f"{suite.name}.json: {check.name} compares with the last publication and is not relative"
        if table.schema == PRIVATE_SCHEMA and any(name.startswith("last_shares") for name in compared(check)):
            yield f"{suite.name}.json: {check.name} would tell personal data: the shares of a private column"
    if not any(check.type == ROW_COUNT and _both_ways(check) for check in suite.checks):
        yield f"{suite.name}.json: no check holds the rows to those of the last publication, from below and above"
    if not any(column_of(name) for check in suite.checks for name in compared(check)):
        yield f"{suite.name}.json: no check compares the spread of a column with that of the last publication"


def _both_ways(check: Check) -> bool:
    bounds = (check.kwargs.get("min_value"), check.kwargs.get("max_value"))
    return all(isinstance(bound, Mapping) and bound.get("$PARAMETER") == LAST_ROWS for bound in bounds)


def _unjudged_facts(suite: Suite) -> Iterator[str]:
    """Thresholds of a ratio are the suite's own, so that one may not quietly be left out."""
    blocking = {check.column for check in suite.checks if check.type == BETWEEN and check.severity == "critical"}
    judged = {check.column for check in suite.checks if check.type == BETWEEN}
    for fact in FACTS:
        if fact.name not in (blocking if fact.must_block else judged):
            yield f"{suite.name}.json: no {'critical ' if fact.must_block else ''}check judges the fact {fact.name}"


def _shared_names(suites: Mapping[str, Suite]) -> Iterator[str]:
    """A relative check is accepted by its bare name, so that must mean one check only."""
    relative = Counter(check.name for suite in suites.values() for check in suite.checks if check.relative)
    everywhere = Counter(check.name for suite in suites.values() for check in suite.checks)
    return (f"the relative check {name} shares its name with another" for name in relative if everywhere[name] > 1)


def _holds_for_all_rows(check: Check) -> bool:
    return check.severity == "critical" and not check.relative and check.kwargs.keys() <= _PLAIN_KWARGS


def _lacking(table: Table, checks: list[Check]) -> Iterator[str]:
    least = 0 if table.may_be_empty else 1
    if not any(check.type == ROW_COUNT and _at_least(check.kwargs.get("min_value"), least) for check in checks):
        yield f"no critical check holds the table to at least {least} rows"
    if not any(_makes_unique(check, table.key) for check in checks):
        yield f"no critical check holds the key unique: {', '.join(table.key)}"
    for column in table.columns:
        for_column = [check for check in checks if check.columns == (column.name,)]
        yield from _lacking_for(column, for_column, must_be_there=column.name in table.key or not column.nullable)


def _lacking_for(column: Column, checks: list[Check], *, must_be_there: bool) -> Iterator[str]:
    plain = [check for check in checks if check.judged == (column.name,)]
    if must_be_there and not any(check.type == NOT_NULL for check in plain):
        yield f"no critical check holds {column.name} not null"
    if column.type == "double" and not any(_holds_finite(check) for check in checks):
        yield f"no critical check holds is_finite({column.name}); 'between' passes NaN"
    between = [check for check in plain if check.type == BETWEEN]
    if column.low is not None and not any(_at_least(c.kwargs.get("min_value"), column.low) for c in between):
        yield f"no critical check holds {column.name} to at least {column.low:g}"
    if column.high is not None and not any(_at_most(c.kwargs.get("max_value"), column.high) for c in between):
        yield f"no critical check holds {column.name} to at most {column.high:g}"
    if column.vocabulary and not any(_holds_words(check, column.vocabulary) for check in plain):
        yield f"no critical check holds {column.name} to its vocabulary: {', '.join(column.vocabulary)}"


def _makes_unique(check: Check, key: tuple[str, ...]) -> bool:
    """Columns that are unique by themselves make any key that holds them unique."""
    return check.type in (UNIQUE, UNIQUE_TOGETHER) and bool(check.judged) and set(check.judged) <= set(key)


def _holds_finite(check: Check) -> bool:
    return check.type == IN_SET and finite_argument(check.judged[0]) is not None and check.kwargs["value_set"] == [True]


def _holds_words(check: Check, vocabulary: tuple[str, ...]) -> bool:
    words = check.kwargs.get("value_set")
    return check.type == IN_SET and bool(words) and set(words or ()) <= set(vocabulary)


def _at_least(bound: object, low: float) -> bool:
    return isinstance(bound, int | float) and bound >= low


def _at_most(bound: object, high: float) -> bool:
    return isinstance(bound, int | float) and bound <= high
