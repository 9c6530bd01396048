"""What the gate found: one `CheckResult` per check, and the `QualityReport` that decides whether it blocks.

Belongs here: results, their rows for `data_quality_result`, and acceptance by hand. All plain JSON values.
Not here: how a result is come by (`validate.py`), how it is told at length (`explain.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


class AcceptanceRefused(Exception):
    """A failure can't be accepted by hand. `problems` says why, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class CheckResult:
    """One check's answer. `failing_rows` holds up to ten rows: key columns and the judged ones, never personal data."""

    suite: str
    name: str
    column: str
    expectation: str
    severity: str
    relative: bool
    success: bool
    expected: str
    observed: str
    unexpected_count: int | None = None
    failing_rows: list[dict[str, Any]] = field(default_factory=list)
    likely_cause: str = ""
    accepted_reason: str | None = None

    @property
    def blocks(self) -> bool:
        return not self.success and self.severity == "critical" and self.accepted_reason is None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, for the audit record and Dagster's metadata."""
        return asdict(self)


@dataclass(frozen=True)
class QualityReport:
    """The results of one suite, or of all suites of one candidate together."""

    results: tuple[CheckResult, ...]

    @classmethod
    def combined(cls, reports: Iterable[QualityReport]) -> QualityReport:
        return cls(tuple(result for report in reports for result in report.results))

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> QualityReport:
        """The report that `to_json` wrote. Raises TypeError where a field is missing or unknown."""
        return cls(tuple(CheckResult(**row) for row in rows))

    def to_json(self) -> list[dict[str, Any]]:
        return [result.to_json() for result in self.results]

    def failures(self) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if not result.success)

    def blocking_failures(self) -> tuple[CheckResult, ...]:
        """Critical failures that nobody accepted."""
        return tuple(result for result in self.results if result.blocks)

    def summary(self) -> str:
        """One line for `publication.gate_summary`."""
        accepted = sum(r.accepted_reason is not None for r in self.results)
        passed = sum(r.success for r in self.results)
        blocked = len(self.blocking_failures())
        warned = len(self.failures()) - accepted - blocked
        told = f"{passed} passed, {warned} warned, {accepted} accepted, {blocked} blocking"
        reasons = [f"{r.name} ({r.accepted_reason})" for r in self.results if r.accepted_reason is not None]
        return told + (f"; accepted: {', '.join(reasons)}" if reasons else "")

    def to_rows(self, publication_id: str) -> list[dict[str, Any]]:
        """Rows of `data_quality_result`, columns as the contract names them."""
        return [
            {
                "publication_id": publication_id,
                "suite": result.suite,
                "expectation": result.name,
                "column": result.column,
                "success": result.success,
                "severity": result.severity,
                "observed": result.observed,
                "unexpected_count": result.unexpected_count,
                "accepted_reason": result.accepted_reason,
            }
            for result in self.results
        ]


def accept(report: QualityReport, reasons: Mapping[str, str]) -> QualityReport:
    """The report with these failing checks, by name, accepted for their reasons.

    Only relative checks can be: those that compare with an earlier snapshot or with the base's own past. A check that passed
    needs no acceptance and gets none. Raises AcceptanceRefused with every reason against, accepting nothing.
    """
    named = {name: [result for result in report.results if result.name == name] for name in reasons}
    problems = [problem for name, found in named.items() for problem in _against(name, reasons[name], found)]
    if problems:
        raise AcceptanceRefused(problems)
    return QualityReport(
        tuple(
            replace(result, accepted_reason=reasons[result.name].strip())
            if result.name in reasons and not result.success
            else result
            for result in report.results
        )
    )


def _against(name: str, reason: str, found: list[CheckResult]) -> list[str]:
    problems = []
    if not found:
        problems.append(f"{name} can't be accepted: no check of that name ran")
    if not reason.strip():
        problems.append(f"{name} can't be accepted without a reason")
    if any(not result.relative for result in found):
        problems.append(
            f"{name} can't be accepted: only a relative check can, never one of keys, ranges or reconciliation, "
            "nor one that could not be judged"
        )
    return problems
