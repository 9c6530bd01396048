"""The job as `cvm run` starts it, in a process of its own, with a note of when each phase began.

Belongs here: running and noting. Not here: measuring from outside (measure.py), any setting of the job.

    python -m benchmarks.whole_job cvm.yml --as-of 2024-12-31 --report report.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import peak_mib


class Phases:
    """What `progress` was told, with the seconds that each phase took and the process's peak at its end, in MiB."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._name = "imports"
        self.ended: list[tuple[str, float, float | None]] = []

    def __call__(self, step: str) -> None:
        now = time.perf_counter()
        self.ended.append((self._name, now - self._begun, peak_mib("self")))
        self._name, self._begun = step, now


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job, write its report as JSON, and end with its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_job")
    parser.add_argument("config", type=Path)
    parser.add_argument("--as-of", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args(argv)
    phases = Phases()
    # Inside the clock: `cvm run` pays for them too.
    from cvm_pipeline.config.load import load_project
    from cvm_pipeline.defs.launch import run_customer_value

    phases("definitions")
    outcome = run_customer_value(load_project(given.config), given.as_of, progress=phases)
    phases("end")
    report = {"messages": outcome.messages, "steps": outcome.seconds, "phases": phases.ended}
    given.report.write_text(json.dumps(report))
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    main()
