"""The whole gate on one candidate, in a process of its own, as a run judges it.

Belongs here: judging and noting. Not here: measuring from outside (measure.py), the candidate (gate_data.py).

    python -m benchmarks.gate_child FOLDER --report report.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gate_data import CANDIDATE


def main(argv: Sequence[str] | None = None) -> None:
    """Judge the candidate, and write what was found and how long each suite took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_child")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args(argv)
    # Inside the clock: a run pays for them too.
    from cvm_pipeline.config.load import load_project
    from cvm_pipeline.defs.gate import complete_suites, judge
    from cvm_pipeline.warehouse.candidate import read_candidate
    from cvm_pipeline.warehouse.work import EngineSettings

    project = load_project(given.folder / "cvm.yml")
    begun, seconds = time.perf_counter(), {}

    def judged(suite: str) -> None:
        nonlocal begun
        seconds[suite], begun = time.perf_counter() - begun, time.perf_counter()

    settings = EngineSettings(project.engine.memory_limit, given.threads)
    report = judge(project, read_candidate(project.home, CANDIDATE), complete_suites(), settings, judged=judged)
    failures = [f"{each.suite}.{each.name} ({each.severity}): {each.observed}" for each in report.failures()]
    given.report.write_text(json.dumps({"expectations": len(report.results), "failures": failures, "seconds": seconds}))


if __name__ == "__main__":
    main()
