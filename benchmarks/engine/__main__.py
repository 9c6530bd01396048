"""Run the engine and its peers side by side and print ratios, medians and whether the answers agree.

    python -m benchmarks.engine --quick                       small sizes, lifetimes only: about a minute
    python -m benchmarks.engine                               full sizes, every peer that is installed
    python -m benchmarks.engine --only fit-bg_nbd-cdnow       one comparison; --list names them

Belongs here: what is run in which order. Ends with 1 where one of our programs failed or answers differ; a slow time is
no failure, nor is a peer that can't do it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engine.comparisons import COMPARISONS, LIFETIMES, OURS, OUTPUTS, PYMC, Comparison, Side
from benchmarks.engine.inputs import TRUTH, customers_of, orders_of
from benchmarks.engine.report import Found, Outcome, failures, markdown
from benchmarks.measure import ChildFailed, LimitPassed, Limits, measured

_ROOT = Path(__file__).parents[2]
_RESULTS = _ROOT / "benchmarks" / "results"
_PROGRAMS = {
    OURS: ("benchmarks.engine.ours", Path(sys.executable)),
    OUTPUTS: ("benchmarks.engine.ours_outputs", Path(sys.executable)),
    LIFETIMES: ("benchmarks.engine.peer_lifetimes", Path(sys.executable)),
    PYMC: ("benchmarks.engine.peer_pymc", _ROOT / ".venv-peers" / "bin" / "python"),
}
# Nothing but DuckDB, which is told by `threads`, may use more than one.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# A side that has run for so long is not run again.
_ENOUGH_SECONDS = 240.0
_SHARE_OF_MEMORY = 0.85


def compare(comparison: Comparison, size: int, given: argparse.Namespace) -> Outcome:
    """All rounds of one comparison."""
    folder = _inputs(comparison, size, given.home)
    facts = json.loads((folder / TRUTH).read_text())
    asked = {side.name: side for side in comparison.sides if not side.is_peer or side.program in given.peers}
    found = {side.name: Found(asked=side.name in asked) for side in comparison.sides}
    for turn in range(given.rounds):
        for side in asked.values() if turn % 2 == 0 else reversed(asked.values()):
            so_far = found[side.name]
            if not so_far.why_not and sum(so_far.seconds) < _ENOUGH_SECONDS:
                _measure(side, so_far, comparison, folder, facts, given)
                said = so_far.why_not or f"{so_far.seconds[-1]:.3g} s"
                print(f"{comparison.key}, round {turn + 1}, {side.name}: {said}", flush=True)
    reports = {name: each.report for name, each in found.items() if each.report}
    return Outcome(comparison, size, facts, found, comparison.agree(reports, folder, comparison))


def _measure(
    side: Side, so_far: Found, comparison: Comparison, folder: Path, facts: dict[str, object], given: argparse.Namespace
) -> None:
    module, python = _PROGRAMS[side.program]
    if not python.exists():
        so_far.why_not = f"not installed (make {python.parents[1].name})"
        return
    told = {
        "folder": str(folder),
        "model": comparison.model,
        "parameters": dict(comparison.population.timing[comparison.model]),
        "spend": dict(comparison.population.spend),
        "as_of": facts.get("as_of", ""),
        "threads": given.threads,
        "copies": side.copies,
    }
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE_OF_MEMORY / 2**20
    limits = Limits(given.limit if side.is_peer else None, most)
    try:
        ran = measured(module, [side.work, "--given", json.dumps(told)], python, _ONE_THREAD, limits)
    except LimitPassed as error:
        so_far.why_not = str(error).removeprefix(module).strip()
    except ChildFailed as error:
        so_far.why_not = f"failed: {str(error).strip().splitlines()[-1]}"
        print(error, file=sys.stderr)
    else:
        so_far.report = ran.report
        so_far.seconds += ran.report["seconds"]
        so_far.processor_seconds += ran.report["processor_seconds"]
        so_far.peaks_mib += [peak for peak in (ran.report["peak_mib"],) if peak is not None]


def _inputs(comparison: Comparison, size: int, home: Path) -> Path:
    if comparison.inputs == "orders":
        return orders_of(comparison.population, size, home)
    return customers_of(comparison.population, comparison.model, size, home)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, write; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, lifetimes only")
    parser.add_argument("--only", nargs="+", choices=[each.key for each in COMPARISONS], metavar="KEY")
    parser.add_argument("--list", action="store_true", help="name the comparisons")
    parser.add_argument("--peers", nargs="*", choices=(LIFETIMES, PYMC), help="default: all; with --quick lifetimes")
    parser.add_argument("--size", type=int, help="customers or orders, instead of each comparison's own")
    parser.add_argument("--rounds", type=int, help="default: 3; with --quick 1")
    parser.add_argument(
        "--limit", type=float, help="seconds a peer may take for one run (default: 600; with --quick 60)"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="DuckDB's (default: %(default)s)")
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir(), "cvm-benchmark"),
                        help="where inputs are cached (default: %(default)s)")  # fmt: skip
    parser.add_argument("--results", type=Path, help="Markdown file to be written (default: benchmarks/results/)")
    given = parser.parse_args(argv)
    if given.list:
        print("\n".join(f"{each.key:24} {each.title}" for each in COMPARISONS))
        return 0
    if given.peers is None:
        given.peers = [LIFETIMES] if given.quick else [LIFETIMES, PYMC]
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.limit = given.limit or (60.0 if given.quick else 600.0)
    outcomes = []
    for comparison in COMPARISONS:
        if given.only is None or comparison.key in given.only:
            size = given.size or (comparison.quick if given.quick else comparison.size)
            outcomes.append(compare(comparison, size, given))
    told = markdown(outcomes, given.threads, given.quick)
    partial = given.quick or given.only or given.size
    target = given.results or _RESULTS / ("engine-partial.md" if partial else "engine.md")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(told)
    print(f"\n{told}\nwritten to {target}")
    failed = failures(outcomes)
    for each in failed:
        print(f"FAILED: {each}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
