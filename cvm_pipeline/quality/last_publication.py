"""What the last publication held of a table, as the bounds that its suite compares with: one pass of SQL, no rows loaded.

Belongs here: the names of these parameters, their SQL, and what is said where there is nothing to compare with.
Not here: the thresholds (`expectations/`: `times` and `plus` stand beside the parameter), which rows are the last
publication's (`defs/gate.py`).

A suite writes `last_rows`, `last_mean(column)`, `last_median(column)`, `last_non_null_share(column)` or
`last_shares(column)`. Mean and median are of the values that are not null, as Great Expectations takes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.suite import NOTHING_TO_COMPARE, Check, Suite

ROWS = "last_rows"

# A hundredth is spread evenly over all words seen then or now: a word that is new this month would else be infinitely
# surprising, however rare.
SPREAD_EVENLY = 0.01

_COMPARISON = re.compile(r"last_(mean|median|non_null_share|shares)\((\w+)\)")
_SQL = {
    "mean": "avg({0}::double)",
    "median": "median({0}::double)",
    "non_null_share": "count({0}) / count(*)",
    "shares": "histogram({0}::varchar)",
}


def compared(check: Check) -> tuple[str, ...]:
    """The check's parameters that come from the last publication; empty where it compares with nothing of it."""
    return tuple(name for name in check.parameters if name.startswith("last_"))


def column_of(parameter: str) -> str | None:
    """The column that a parameter speaks of, '' for the rows of the table, None where it is no parameter of this module."""
    if parameter == ROWS:
        return ""
    found = _COMPARISON.fullmatch(parameter)
    return found.group(2) if found else None


def nothing_before(suite: Suite) -> dict[str, Any]:
    """The suite's parameters where there is no earlier publication: each check of them is told as not applicable."""
    return dict.fromkeys(_known(suite), NOTHING_TO_COMPARE)


def parameters_of(suite: Suite, now: DuckTable, last: DuckTable | None) -> dict[str, Any]:
    """The suite's parameters, from the last publication's rows of the table; `now` are the candidate's.

    NOTHING_TO_COMPARE where there is no last publication, no row or no value in it, or no such column yet. A parameter whose
    name is unknown is left out, so that its check can't be judged. Raises duckdb.Error.
    """
    found = nothing_before(suite)
    if last is None or last.rows == 0:
        return found
    asked = {name: _select(name) for name in found if name != ROWS and column_of(name) in last.columns}
    answers = last.ask(asked)
    words = {name: f"list(distinct {quoted(_column(name))}::varchar)" for name in asked if _kind(name) == "shares"}
    seen = now.ask(words)
    found[ROWS] = last.rows
    for name, value in answers.items():
        found[name] = _shares(value, seen[name]) if name in seen else _number(value)
    return {name: found[name] for name in _known(suite)}


def _known(suite: Suite) -> list[str]:
    names = dict.fromkeys(name for check in suite.checks for name in compared(check))
    return [name for name in names if column_of(name) is not None]


def _select(name: str) -> str:
    return _SQL[_kind(name)].format(quoted(_column(name)))


def _kind(name: str) -> str:
    found = _COMPARISON.fullmatch(name)
    return found.group(1) if found else ""


def _column(name: str) -> str:
    return column_of(name) or ""


def _number(value: float | None) -> Any:
    return NOTHING_TO_COMPARE if value is None or not math.isfinite(value) else float(value)


def _shares(counts: Mapping[str, int] | None, words_now: list[str | None] | None) -> Any:
    """Great Expectations' partition object: words and their weights, which sum to 1."""
    total = sum((counts or {}).values())
    if not total:
        return NOTHING_TO_COMPARE
    words = sorted({*(counts or {}), *(word for word in words_now or () if word is not None)})
    even = SPREAD_EVENLY / len(words)
    weights = [(1 - SPREAD_EVENLY) * (counts or {}).get(word, 0) / total + even for word in words]
    return {"values": words, "weights": weights}
