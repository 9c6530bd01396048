"""A gate's failures told to a person: what was expected, what was found, which rows, and where to look first.

Belongs here: the lines that `cvm gate explain` prints. Not here: colours, tables, exit codes (`cli/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from cvm_pipeline.quality.results import CheckResult, QualityReport


def explain(report: QualityReport, as_of: date, typed: Callable[[str], str] = str) -> list[str]:
    """The report's failures as lines of text, blocking ones first; one line where there are none.

    `as_of`: the candidate's snapshot. `typed`: how a command is to be typed, for the same project.
    """
    failures = sorted(report.failures(), key=lambda result: (not result.blocks, result.suite, result.name))
    if not failures:
        return [f"The gate passed: {report.summary()}."]
    lines = [f"{report.summary()}."]
    for result in failures:
        lines += ["", *_told(result)]
    blocking = [result for result in failures if result.blocks and not result.accepted_reason]
    if blocking and all(result.relative for result in blocking):
        accepted = " ".join(f"--accept {result.name} --reason '...'" for result in blocking)
        lines += ["", "If it is true what was found: " + typed(f"cvm run --as-of {as_of} {accepted}")]
    elif blocking:
        lines += ["", "What blocks and compares with nothing earlier can't be accepted: mend it, then run again"]
    return lines


def _told(result: CheckResult) -> list[str]:
    word = "accepted" if result.accepted_reason else "BLOCKS" if result.blocks else "warns"
    lines = [
        f"{result.suite}: {result.name.replace('_', ' ')} - {word}",
        f"  expected  {result.expected}",
        f"  found     {result.observed}",
    ]
    if result.failing_rows:
        lines.append("  rows      " + _row(result.failing_rows[0]))
        lines += ["            " + _row(row) for row in result.failing_rows[1:]]
        more = (result.unexpected_count or 0) - len(result.failing_rows)
        if more > 0:
            lines.append(f"            and {more:,} more")
    if result.likely_cause:
        lines.append(f"  look at   {result.likely_cause}")
    if result.accepted_reason:
        lines.append(f"  accepted  {result.accepted_reason}")
    return lines


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'(null)' if value is None else value}" for name, value in row.items())
