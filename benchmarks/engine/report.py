"""What the benchmark says, as Markdown: ratios first, then every measurement, then whether the answers agree.

Belongs here: medians, tables, words. Not here: running anything.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engine.answers import Verdict
from benchmarks.engine.comparisons import Comparison, Ratio

HOW = """\
Each measurement is a process of its own that loads its inputs off the clock; sides take turns, and the order is reversed
each round. Medians over all runs. One thread each, except where DuckDB reads or sorts ("from Parquet", summary, memory):
{threads} threads; "cores used" is processor time over wall time. lifetimes and pandas run on the same numpy and scipy as
we do. "As shipped": the peer called as documented, one row per customer that is already in memory, whereas our "from
Parquet" reads and groups them on the clock: that favours the peer. "Grouped": both get the same distinct
(x, t_x, T), grouping itself off the clock. Ours include standard errors; lifetimes' do for
BG/NBD alone. pymc-marketing's fit is its MAP: it takes no weights, compiles on the clock and has priors. A peer's fit that
takes minutes runs once or twice."""


@dataclass
class Found:
    """What is known of one side: times of all its runs, the newest report, or why there is none. `asked`: whether it was
    to be run at all.
    """

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peaks_mib: list[float] = field(default_factory=list)
    report: dict[str, Any] | None = None
    why_not: str = ""
    asked: bool = True

    @property
    def median(self) -> float | None:
        """Median seconds."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def processor_median(self) -> float:
        """Median processor seconds; not below the clock's own grain."""
        return max(statistics.median(self.processor_seconds), 1e-4)


@dataclass(frozen=True)
class Outcome:
    """One comparison as it went; sides by name."""

    comparison: Comparison
    size: int
    facts: dict[str, Any]
    found: dict[str, Found]
    verdicts: Sequence[Verdict]


def markdown(outcomes: Sequence[Outcome], threads: int, quick: bool) -> str:
    """The whole report."""
    scale = "quick: too small for the targets, which are those of full size" if quick else "full sizes"
    parts = [
        f"# The engine beside its peers ({scale})",
        _machine(outcomes),
        HOW.format(threads=threads),
        "## Ratios",
        _ratios(outcomes, judged=not quick),
        "## Measurements",
        _measurements(outcomes),
        "## Answers",
        _answers(outcomes),
    ]
    return "\n\n".join(parts) + "\n"


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """What failed: our own programs, and answers that differ. Nothing is a failure for being slow."""
    told = [
        f"{outcome.comparison.title}: {side.name}: {outcome.found[side.name].why_not}"
        for outcome in outcomes
        for side in outcome.comparison.sides
        if not side.is_peer and outcome.found[side.name].why_not
    ]
    return told + [f"{o.comparison.title}: {v.words}" for o in outcomes for v in o.verdicts if v.failed]


def _ratios(outcomes: Sequence[Outcome], judged: bool) -> str:
    rows = []
    for outcome in outcomes:
        for ratio in outcome.comparison.ratios:
            if not (outcome.found[ratio.slower].asked and outcome.found[ratio.faster].asked):
                continue
            rows.append([_titled(outcome), ratio.what, *_ratio(ratio, outcome)])
        for name, most in outcome.comparison.most_mib.items():
            peaks = outcome.found[name].peaks_mib
            peak = max(peaks) if peaks else None
            said = "" if peak is None else "met" if peak <= most else "missed"
            rows.append([_titled(outcome), f"peak memory, {name}", _mib(peak), "", f"at most {most:,.0f} MiB", said])
    head = ("work", "ratio", "by the clock", "by processor time", "target", "")
    return _table(head, rows) if judged else _table(head[:-1], [row[:-1] for row in rows])


def _ratio(ratio: Ratio, outcome: Outcome) -> list[str]:
    slower, faster = (outcome.found[name] for name in (ratio.slower, ratio.faster))
    target = "" if ratio.target is None else f"at {'most' if ratio.ceiling else 'least'} {ratio.target:g}x"
    if slower.median is None or faster.median is None:
        return [f"none: {slower.why_not or faster.why_not}", "", target, ""]
    value = slower.median / faster.median
    both = [f"{value:.3g}x", f"{slower.processor_median / faster.processor_median:.3g}x"]
    if ratio.target is None:
        return [*both, target, ""]
    met = value <= ratio.target if ratio.ceiling else value >= ratio.target
    return [*both, target, "met" if met else "missed"]


def _measurements(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for outcome in outcomes:
        for side in outcome.comparison.sides:
            found = outcome.found[side.name]
            if not found.asked:
                continue
            if found.median is None:
                rows.append([_titled(outcome), side.name, "", found.why_not, "", "", ""])
                continue
            cores = sum(found.processor_seconds) / max(sum(found.seconds), 1e-9)
            spread = f"{_seconds(min(found.seconds))} to {_seconds(max(found.seconds))}"
            note = f"then {found.why_not}" if found.why_not else ""
            peak = _mib(max(found.peaks_mib, default=None))
            runs = f"{len(found.seconds)}"
            rows.append(
                [
                    _titled(outcome),
                    side.name,
                    _seconds(found.median),
                    f"{spread} {note}".strip(),
                    runs,
                    f"{cores:.1f}",
                    peak,
                ]
            )
    return _table(("work", "who", "median s", "least to most", "runs", "cores used", "peak memory with inputs"), rows)


def _answers(outcomes: Sequence[Outcome]) -> str:
    lines = []
    for outcome in outcomes:
        for verdict in outcome.verdicts:
            lines.append(f"- {_titled(outcome)}: {'**DIFFERS** ' if verdict.failed else ''}{verdict.words}")
    return "\n".join(lines) or "Nothing was compared."


def _titled(outcome: Outcome) -> str:
    groups = outcome.facts.get("groups")
    return f"{outcome.comparison.title}, {outcome.size:,}" + (f" ({groups:,} distinct)" if groups else "")


def _machine(outcomes: Sequence[Outcome]) -> str:
    versions: dict[str, str] = {}
    for outcome in outcomes:
        for side in outcome.comparison.sides:
            report = outcome.found[side.name].report
            for name, version in (report["versions"] if report else {}).items():
                versions.setdefault(f"{name} {version}", "")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return (
        f"{os.cpu_count()} cores of {_processor()}, Python {platform.python_version()}; load average {load:.1f} at the end. "
        f"{', '.join(versions)}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _mib(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.0f} MiB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in line) + " |" for line in lines
    )
