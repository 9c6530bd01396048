"""The history benchmark: 24 monthly snapshots of a retail base, and what the last of them costs with and without the others.

Belongs here: what is run, and the ratio. Not here: the base (retail_base.py), measuring (measure.py).
The last snapshot is made twice: after 23 others, and after one alone (both remember one). Were a snapshot's price to grow
with the history before it, the first would be dearer. Memory is the process's peak over the whole backfill.

    python -m benchmarks.history                                     1,000,000 customers: hours
    python -m benchmarks.history --customers 50000 --lines 1000000   a taste of it
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import ChildFailed, Measured, measured
from benchmarks.retail_base import RetailBase
from benchmarks.retail_data import CONFIG, HOME, folder_of, write_base

_FIRST, _BEFORE_LAST, _LAST = "2023-01-31", "2024-11-30", "2024-12-31"


def run(base: RetailBase, cache: Path, console: Console) -> tuple[Measured, Measured, list[int]]:
    """The whole history, then the last two snapshots alone, each from nothing. Raises ChildFailed, ValueError, OSError."""
    folder = folder_of(base, cache)
    console.print(f"writing {base.lines:,} order lines of {base.customers:,} customers: {folder}", soft_wrap=True)
    write_base(base, folder)
    measures, sizes = [], []
    for first in (_FIRST, _BEFORE_LAST):
        home = folder / HOME
        shutil.rmtree(home, ignore_errors=True)
        console.print(f"making the snapshots from {first} to {_LAST}")
        measures.append(measured("benchmarks.history_child", [str(folder / CONFIG), "--from", first, "--to", _LAST]))
        sizes.append((home / "warehouse" / "warehouse.duckdb").stat().st_size)
        shutil.rmtree(home, ignore_errors=True)
    return measures[0], measures[1], sizes


def show(whole: Measured, alone: Measured, sizes: list[int], console: Console) -> None:
    """Each snapshot's seconds and peak, then the last one's price with and without a history."""
    shown = Table("snapshot", "seconds", "facts", "value", "segments", "gate", "publish", "peak so far, MiB")
    for row in whole.report["snapshots"]:
        steps = [f"{row['steps'].get(name, 0):.1f}" for name in ("facts", "value", "segments", "gate", "publish")]
        shown.add_row(row["day"], f"{row['seconds']:.1f}", *steps, f"{row['peak_mib'] or 0:,.0f}")
    console.print(shown)
    last, only = whole.report["snapshots"][-1], alone.report["snapshots"][-1]
    console.print(
        f"the last snapshot: {last['seconds']:.1f} s after {len(whole.report['snapshots']) - 1} others, "
        f"{only['seconds']:.1f} s after one: {last['seconds'] / only['seconds']:.2f}x; "
        f"peak {whole.peak_mib or 0:,.0f} MiB over all, {alone.peak_mib or 0:,.0f} MiB with two; "
        f"the published file {sizes[0] / 1e6:,.0f} MB, {sizes[1] / 1e6:,.0f} MB with two"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.history", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=RetailBase.customers)
    parser.add_argument("--lines", type=int, default=RetailBase.lines)
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir(), "cvm-benchmark"),
                        help="where bases are cached and runs are made (default: %(default)s)")  # fmt: skip
    given = parser.parse_args(argv)
    console = Console()
    try:
        whole, alone, sizes = run(RetailBase(given.customers, given.lines), given.home, console)
    except (ChildFailed, OSError, ValueError) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    show(whole, alone, sizes, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
