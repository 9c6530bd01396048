"""Expectations and what was found, in plain words.

Belongs here: one sentence per kind of expectation. Not here: layout (`explain.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvm_pipeline.quality.suite import Check, finite_argument


def expected(check: Check, parameters: Mapping[str, Any]) -> str:
    """What the check asks for; a parameter not given is shown by its name."""
    kwargs = {name: _bound(value, parameters) for name, value in check.kwargs.items()}
    column = ", ".join(check.judged)
    match check.type:
        case "expect_table_row_count_to_be_between":
            return f"{_range(kwargs)} rows"
        case "expect_column_values_to_not_be_null":
            return f"{column} in every row"
        case "expect_column_values_to_be_unique" | "expect_compound_columns_to_be_unique":
            return f"no two rows with the same {column}"
        case "expect_column_values_to_be_between":
            return f"{column} {_range(kwargs)}"
        case "expect_column_values_to_be_in_set" if argument := finite_argument(column):
            return f"{argument} a finite number wherever it is not null"
        case "expect_column_values_to_be_in_set":
            return f"{column} one of {', '.join(str(word) for word in kwargs['value_set'])}"
        case "expect_column_values_to_match_regex":
            return f"{column} of the form {kwargs['regex']}"
    told = ", ".join(f"{name} {value}" for name, value in kwargs.items())
    return f"{check.type.removeprefix('expect_').replace('_', ' ')} ({told})"


def observed(result: Mapping[str, Any], values: Sequence[Any]) -> str:
    """What was found, from Great Expectations' `result` object; up to three of the failing `values` that may be shown."""
    if "observed_value" in result:
        return f"{_number(result['observed_value'])} rows"
    failing, rows = result.get("unexpected_count", 0), result.get("element_count", 0)
    if not failing:
        return f"all of {_number(rows)} rows hold"
    shown = list(dict.fromkeys("null" if value is None else _number(value) for value in values))[:3]
    example = f", such as {'; '.join(shown)}" if shown else ""
    return f"{_number(failing)} of {_number(rows)} rows fail{example}"


def _bound(value: Any, parameters: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping) and "$PARAMETER" in value:
        return parameters.get(value["$PARAMETER"], value["$PARAMETER"])
    return value


def _range(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = "more than" if kwargs.get("strict_min") else "at least"
    below = "less than" if kwargs.get("strict_max") else "at most"
    if low is not None and low == high:
        return f"exactly {_number(low)}"
    if high is None:
        return f"{above} {_number(low)}"
    if low is None:
        return f"{below} {_number(high)}"
    return f"{above} {_number(low)} and {below} {_number(high)}"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
