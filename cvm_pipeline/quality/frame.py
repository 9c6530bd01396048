"""What Great Expectations gets to see of a loaded frame, and how a row of it is shown to a person.

Belongs here: the computed columns, and the forms that make a check cheap without changing its answer.
Not here: any check.

Great Expectations hashes each frame it is given, twice, value by value where they are Python objects: 3 s a million rows
for a compound key of text. A check for nulls or duplicates asks only which values are equal: it gets whole numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.quality.suite import Check, finite_argument

_ASKS_ONLY_EQUALITY = {
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
}


def presented(raw: pd.DataFrame, checks: Iterable[Check]) -> pd.DataFrame:
    """The frame for these checks: their columns only, computed ones included, on a fresh index 0 .. n-1."""
    by_value: dict[str, bool] = {}
    for check in checks:
        for name in check.judged:
            by_value[name] = by_value.get(name, False) or check.type not in _ASKS_ONLY_EQUALITY
    columns = {name: _presented(raw, name, by_value=needed) for name, needed in by_value.items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(raw)))


def rows_shown(raw: pd.DataFrame, positions: list[int], columns: list[str]) -> list[dict[str, Any]]:
    """Those rows as plain JSON values. Dates in ISO form; NaN and infinity as words, since JSON has none."""
    picked = raw[columns].iloc[positions]
    table = pa.table({name: _arrow(picked[name]) for name in columns})
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


def _presented(raw: pd.DataFrame, name: str, *, by_value: bool) -> pd.Series:
    argument = finite_argument(name)
    array = _arrow(raw[argument or name])
    if argument:
        array = pc.fill_null(pc.is_finite(pc.cast(array, pa.float64())), True)
    elif pa.types.is_decimal(array.type):
        array = pc.cast(array, pa.float64())
    elif not by_value and not _is_numeric(array.type):
        array = pc.dictionary_encode(array).indices
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return pd.Series(pc.dictionary_encode(array).to_pandas())
    return pd.Series(array.to_pandas(types_mapper=pd.ArrowDtype))


def _arrow(series: pd.Series) -> pa.Array:
    keeps_nan = series.dtype.kind == "f" and not isinstance(series.dtype, pd.api.extensions.ExtensionDtype)
    array = pa.array(series, from_pandas=not keeps_nan)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def plain_json(value: Any) -> Any:
    """A result of Great Expectations without numpy in it: Dagster can't serialise numpy."""
    return json.loads(json.dumps(value, default=_unnumpied))


def _unnumpied(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
