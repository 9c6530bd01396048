"""The gate at scale: every expectation on a candidate of ten million customers, against what is promised.

Belongs here: making the candidate once, judging it in a process of its own, the table. Not here: the rows (gate_data.py),
measuring (measure.py). Ends with 1 where a check failed, which no sound candidate lets happen, or a promise was not kept.

    python -m benchmarks.gate                          10,000,000 customers: 5 GB of disk, about ten minutes to make
    python -m benchmarks.gate --customers 1000000      a taste of it
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.gate_data import rows_to_judge, write_candidate
from benchmarks.measure import ChildFailed, Measured, measured

# For ten million rows on two cores (issue: the gate at scale).
GOAL_SECONDS, GOAL_MIB = 180.0, 3 * 1024


def judged(folder: Path, customers: int, threads: int, console: Console) -> Measured:
    """The gate's figures on a candidate, which is made where it is not there. Raises ChildFailed, duckdb.Error, OSError."""
    if not folder.exists():
        console.print(f"making a candidate of {customers:,} customers: {folder}", soft_wrap=True)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_candidate(partial, customers)
        # The link to what stands is an absolute path.
        partial.rename(folder)
        current = folder / "home" / "warehouse" / "current"
        target = Path(str(current.readlink()).replace(str(partial), str(folder)))
        current.unlink()
        current.symlink_to(target)
    console.print("judging it")
    return measured("benchmarks.gate_child", [str(folder), "--threads", str(threads)])


def show(run: Measured, rows: dict[str, int], console: Console) -> bool:
    """Print the figures; whether everything held."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("suite", "rows", "seconds"):
        table.add_column(name, justify="left" if name == "suite" else "right")
    for suite, seconds in run.report["seconds"].items():
        table.add_row(suite, f"{rows.get(suite, 1):,}", f"{seconds:.1f}")
    console.print(table)
    for failure in run.report["failures"]:
        console.print(f"failed: {failure}", style="red", markup=False)
    peak = run.peak_mib or 0.0
    console.print(
        f"{run.report['expectations']} expectations: {run.seconds:.1f} s (promised {GOAL_SECONDS:g}), "
        f"{run.processor_seconds:.1f} s of processor, peak {peak:,.0f} MiB (promised {GOAL_MIB:,}); "
        f"load average {os.getloadavg()[0]:.1f}",
        soft_wrap=True,
    )
    return not run.report["failures"] and run.seconds <= GOAL_SECONDS and peak <= GOAL_MIB


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir(), "cvm-benchmark"),
                        help="where candidates are cached (default: %(default)s)")  # fmt: skip
    given = parser.parse_args(argv)
    folder, console = given.home / f"gate-{given.customers}", Console()
    try:
        run = judged(folder, given.customers, given.threads, console)
        held = show(run, rows_to_judge(folder), console)
    except (ChildFailed, OSError, duckdb.Error) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
