"""One measurement in a process of its own: inputs loaded, the work repeated on the clock, a report as JSON.

Belongs here: the clock, the arguments, what every report holds. Not here: any work. Standard library and numpy alone:
the peers' environment has nothing else of ours.

A program is a table from the work's name to a function of its arguments that loads the inputs and returns the work (what
is timed, called without arguments) and its answer (what is made of the work's last result, off the clock).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

# Repeated while one time says little: until three are had, or this many seconds have passed.
_TIMES, _SECONDS = 3, 10.0
SAMPLED = 1_000


@dataclass(frozen=True)
class Given:
    """`folder` of the inputs; the transaction `model`, its `parameters` and `spend`'s (scoring only); `as_of` (summaries
    only); `threads` for who can use more than one; `copies`: the inputs so often, one after the other (memory only).
    """

    folder: Path
    model: str
    parameters: Mapping[str, float]
    spend: Mapping[str, float]
    as_of: str
    threads: int
    copies: int = 1


Work = Callable[[], Any]
Answer = Callable[[Any], dict[str, Any]]
Program = Mapping[str, Callable[[Given], tuple[Work, Answer]]]


def run(program: Program, packages: tuple[str, ...]) -> None:
    """Do the work that the command line names and write the report: times, peak memory, answer, versions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=sorted(program))
    parser.add_argument("--given", type=json.loads, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    given = Given(**{**arguments.given, "folder": Path(arguments.given["folder"])})
    work, answer = program[arguments.work](given)
    loaded = memory_mib("VmRSS")
    seconds: list[float] = []
    processor: list[float] = []
    while len(seconds) < _TIMES and sum(seconds) < _SECONDS:
        result = None  # Not two results at a time.
        wall, used = time.perf_counter(), time.process_time()
        result = work()
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - used)
    report = {
        "seconds": seconds,
        "processor_seconds": processor,
        "loaded_mib": loaded,
        "peak_mib": memory_mib("VmHWM"),
        "answer": answer(result),
        "versions": {name: version(name) for name in packages},
    }
    arguments.report.write_text(json.dumps(report, allow_nan=True))


def memory_mib(field: str) -> float | None:
    """This process's VmRSS or VmHWM, MiB; None where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except FileNotFoundError:
        return None
    return next((int(line.split()[1]) / 1024.0 for line in lines if line.startswith(field + ":")), None)


def arrays(path: Path, *names: str, unit_days: float = 7.0) -> list[np.ndarray]:
    """Columns of an .npz as float64, t_x and T in units of so many days: weeks unless told otherwise."""
    with np.load(path) as file:
        found = {name: file[name].astype(np.float64) for name in names}
    return [column / unit_days if name in ("t_x", "T") else column for name, column in found.items()]


def whole(path: Path, name: str) -> np.ndarray:
    """A column of an .npz as it is."""
    with np.load(path) as file:
        return np.asarray(file[name])


def sampled(values: np.ndarray) -> dict[str, Any]:
    """The sum, the share that is not finite, and every k-th value: what answers are compared by."""
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    step = max(1, values.size // SAMPLED)
    return {
        "total": float(values[finite].sum()),
        "not_finite": int(values.size - finite.sum()),
        "sample": values[::step].tolist(),
    }


def checksums(frequency: Any, recency: Any, T: Any, count: Any = 1) -> dict[str, Any]:
    """What two purchase-history summaries of the same orders must share to the last unit."""
    x, t_x, age, n = np.broadcast_arrays(*(np.asarray(c).astype(np.int64) for c in (frequency, recency, T, count)))
    sums = {"customers": n, "x": n * x, "t_x": n * t_x, "T": n * age, "x t_x": n * x * t_x, "x T": n * x * age}
    return {name: int(column.sum()) for name, column in sums.items()}
