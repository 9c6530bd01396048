"""One child process, measured from outside: wall time, processor time, peak memory, and the report that it wrote.

Belongs here: starting, watching, reading. Not here: what is run, or what is made of the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_EVERY_SECONDS = 0.1
_PROC = Path("/proc")


class ChildFailed(Exception):
    """The child ended with another code than 0, or without a report. Its message is what it last wrote."""


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


def measured(module: str, arguments: Sequence[str]) -> Measured:
    """Run `python -m module arguments --report FILE` to its end. Raises ChildFailed."""
    with tempfile.TemporaryDirectory() as folder:
        report, words = Path(folder, "report.json"), Path(folder, "words.txt")
        command = [sys.executable, "-m", module, *arguments, "--report", str(report)]
        with words.open("wb") as output:
            begun = time.perf_counter()
            child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=Path(__file__).parent.parent)
            watch = _Watch(child.pid)
            watch.start()
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - begun
            child.returncode = os.waitstatus_to_exitcode(status)
            watch.stop()
        found = json.loads(report.read_text()) if report.exists() else {}
        if child.returncode != 0 or not found:
            told = "\n".join(found.get("messages", ())) or words.read_text(errors="replace")[-4000:]
            raise ChildFailed(f"{module} ended with {child.returncode}: {told}")
        return Measured(seconds, usage.ru_utime + usage.ru_stime, watch.peak_mib, found)


class _Watch(threading.Thread):
    """The peak of a process and its descendants: its own by the kernel's count, all together by looking often."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._done = pid, threading.Event()
        self.peak_mib: float | None = None

    def run(self) -> None:
        while not self._done.wait(_LOOK_EVERY_SECONDS):
            together = [_status_mib(pid, "VmRSS") for pid in _family(self._pid)]
            sizes = [peak_mib(self._pid), sum(size for size in together if size is not None)]
            self.peak_mib = max((size for size in (self.peak_mib, *sizes) if size), default=None)

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
