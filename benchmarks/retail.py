"""The retail benchmark: the whole job on a base of known parameters, beside the straight-line script.

Belongs here: what is run in which order, and from where the results are read. Not here: the base (retail_base.py,
retail_data.py), measuring (measure.py), tables (retail_report.py). Ends with 1 where something failed; a slow time is
no failure.

    python -m benchmarks.retail                                         1,000,000 customers, 20 million order lines
    python -m benchmarks.retail --customers 20000 --lines 400000        a taste of it
    python -m benchmarks.retail --scaling                               a tenth first, then all: is it linear?
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from benchmarks.measure import ChildFailed, Measured, measured
from benchmarks.retail_base import RetailBase
from benchmarks.retail_data import CONFIG, HOME, LANDING, folder_of, write_base
from benchmarks.retail_report import Published, Run, show, show_scaling
from cvm_pipeline.config.home import Home

_AUDITED = ("rows_read", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_filtered", "rows_superseded")


def run_both(base: RetailBase, cache: Path, keep: bool, console: Console) -> Run:
    """Write the base where it is not in the cache; run job and script, each in a process of its own and from nothing.

    Raises ChildFailed, ValueError (see `lines_per_order`) and OSError.
    """
    folder = folder_of(base, cache)
    console.print(f"writing {base.lines:,} order lines of {base.customers:,} customers: {folder}", soft_wrap=True)
    truth = write_base(base, folder)
    home, scored = folder / HOME, folder / "scored.duckdb"
    _remove(home, scored)
    try:
        console.print("running the whole job")
        job = measured("benchmarks.whole_job", [str(folder / CONFIG), "--as-of", truth["as_of"]])
        published = _published(Home(home))
        console.print("running the straight script")
        script = _script(folder, scored, truth)
        size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file())
        return Run(truth, job, script, published, size)
    finally:
        if not keep:
            _remove(home, scored)


def _script(folder: Path, scored: Path, truth: dict[str, Any]) -> Measured:
    arguments = [str(folder / LANDING), "--target", str(scored), "--as-of", truth["as_of"]]
    return measured("benchmarks.straight_script", arguments)


def _published(home: Home) -> Published:
    """What readers see of the run."""
    with duckdb.connect(str(home.published_file), read_only=True) as con:
        sums = ", ".join(f"sum({name})" for name in _AUDITED)
        rows = con.execute(f"select {sums} from cvm.ingest_audit").fetchall()[0]
        customers, value = con.execute("select count(*), sum(clv) from cvm.customer_value").fetchall()[0]
        card = con.execute(
            """select metric, value from cvm.clv_model_card
               where model in ('mbg_nbd', 'gamma_gamma') and cut_date = 'all'
                 and (starts_with(metric, 'param_') or starts_with(metric, 'se_'))"""
        ).fetchall()
    counts = {name.removeprefix("rows_"): int(count) for name, count in zip(_AUDITED, rows, strict=True)}
    return Published(counts, customers, float(value), dict(card))


def _remove(home: Path, scored: Path) -> None:
    # A second run on the same home would find everything landed and cleaned.
    shutil.rmtree(home, ignore_errors=True)
    scored.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retail", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=RetailBase.customers)
    parser.add_argument("--lines", type=int, default=RetailBase.lines)
    parser.add_argument("--seed", type=int, default=RetailBase.seed)
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir(), "cvm-benchmark"),
                        help="where bases are cached and runs are made (default: %(default)s)")  # fmt: skip
    parser.add_argument("--scaling", action="store_true", help="run a tenth of it first, and compare")
    parser.add_argument("--keep", action="store_true", help="leave the run's tables where they are, beside the base")
    given = parser.parse_args(argv)
    shares = (10, 1) if given.scaling else (1,)
    console = Console()
    runs = []
    try:
        for share in shares:
            base = RetailBase(given.customers // share, given.lines // share, given.seed)
            runs.append(run_both(base, given.home, given.keep, console))
            show(runs[-1], console)
    except (ChildFailed, OSError, ValueError) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    if given.scaling:
        show_scaling(runs[0], runs[1], console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
