"""The log of runs: one JSON line for each, published, blocked, failed, rolled back or erased. What readers see never says so.

Belongs here: appending and reading that log. Not here: the gate's verdicts (`gate_record.py`) or the publications.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Literal

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import errors_explained
from cvm_pipeline.warehouse.files import write_atomically

Outcome = Literal["published", "blocked", "failed", "rolled back", "erased"]


@dataclass(frozen=True)
class Attempt:
    """One run's end; both instants with a zone, `as_of_date` None where it failed before it knew."""

    run_id: str
    as_of_date: date | None
    started_at: datetime
    ended_at: datetime
    outcome: Outcome
    reason: str = ""


def record_attempt(home: Home, attempt: Attempt) -> None:
    """Append one line in one write, on disk when this returns."""
    line = json.dumps(asdict(attempt), default=_text, ensure_ascii=False).encode() + b"\n"
    with errors_explained("writing the log of runs", home.attempts):
        home.attempts.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(home.attempts, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            end = os.fstat(descriptor).st_size
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                # The last writer died in the middle of its line.
                line = b"\n" + line
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def forget_old_attempts(home: Home, keep: int = 1000) -> None:
    """Keep the newest lines of the log, in one atomic step."""
    with errors_explained("writing the log of runs", home.attempts):
        if not home.attempts.exists():
            return
        lines = home.attempts.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) > 2 * keep:
            write_atomically(home.attempts, "\n".join(lines[-keep:]) + "\n")


def last_attempts(home: Home, count: int = 20) -> list[Attempt]:
    """The last `count` attempts, newest first; a line that a dying run left half written is passed over."""
    with errors_explained("reading the log of runs", home.attempts):
        if not home.attempts.exists():
            return []
        lines = home.attempts.read_text(encoding="utf-8", errors="replace").split("\n")
    found: list[Attempt] = []
    for line in reversed(lines):
        if len(found) == count:
            break
        try:
            entry = json.loads(line)
            known = entry["as_of_date"]
            found.append(
                Attempt(
                    **entry
                    | {
                        "as_of_date": date.fromisoformat(known) if known else None,
                        "started_at": datetime.fromisoformat(entry["started_at"]),
                        "ended_at": datetime.fromisoformat(entry["ended_at"]),
                    }
                )
            )
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _text(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in the log of runs")
