"""The same answers as Great Expectations gives on a table loaded whole, from a table that need not fit into memory.

Belongs here: for each kind of check, which rows must be handed over, and how the answers to parts of a table add up.
Not here: the checks, the answers in words (`validate.py`), the SQL (`source.py`, `witnesses.py`).

Checks of single values are answered by witnesses where they hold; where one fails, every row is judged, part by part, since
how many fail and which must be exact. Duplicates are looked for among the rows that may have one. The spread of a column
of few values is decided by those and how often each stands. What none of this fits is left to the caller.
A test holds each of these to the plain way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.quality import witnesses
from cvm_pipeline.quality.engine import ROWS_SHOWN, Engine, error_in
from cvm_pipeline.quality.frame import presented
from cvm_pipeline.quality.source import ROW, DuckTable
from cvm_pipeline.quality.suite import Check, finite_argument

# A spread of more values than this is none that a check compares.
FEW_VALUES = 10_000
# 16 bytes of hash table for each: what the search for duplicates may take at once.
HASHES_AT_ONCE = 12_000_000

_UNIQUE = ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")
_SPREAD = {
    "expect_column_kl_divergence_to_be_less_than": "{0}",
    "expect_column_proportion_of_non_null_values_to_be_between": "case when {0} is not null then true end",
}


@dataclass(frozen=True)
class Answer:
    """Great Expectations' `success` and `result`, as of the whole table; `failing` holds up to ten failing rows, keys too."""

    success: bool
    result: Mapping[str, Any]
    failing: pd.DataFrame | None = None


@dataclass(frozen=True)
class AtScale:
    """Judges one table. `cells_at_once` bounds what is loaded of it."""

    source: DuckTable
    key: tuple[str, ...]
    engine: Engine
    parameters: Mapping[str, Any]
    cells_at_once: int

    def answers(self, checks: Sequence[Check]) -> dict[str, Answer]:
        """The answers by check, as far as there is a way shorter than loading the table; those that err are left out."""
        if self.source.rows == 0:
            return {}
        by_value = [check for check in checks if witnesses.is_by_value(check)]
        found = self._tried(self._by_witnesses, by_value)
        found |= self._tried(self._by_parts, [check for check in by_value if check.name not in found])
        for check in checks:
            if check.type in _UNIQUE and check.kwargs.keys() <= {"column", "column_list"}:
                found |= self._tried(self._by_repetition, [check])
            elif check.type in _SPREAD and finite_argument(check.judged[0]) is None:
                found |= self._tried(self._by_counts, [check])
        return found

    def _tried(self, way: Any, checks: list[Check]) -> dict[str, Answer]:
        """Where a check errs, each alone; one that errs alone is left to the plain way, which says what is wrong with it."""
        if not checks:
            return {}
        try:
            found: dict[str, Answer] = way(checks)
        # Of whatever kind: see `validate.py`, where every check that is left out here is judged again.
        except Exception:
            if len(checks) == 1:
                return {}
            return {name: answer for check in checks for name, answer in self._tried(way, [check]).items()}
        return found

    def _by_witnesses(self, checks: list[Check]) -> dict[str, Answer]:
        able, few = witnesses.passed(self.source, checks, self.parameters)
        if not able:
            return {}
        answers = self.engine.ask(presented(few, able), able, self.parameters)
        return {
            name: Answer(True, {"element_count": self.source.rows, "unexpected_count": 0})
            for name, answer in answers.items()
            if answer["success"] and not error_in(answer)
        }

    def _by_parts(self, checks: list[Check]) -> dict[str, Answer]:
        columns = list(dict.fromkeys((*self.key, *(name for check in checks for name in check.columns))))
        counts = dict.fromkeys((check.name for check in checks), 0)
        failing: dict[str, list[pd.DataFrame]] = {check.name: [] for check in checks}
        rows = 0
        for part in self.source.parts(columns, max(self.cells_at_once // len(columns), 1)):
            rows += len(part)
            for name, result in self._results(part, checks).items():
                counts[name] += result["unexpected_count"]
                failing[name].append(_shown(part, result))
        self._hold_to_all(rows)
        return {name: _added(counts[name], rows, failing[name]) for name in counts}

    def _by_repetition(self, checks: list[Check]) -> dict[str, Answer]:
        (check,) = checks
        count, failing = 0, []
        for part in self.source.repeated(list(check.columns), HASHES_AT_ONCE):
            result = self._results(part, checks)[check.name]
            count += result["unexpected_count"]
            failing.append(_shown(part, result))
        if not failing:
            # Asked of Great Expectations all the same: a wrong argument must not pass because nothing is repeated.
            self._results(self.source.first(list(check.columns), 1), checks)
        answer = _added(count, self.source.rows, failing)
        if answer.failing is None:
            return {check.name: answer}
        return {check.name: Answer(answer.success, answer.result, self._with_key(answer.failing))}

    def _by_counts(self, checks: list[Check]) -> dict[str, Answer]:
        (check,) = checks
        expression = _SPREAD[check.type].format(quoted(check.columns[0]))
        counted = self.source.counted(expression, FEW_VALUES)
        if counted is None:
            return {}
        rows = counted["rows"].to_numpy()
        self._hold_to_all(int(rows.sum()))
        column = pd.DataFrame({check.columns[0]: _repeated(counted["value"].combine_chunks(), rows)})
        answer = self.engine.ask(column, checks, self.parameters)[check.name]
        if error_in(answer):
            raise ValueError(error_in(answer))
        return {check.name: Answer(answer["success"], answer["result"])}

    def _results(self, part: pd.DataFrame, checks: list[Check]) -> dict[str, dict[str, Any]]:
        answers = self.engine.ask(presented(part, checks), checks, self.parameters)
        for answer in answers.values():
            if error_in(answer):
                raise ValueError(error_in(answer))
        return {name: answer["result"] for name, answer in answers.items()}

    def _with_key(self, failing: pd.DataFrame) -> pd.DataFrame:
        return self.source.at(list(dict.fromkeys((*self.key, *failing.columns.drop(ROW)))), failing[ROW].to_list())

    def _hold_to_all(self, rows: int) -> None:
        if rows != self.source.rows:
            raise ValueError(f"{rows} rows were judged of {self.source.rows}")


def _repeated(values: pa.Array, rows: np.ndarray) -> pd.Series:
    """Each value as often as `rows` says, as categories where they are words: two bytes a row."""
    places = np.arange(len(values), dtype=np.int16)
    if not pa.types.is_string(values.type):
        return pd.Series(values.take(pa.array(places.repeat(rows))).to_pandas(types_mapper=pd.ArrowDtype))
    there = values.is_valid().to_numpy(zero_copy_only=False)
    # A null is no category; the query sorts it last or first, so that the places of the others are counted anew.
    codes = np.where(there, np.cumsum(there) - 1, -1).astype(np.int16)
    return pd.Series(pd.Categorical.from_codes(codes.repeat(rows), values.drop_null().to_pylist()))


def _shown(part: pd.DataFrame, result: Mapping[str, Any]) -> pd.DataFrame:
    return part.iloc[result.get("partial_unexpected_index_list", [])[:ROWS_SHOWN]]


def _added(count: int, rows: int, failing: list[pd.DataFrame]) -> Answer:
    shown = pd.concat(failing) if failing else None
    if shown is not None and ROW in shown:
        shown = shown.sort_values(ROW)
    first = None if count == 0 or shown is None else shown.head(ROWS_SHOWN)
    return Answer(count == 0, {"element_count": rows, "unexpected_count": count}, first)
