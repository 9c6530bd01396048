"""Great Expectations behind one function: `validate(source, suite) -> QualityReport`.

Belongs here: running a suite in bounded memory, and failing closed. Not here: what the checks are (`expectations/`), whether
they are enough (`complete.py`), what a failure leads to (publication).

Columns are loaded a few at a time, at most `CELLS_AT_ONCE` values, and key columns only for a check that failed. Whatever
keeps a check from being judged (an unknown column, a wrong argument, an error inside) is a critical failure of that check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cvm_pipeline.quality import frame, words
from cvm_pipeline.quality.results import CheckResult, QualityReport
from cvm_pipeline.quality.source import TableSource
from cvm_pipeline.quality.suite import Check, Suite, SuiteIncomplete
from cvm_pipeline.quality.tables import PRIVATE_SCHEMA, gated_table

CELLS_AT_ONCE = 6_000_000
ROWS_SHOWN = 10

# SUMMARY gives counts and the first positions. Asking for index columns costs 30 s where a million rows fail.
_RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": ROWS_SHOWN}


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
    judge = _Judge(source, suite.name, table.key, table.schema == PRIVATE_SCHEMA, parameters or {}, _engine())
    found: dict[str, CheckResult] = {}
    for pack in _packs(suite.checks, source.rows, cells_at_once):
        found |= {result.name: result for result in judge.results(pack)}
    return QualityReport(tuple(found[check.name] for check in suite.checks))


def _packs(checks: tuple[Check, ...], rows: int, cells_at_once: int) -> Iterator[list[Check]]:
    """Checks of the same columns together, and as many columns at once as the budget allows (at least one check)."""
    pack: list[Check] = []
    columns: set[str] = set()
    for check in sorted(checks, key=lambda check: check.columns):
        if pack and (len(columns | set(check.columns)) * rows > cells_at_once and not set(check.columns) <= columns):
            yield pack
            pack, columns = [], set()
        pack.append(check)
        columns |= set(check.columns)
    yield pack


def _engine() -> Any:
    """An ephemeral Great Expectations context: no files, no progress bars, no telemetry."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("gate").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("whole")


@dataclass(frozen=True)
class _Judge:
    source: TableSource
    suite: str
    key: tuple[str, ...]
    private: bool
    parameters: Mapping[str, Any]
    engine: Any

    def results(self, pack: list[Check]) -> list[CheckResult]:
        """Judges a pack at once; where that fails, each check alone, so that one broken check spoils no other."""
        try:
            raw = self._loaded(list(dict.fromkeys(column for check in pack for column in check.columns)))
            found = self._run(raw, pack)
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

    def _run(self, raw: pd.DataFrame, pack: list[Check]) -> dict[str, dict[str, Any]]:
        """Great Expectations' answer for each check, by name, as plain JSON. Raises where one is missing."""
        import great_expectations as gx
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        # Given as JSON, an expectation of an unknown type would be logged, left out of the suite, and so passed.
        expectations = [
            ExpectationConfiguration(
                type=check.type, kwargs=check.resolved(self.parameters), meta={"check": check.name}
            ).to_domain_obj()
            for check in pack
        ]
        batch = self.engine.get_batch(batch_parameters={"dataframe": frame.presented(raw, pack)})
        suite = gx.ExpectationSuite(name=self.suite, expectations=expectations)
        outcome = batch.validate(suite, result_format=_RESULT_FORMAT)
        answers = [(each.expectation_config.meta, each.to_json_dict()) for each in outcome.results]
        found = {meta["check"]: frame.plain_json(answer) for meta, answer in answers}
        if found.keys() != {check.name for check in pack}:
            raise ValueError("a check was left out by Great Expectations")
        return found

    def _result(self, check: Check, found: dict[str, Any]) -> CheckResult:
        error = _error_in(found.get("exception_info") or {})
        if error:
            return self._could_not_be_judged(check, error)
        rows = self._failing_rows(check) if check.columns and not found["success"] else []
        return self._told(
            check,
            success=found["success"],
            observed=words.observed(found["result"], [row[check.column] for row in rows if check.column in row]),
            unexpected_count=found["result"].get("unexpected_count"),
            failing_rows=rows,
        )

    def _failing_rows(self, check: Check) -> list[dict[str, Any]]:
        """Judges once more on a frame that holds the key as well, so that positions and rows can't come apart."""
        columns = list(dict.fromkeys((*self.key, *check.columns)))
        raw = self._loaded(columns)
        positions = self._run(raw, [check])[check.name]["result"].get("partial_unexpected_index_list", [])
        return frame.rows_shown(raw, positions[:ROWS_SHOWN], list(self.key) if self.private else columns)

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
            expected=words.expected(check, self.parameters),
            likely_cause=check.likely_cause,
            **given,
        )


def _error_in(info: Mapping[str, Any]) -> str:
    """The message of an error inside Great Expectations, which answers with one record or with one per metric."""
    records = [info] if "raised_exception" in info else [one for one in info.values() if isinstance(one, Mapping)]
    messages = [str(one.get("exception_message")) for one in records if one.get("raised_exception")]
    return messages[0] if messages else ""
