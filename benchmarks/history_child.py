"""A backfill as `cvm backfill` makes it, in a process of its own, with what each snapshot took.

python -m benchmarks.history_child cvm.yml --from 2023-01-31 --to 2024-12-31 --report report.json
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


def main(argv: Sequence[str] | None = None) -> None:
    """Make the snapshots, write the report as JSON, and end with the last one's exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_child")
    parser.add_argument("config", type=Path)
    parser.add_argument("--from", dest="first", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--to", dest="last", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args(argv)
    from cvm_pipeline.config.load import load_project
    from cvm_pipeline.defs.backfill import backfill

    code, messages, rows = 0, [], []
    begun = time.perf_counter()
    for step in backfill(load_project(given.config), given.first, given.last):
        now = time.perf_counter()
        outcome = step.outcome
        rows.append(
            {
                "day": step.day.isoformat(),
                "seconds": now - begun,
                "steps": outcome.seconds if outcome else {},
                "peak_mib": peak_mib("self"),
            }
        )
        begun = now
        if outcome is not None:
            code, messages = outcome.exit_code, list(outcome.messages)
    given.report.write_text(json.dumps({"snapshots": rows, "messages": messages}))
    sys.exit(code)


if __name__ == "__main__":
    main()
