"""What the retail benchmark says: figures in, tables on the console out.

Belongs here: tables, shares, ratios. Not here: running or reading anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured

# The goal for 1 million customers and 20 million lines on two cores (issue 2).
_GOAL_SECONDS, _GOAL_MIB, _GOAL_RATIO = 300, 6 * 1024, 2.0
_SHOWN_SHARE = 0.01


@dataclass(frozen=True)
class Published:
    """What the job published: `rows` by fate over all files, customers, the sum of clv, the model card's figures."""

    rows: dict[str, int]
    customers: int
    clv: float
    card: dict[str, float | None]


@dataclass(frozen=True)
class Run:
    """One base, run both ways. `home_bytes`: what the job left on the disk."""

    truth: dict[str, Any]
    job: Measured
    script: Measured
    published: Published
    home_bytes: int


def show(run: Run, console: Console) -> None:
    """Everything about one run."""
    base = run.truth["base"]
    size = f"{base['customers']:,} customers, {run.truth['rows']:,} lines, {run.truth['bytes'] / 1e6:,.0f} MB of CSV"
    console.rule(size)
    for table in (_totals(run), _steps(run), _phases(run), _rows(run), _parameters(run)):
        console.print(table)
    console.print(
        f"Goal at 1,000,000 customers and 20,000,000 lines on two cores: {_GOAL_SECONDS} s, {_GOAL_MIB / 1024:g} GiB,"
        f" {_GOAL_RATIO:g} times the script.\n"
        "Times are noisy where others work on the machine: compare processor seconds.\n"
    )


def show_scaling(small: Run, large: Run, console: Console) -> None:
    """Both runs side by side: with lines growing tenfold, what grows more isn't linear."""
    table = _table("Growth", "", "small", "large", "times")
    lines = small.truth["rows"], large.truth["rows"]
    table.add_row("lines", f"{lines[0]:,}", f"{lines[1]:,}", _times(lines[1], lines[0]))
    for name, pair in (
        ("whole job, s", (small.job.seconds, large.job.seconds)),
        ("whole job, processor s", (small.job.processor_seconds, large.job.processor_seconds)),
        ("whole job, peak MiB", (small.job.peak_mib, large.job.peak_mib)),
        ("script, s", (small.script.seconds, large.script.seconds)),
        *((f"step {name}, s", (small.job.report["steps"].get(name), took)) for name, took in _largest(large)),
    ):
        table.add_row(name, _number(pair[0]), _number(pair[1]), _times(pair[1], pair[0]))
    console.print(table)
    each = (large.job.seconds - small.job.seconds) / (lines[1] - lines[0]) * 1e6
    fixed = small.job.seconds - each * lines[0] / 1e6
    console.print(f"A straight line through both: {fixed:.1f} s to start, {each:.1f} s for each million lines.\n")


def _totals(run: Run) -> Table:
    table = _table("Whole job and script", "", "whole job", "script", "times")
    job, script = run.job, run.script
    table.add_row("seconds", _number(job.seconds), _number(script.seconds), _times(job.seconds, script.seconds))
    processor = job.processor_seconds, script.processor_seconds
    table.add_row("processor seconds", *map(_number, processor), _times(*processor))
    table.add_row(
        "peak memory, MiB", _number(job.peak_mib), _number(script.peak_mib), _times(job.peak_mib, script.peak_mib)
    )
    table.add_row("left on disk, MiB", _number(run.home_bytes / 2**20), "", "")
    table.add_row("customers", f"{run.published.customers:,}", f"{script.report['customers']:,}", "")
    table.add_row("sum of clv", f"{run.published.clv:,.0f}", f"{script.report['clv']:,.0f}", "")
    parts = ", ".join(f"{name} {_number(took)}" for name, took in script.report["seconds"].items())
    table.caption = f"The script's seconds: {parts}"
    return table


def _steps(run: Run) -> Table:
    table = _table("Steps of the job", "", "seconds", "share")
    steps = run.job.report["steps"]
    rest = run.job.seconds - sum(steps.values())
    for name, took in [*_largest(run), ("start-up, imports, Dagster itself", rest)]:
        table.add_row(name, _number(took), f"{took / run.job.seconds:.0%}")
    return table


def _phases(run: Run) -> Table:
    table = _table("Phases, in their order", "", "seconds", "share", "peak so far, MiB")
    for name, took, peak in run.job.report["phases"]:
        if took >= _SHOWN_SHARE * run.job.seconds:
            table.add_row(name, _number(took), f"{took / run.job.seconds:.0%}", _number(peak))
    return table


def _rows(run: Run) -> Table:
    table = _table("Rows", "", "as written", "as audited")
    written = {"read": run.truth["rows"], "quarantined": run.truth["broken"]}
    written["accepted"] = written["read"] - written["quarantined"]
    for fate, count in run.published.rows.items():
        table.add_row(fate, f"{written.get(fate, 0):,}", f"{count:,}")
    return table


def _parameters(run: Run) -> Table:
    table = _table("Parameters", "", "true", "whole job", "standard error", "script")
    for name, script in run.script.report["parameters"].items():
        estimated, error = (run.published.card.get(f"{kind}_{name}") for kind in ("param", "se"))
        table.add_row(name, *(_digits(value) for value in (run.truth["base"][name], estimated, error, script)))
    table.caption = (
        "MBG/NBD in weeks, Gamma-Gamma. Purchases of one day are one: r and alpha end some 4 % high (retail_base.py)."
    )
    return table


def _largest(run: Run) -> list[tuple[str, float]]:
    """The steps that take a visible share, largest first."""
    steps: dict[str, float] = run.job.report["steps"]
    shown = [(name, took) for name, took in steps.items() if took >= _SHOWN_SHARE * run.job.seconds]
    return sorted(shown, key=lambda step: -step[1])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _times(value: float | None, other: float | None) -> str:
    return "" if not value or not other else f"{value / other:.1f}"
