"""Expectations and what was found, in plain words.

Belongs here: one sentence per kind of expectation. Not here: layout (`explain.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvm_pipeline.quality.suite import NOTHING_TO_COMPARE, Check, bound, finite_argument, is_parameter

SHARES_SHOWN = 8

Limits = tuple[float | None, float | None]


def expected(check: Check, parameters: Mapping[str, Any], limits: Limits = (None, None)) -> str:
    """What the check asks for; a parameter not given is shown by its name, one of the last publication by its value too.

    `limits`: between which the contract has the column, so that no mean of it is told to be allowed beyond.
    """
    last = [parameters[name] for name in check.parameters if name.startswith("last_") and name in parameters]
    told = _asked(check, parameters, limits)
    if not check.applies(parameters):
        return f"{_plain(check)} like that of the last publication"
    return f"{told}; at the last publication {_number(last[0])}" if last and not isinstance(last[0], Mapping) else told


def _asked(check: Check, parameters: Mapping[str, Any], limits: Limits) -> str:
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
        case "expect_column_mean_to_be_between" | "expect_column_median_to_be_between":
            return f"{_plain(check)} {_range(_possible(kwargs, limits))}"
        case "expect_column_proportion_of_non_null_values_to_be_between":
            return f"{_plain(check)} {_range(_possible(kwargs, (0, 1)))}"
        case "expect_column_kl_divergence_to_be_less_than":
            limit, shares = _number(kwargs["threshold"]), kwargs["partition_object"]
            spread = f" ({_spread(shares)})" if isinstance(shares, Mapping) else ""
            return f"{column} spread as at the last publication{spread}, divergence at most {limit}"
    told = ", ".join(f"{name} {value}" for name, value in kwargs.items())
    return f"{check.type.removeprefix('expect_').replace('_', ' ')} ({told})"


def observed(check: Check, result: Mapping[str, Any], values: Sequence[Any]) -> str:
    """What was found, from Great Expectations' `result` object; up to three of the failing `values` that may be shown."""
    if "observed_value" in result:
        return _measured(check, result)
    failing, rows = result.get("unexpected_count", 0), result.get("element_count", 0)
    if not failing:
        return f"all of {_number(rows)} rows hold"
    shown = list(dict.fromkeys("null" if value is None else _number(value) for value in values))[:3]
    example = f", such as {'; '.join(shown)}" if shown else ""
    return f"{_number(failing)} of {_number(rows)} rows fail{example}"


def _measured(check: Check, result: Mapping[str, Any]) -> str:
    value = result["observed_value"]
    if check.type == "expect_table_row_count_to_be_between":
        return f"{_number(value)} rows"
    if check.type == "expect_column_kl_divergence_to_be_less_than":
        now = result.get("details", {}).get("observed_partition", {"values": [], "weights": []})
        return f"divergence {'without bound' if value is None else _number(value)} ({_spread(now) or 'no values'})"
    return f"{_plain(check)} is " + ("nothing: no values" if value is None else _number(value))


def _plain(check: Check) -> str:
    """What a check of a whole table or column takes the measure of."""
    match check.type:
        case "expect_table_row_count_to_be_between":
            return "a number of rows"
        case "expect_column_mean_to_be_between":
            return f"mean {check.column}"
        case "expect_column_median_to_be_between":
            return f"median {check.column}"
        case "expect_column_proportion_of_non_null_values_to_be_between":
            return f"share of rows with a {check.column}"
    return f"spread of {check.column}"


def _spread(shares: Mapping[str, Any]) -> str:
    """The largest shares in words, at most eight."""
    found = sorted(zip(shares["weights"], map(str, shares["values"]), strict=True), reverse=True)
    more = ["..."] if len(found) > SHARES_SHOWN else []
    return ", ".join([f"{word} {weight:.1%}" for weight, word in found[:SHARES_SHOWN]] + more)


def _bound(value: Any, parameters: Mapping[str, Any]) -> Any:
    if is_parameter(value):
        name = value["$PARAMETER"]
        base = parameters.get(name, name)
        return base if isinstance(base, str) or base is NOTHING_TO_COMPARE else bound(value, base)
    return value


def _possible(kwargs: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Bounds that nothing can pass, told as the limit itself: a share of 0.95 and a tenth more is at most 1."""
    low, high = limits

    def clipped(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        value = value if low is None else max(value, low)
        return value if high is None else min(value, high)

    return {name: clipped(value) for name, value in kwargs.items()}


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
