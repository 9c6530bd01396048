"""A handful of a column's own values that answer for all of them, so that millions of rows need not be loaded to pass.

Belongs here: which values decide a check of single values, as SQL, and the frame of them. Not here: what happens where they
fail (`at_scale.py`: then every row is judged).

Such a check asks the same of each value, so it holds for all if it holds for each distinct one; and of those for the least
and the greatest where it is a range, for one value inside and one outside a list of words, for one null, one NaN and each
infinity. Great Expectations judges these. A check of any other kind, or whose arguments are not plain, has no witnesses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from cvm_pipeline.domain.sql_text import literal, quoted
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.suite import Check, finite_argument

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
REGEX = "expect_column_values_to_match_regex"

# Checks of single values, and the arguments beside which nothing changes what they ask.
BY_VALUE = {
    NOT_NULL: {"column"},
    BETWEEN: {"column", "min_value", "max_value", "strict_min", "strict_max"},
    IN_SET: {"column", "value_set"},
    REGEX: {"column", "regex"},
}

_FLOATING = ("DOUBLE", "FLOAT")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
# Literals, classes, anchors and counts: where these are all, DuckDB's expressions mean what Python's do on printable ASCII.
_SIMPLE_REGEX = re.compile(r"\^?(?:(?:\\[SdDwW]|\[[A-Za-z0-9-]+\]|[A-Za-z0-9@_ -])(?:\{\d+\}|[+*?])?)+\$?")


@dataclass
class Witnesses:
    """One column's: aggregates that give a value each, and conditions under which a special value is among them."""

    values: set[str] = field(default_factory=set)
    doubtful: dict[str, str] = field(default_factory=dict)


def is_by_value(check: Check) -> bool:
    """Whether the check asks one thing of each value, and of nothing else."""
    return check.type in BY_VALUE and check.kwargs.keys() <= BY_VALUE[check.type]


def passed(
    source: DuckTable, checks: Sequence[Check], parameters: Mapping[str, Any]
) -> tuple[list[Check], pd.DataFrame]:
    """The checks that witnesses can answer for, and the frame of witnesses for all of them.

    A check that holds on the frame holds on the table; one that fails there fails on the table, but neither how many rows
    nor which is known by that. Raises duckdb.Error.
    """
    by_column: dict[str, Witnesses] = {}
    able = []
    for check in checks:
        kind = source.columns.get(check.columns[0], "") if is_by_value(check) else ""
        found = _aggregates(check, kind, parameters)
        if found is not None:
            able.append(check)
            wanted = by_column.setdefault(check.columns[0], Witnesses())
            wanted.values |= found.values
            wanted.doubtful |= found.doubtful
    answers = source.ask(_asked(by_column, source.columns))
    doubted = {name for of in by_column.values() for name in of.doubtful if answers[name]}
    schema = source.schema(list(by_column)) if by_column else pa.schema([])
    chosen = {name: _chosen(name, of, answers) for name, of in by_column.items()}
    longest = max((len(values) for values in chosen.values()), default=0)
    # Repeating a witness asks nothing new of it.
    padded = {name: values + values[:1] * (longest - len(values)) for name, values in chosen.items()}
    table = pa.table({name: pa.array(values, schema.field(name).type) for name, values in padded.items()})
    return [check for check in able if check.name not in doubted], table.to_pandas(types_mapper=pd.ArrowDtype)


def _aggregates(check: Check, kind: str, parameters: Mapping[str, Any]) -> Witnesses | None:
    """What the check needs beside the column's special values; None where witnesses can't answer for it."""
    if not kind or any(name not in parameters for name in check.parameters):
        return None
    kwargs, column = check.resolved(parameters), quoted(check.columns[0])
    numeric = kind in (*_FLOATING, *_WHOLE) or kind.startswith("DECIMAL")
    if check.type == NOT_NULL and finite_argument(check.judged[0]) is None:
        return Witnesses()
    if check.type == IN_SET and finite_argument(check.judged[0]) and kwargs["value_set"] == [True]:
        return Witnesses() if numeric else None
    if finite_argument(check.judged[0]):
        return None
    if check.type == BETWEEN and numeric:
        bounds = [kwargs.get(name) for name in ("min_value", "max_value")]
        if all(bound is None or _is_number(bound) for bound in bounds):
            finite = f" filter (isfinite({column}))" if kind in _FLOATING else ""
            return Witnesses({f"min({column}){finite}", f"max({column}){finite}"})
    if check.type == IN_SET and kind == "VARCHAR":
        words = kwargs["value_set"]
        if words and all(isinstance(word, str) for word in words):
            inside = f"{column} in ({', '.join(literal(word) for word in words)})"
            return Witnesses({f"min({column}) filter ({inside})", f"min({column}) filter (not {inside})"})
    if check.type == REGEX and kind == "VARCHAR" and _SIMPLE_REGEX.fullmatch(str(kwargs["regex"])):
        # Beyond printable ASCII the two dialects differ: whoever holds such a character is judged row by row.
        sure = f"regexp_matches({column}, {literal(kwargs['regex'])}) and regexp_full_match({column}, '[ -~]*')"
        return Witnesses(doubtful={check.name: f"coalesce(bool_or(not ({sure})), false)"})
    return None


def _asked(by_column: Mapping[str, Witnesses], kinds: Mapping[str, str]) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, of in by_column.items():
        column = quoted(name)
        asked |= {f"{name} has a null": f"count(*) > count({column})"}
        asked |= {f"{name} {sql}": sql for sql in (*of.values, f"min({column})")}
        asked |= of.doubtful
        if kinds[name] in _FLOATING:
            asked |= {f"{name} has {value}": f"bool_or({column} = '{value}'::double)" for value in _SPECIAL}
    return asked


_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _chosen(name: str, of: Witnesses, answers: Mapping[str, Any]) -> list[Any]:
    found = [answers[f"{name} {sql}"] for sql in (*sorted(of.values), f"min({quoted(name)})")]
    special = [value for word, value in _SPECIAL.items() if answers.get(f"{name} has {word}")]
    nulls = [None] if answers[f"{name} has a null"] else []
    return [*(value for value in found if value is not None), *special, *nulls]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
