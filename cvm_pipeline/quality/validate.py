"""Great Expectations behind one function: `validate(source, suite) -> QualityReport`.

Belongs here: running a suite in bounded memory, and failing closed. Not here: what the checks are (`expectations/`), whether
they are enough (`complete.py`), what a failure leads to (publication).

Most checks of a DuckDB table are answered without loading it (`at_scale.py`). For the others columns are loaded a few at a
time, at most `CELLS_AT_ONCE` values, and key columns only for a check that failed. Whatever keeps a check from being judged (an unknown column, a wrong argument, an error inside) is a critical failure of that check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cvm_pipeline.quality import frame, words
from cvm_pipeline.quality.at_scale import AtScale
from cvm_pipeline.quality.engine import ROWS_SHOWN, Engine, error_in
from cvm_pipeline.quality.results import CheckResult, QualityReport
from cvm_pipeline.quality.source import DuckTable, TableSource
from cvm_pipeline.quality.suite import NOTHING_TO_COMPARE, Check, Suite, SuiteIncomplete
from cvm_pipeline.quality.tables import PRIVATE_SCHEMA, gated_table

CELLS_AT_ONCE = 6_000_000


def validate(
    source: TableSource,
    suite: Suite,
    parameters: Mapping[str, Any] | None = None,
    *,
    cells_at_once: int = CELLS_AT_ONCE,
) -> QualityReport:
    """Judges the table by its suite, one result per check, in the suite's order.

    `parameters` are the bounds that checks take from the configuration. Raises SuiteIncomplete for an empty suite and KeyError
    for the suite of a table that is not gated; nothing that a table holds makes it raise.
    """
    if not suite.checks:
        raise SuiteIncomplete([f"{suite.name}.json holds no check"])
    table = gated_table(suite.name)
    given = parameters or {}
    judge = _Judge(source, suite.name, table.key, table.schema == PRIVATE_SCHEMA, given, Engine())
    found = {check.name: judge.nothing_to_compare(check) for check in suite.checks if not check.applies(given)}
    if isinstance(source, DuckTable):
        found |= judge.at_scale(source, [check for check in suite.checks if check.name not in found], cells_at_once)
    for pack in _packs([check for check in suite.checks if check.name not in found], source.rows, cells_at_once):
        found |= {result.name: result for result in judge.results(pack)}
    return QualityReport(tuple(found[check.name] for check in suite.checks))


def _packs(checks: list[Check], rows: int, cells_at_once: int) -> Iterator[list[Check]]:
    """Checks of the same columns together, and as many columns at once as the budget allows (at least one check)."""
    pack: list[Check] = []
    columns: set[str] = set()
    for check in sorted(checks, key=lambda check: check.columns):
        if pack and (len(columns | set(check.columns)) * rows > cells_at_once and not set(check.columns) <= columns):
            yield pack
            pack, columns = [], set()
        pack.append(check)
        columns |= set(check.columns)
    if pack:
        yield pack


@dataclass(frozen=True)
class _Judge:
    source: TableSource
    suite: str
    key: tuple[str, ...]
    private: bool
    parameters: Mapping[str, Any]
    engine: Engine

    def results(self, pack: list[Check]) -> list[CheckResult]:
        """Judges a pack at once; where that fails, each check alone, so that one broken check spoils no other."""
        try:
            raw = self._loaded(list(dict.fromkeys(column for check in pack for column in check.columns)))
            found = self.engine.ask(frame.presented(raw, pack), pack, self.parameters)
            return [self._result(check, found[check.name]) for check in pack]
        # Whatever goes wrong, of whatever kind, the gate must fail closed and say so: here alone every error is caught.
        except Exception as error:
            if len(pack) == 1:
                return [self._could_not_be_judged(pack[0], error)]
        return [result for check in pack for result in self.results([check])]

    def _loaded(self, columns: list[str]) -> pd.DataFrame:
        raw = self.source.load(columns)
        if len(raw) != self.source.rows:
            raise ValueError(f"{len(raw)} rows were loaded of {self.source.rows}")
        return raw

    def _result(self, check: Check, found: dict[str, Any]) -> CheckResult:
        error = error_in(found)
        if error:
            return self._could_not_be_judged(check, error)
        by_row = "unexpected_count" in found["result"]
        rows = self._failing_rows(check) if by_row and check.columns and not found["success"] else []
        return self._found(check, found["success"], found["result"], rows)

    def at_scale(self, source: DuckTable, checks: list[Check], cells_at_once: int) -> dict[str, CheckResult]:
        """The results of the checks that need no whole table, by name."""
        answers = AtScale(source, self.key, self.engine, self.parameters, cells_at_once).answers(checks)
        return {
            check.name: self._found(check, answer.success, answer.result, self._shown(check, answer.failing))
            for check in checks
            if (answer := answers.get(check.name)) is not None
        }

    def nothing_to_compare(self, check: Check) -> CheckResult:
        """The result of a check that is known to have nothing to compare with."""
        return self._told(check, success=True, observed=NOTHING_TO_COMPARE.value)

    def _found(self, check: Check, success: bool, result: Mapping[str, Any], rows: list[dict[str, Any]]) -> CheckResult:
        # An id is somebody, and in a sentence `cvm forget` can't tell it from a number; the failing rows name it as an id.
        is_id = check.column.endswith("_id")
        values = [] if is_id else [row[check.column] for row in rows if check.column in row]
        return self._told(
            check,
            success=success,
            observed=words.observed(check, result, values),
            unexpected_count=result.get("unexpected_count"),
            failing_rows=rows,
        )

    def _failing_rows(self, check: Check) -> list[dict[str, Any]]:
        """Judges once more on a frame that holds the key as well, so that positions and rows can't come apart."""
        columns = list(dict.fromkeys((*self.key, *check.columns)))
        raw = self._loaded(columns)
        answer = self.engine.ask(frame.presented(raw, [check]), [check], self.parameters)[check.name]
        return self._shown(check, raw.iloc[answer["result"].get("partial_unexpected_index_list", [])[:ROWS_SHOWN]])

    def _shown(self, check: Check, failing: pd.DataFrame | None) -> list[dict[str, Any]]:
        if failing is None:
            return []
        columns = list(self.key) if self.private else list(dict.fromkeys((*self.key, *check.columns)))
        return frame.rows_shown(failing, list(range(len(failing))), columns)

    def _could_not_be_judged(self, check: Check, error: Exception | str) -> CheckResult:
        kind = "GreatExpectationsError" if isinstance(error, str) else type(error).__name__
        # An error's message may quote a value.
        said = kind if self.private else f"{kind}: {' '.join(str(error).split())[:300]}"
        observed = f"could not be judged: {said}"
        return self._told(check, success=False, observed=observed, severity="critical", relative=False)

    def _told(self, check: Check, **found: Any) -> CheckResult:
        given = {"severity": check.severity, "relative": check.relative, **found}
        return CheckResult(
            suite=self.suite,
            name=check.name,
            column=check.column,
            expectation=check.type,
            expected=words.expected(check, self.parameters, self._limits(check)),
            likely_cause=check.likely_cause,
            **given,
        )

    def _limits(self, check: Check) -> words.Limits:
        table = gated_table(self.suite)
        if check.column not in table.names:
            return None, None
        return table.column(check.column).low, table.column(check.column).high
