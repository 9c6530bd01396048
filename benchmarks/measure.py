"""One child process, measured from outside: wall time, processor time, peak memory, and the report that it wrote.

Belongs here: starting, watching, reading. Not here: what is run, or what is made of the figures.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_EVERY_SECONDS = 0.1
_PROC = Path("/proc")


class ChildFailed(Exception):
    """The child ended with another code than 0, or without a report. Its message is what it last wrote."""


class LimitPassed(ChildFailed):
    """The child was ended because it took longer, or more memory, than it was given."""


@dataclass(frozen=True)
class Limits:
    """What a child may take before it is ended; None: whatever it wants."""

    seconds: float | None = None
    mib: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one run took. `peak_mib` is None where there is no /proc to read it from."""

    seconds: float
    processor_seconds: float
    peak_mib: float | None
    report: dict[str, Any]


def peak_mib(pid: int | str) -> float | None:
    """The process's own peak of resident memory so far, kept by the kernel; None where it can't be read."""
    return _status_mib(pid, "VmHWM")


def measured(
    module: str,
    arguments: Sequence[str],
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
    limits: Limits = Limits(),
) -> Measured:
    """Run `python -m module arguments --report FILE` to its end, with `environment` beside this process's own. Raises
    ChildFailed, LimitPassed among them.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, words = Path(folder, "report.json"), Path(folder, "words.txt")
        command = [str(python), "-m", module, *arguments, "--report", str(report)]
        with words.open("wb") as output:
            begun = time.perf_counter()
            child = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, cwd=Path(__file__).parent.parent,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
            watch = _Watch(child.pid, limits)
            watch.start()
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - begun
            child.returncode = os.waitstatus_to_exitcode(status)
            watch.stop()
        if watch.passed:
            raise LimitPassed(f"{module} {watch.passed}")
        found = json.loads(report.read_text()) if report.exists() else {}
        if child.returncode != 0 or not found:
            told = "\n".join(found.get("messages", ())) or words.read_text(errors="replace")[-4000:]
            raise ChildFailed(f"{module} ended with {child.returncode}: {told}")
        return Measured(seconds, usage.ru_utime + usage.ru_stime, watch.peak_mib, found)


class _Watch(threading.Thread):
    """The peak of a process and its descendants: its own by the kernel's count, all together by looking often. Ends it
    where a limit is passed, and says in `passed` which.
    """

    def __init__(self, pid: int, limits: Limits) -> None:
        super().__init__(daemon=True)
        self._pid, self._limits, self._done = pid, limits, threading.Event()
        self._begun = time.monotonic()
        self.peak_mib: float | None = None
        self.passed = ""

    def run(self) -> None:
        while not self._done.wait(_LOOK_EVERY_SECONDS):
            together = [_status_mib(pid, "VmRSS") for pid in _family(self._pid)]
            sizes = [peak_mib(self._pid), sum(size for size in together if size is not None)]
            self.peak_mib = max((size for size in (self.peak_mib, *sizes) if size), default=None)
            if self._hold_to_limits():
                break

    def _hold_to_limits(self) -> bool:
        seconds, mib = self._limits.seconds, self._limits.mib
        if seconds is not None and time.monotonic() - self._begun > seconds:
            self.passed = f"was ended after {seconds:g} s"
        elif mib is not None and (self.peak_mib or 0.0) > mib:
            self.passed = f"was ended at {mib:,.0f} MiB"
        for pid in _family(self._pid) if self.passed else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(self.passed)

    def stop(self) -> None:
        self._done.set()
        self.join()


def _family(pid: int) -> list[int]:
    family = [pid]
    for member in family:
        for children in _PROC.glob(f"{member}/task/*/children"):
            try:
                family += [int(child) for child in children.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return family


def _status_mib(pid: int | str, field: str) -> float | None:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    kib = next((line.split()[1] for line in lines if line.startswith(field + ":")), None)
    return None if kib is None else int(kib) / 1024
