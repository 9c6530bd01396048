"""One run at a time on one home: a file lock that says who holds it.

Belongs here: taking, naming and inspecting the lock. Not here: what a run does while it holds it.

The kernel's lock (`flock`) decides, so that a process that died holds nothing; the record in the file is for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import LockHeld, errors_explained
from cvm_pipeline.warehouse.files import make_folder

# Whoever looks at the lock holds it for a moment, and a holder locks first and writes its record a moment later.
_MOMENTS, _MOMENT_SECONDS = 6, 0.02


@dataclass(frozen=True)
class Holder:
    """Who holds the lock; `since` is an ISO instant in UTC."""

    pid: int
    host: str
    since: str
    command: str
    run_id: str


@dataclass
class _Held:
    pid: int
    descriptor: int
    holder: Holder
    depth: int


# By path and thread: two threads of one process are two runs, and the kernel tells them apart by their descriptors.
_held: dict[tuple[Path, int], _Held] = {}


@contextmanager
def run_lock(home: Home, purpose: str, run_id: str = "") -> Iterator[Holder]:
    """Hold the home's run lock while the block runs.

    `purpose` and `run_id` go into the record that another run is shown. Within one thread the lock is re-entrant: a
    Dagster run inside `cvm run` passes. Raises `LockHeld` within a moment where another process or thread holds it, and
    `WarehouseError` where the file can't be written.
    """
    path = home.lock.absolute()
    key = path, threading.get_ident()
    held = _held.get(key)
    if held is None:
        held = _held[key] = _take(path, purpose, run_id)
    held.depth += 1
    try:
        yield held.holder
    finally:
        # A child that was forked inside the block holds nothing of it.
        if held.pid == os.getpid():
            held.depth -= 1
            if held.depth == 0:
                _held.pop(key, None)
                os.ftruncate(held.descriptor, 0)
                fcntl.flock(held.descriptor, fcntl.LOCK_UN)
                os.close(held.descriptor)


def lock_holder(home: Home) -> Holder | None:
    """Who holds the lock, by the kernel's word and the record; None where nobody does, whatever a dead run's record says."""
    for _ in range(_MOMENTS):
        try:
            descriptor = os.open(home.lock, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            holder = _read(home.lock)
        finally:
            os.close(descriptor)
        if holder is not None:
            return holder
        time.sleep(_MOMENT_SECONDS)
    return None


def _leave_to_the_parent() -> None:
    """In a forked child: a descriptor that it inherits would keep the lock beyond its parent's death."""
    for held in _held.values():
        os.close(held.descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_the_parent)


def _take(path: Path, purpose: str, run_id: str) -> _Held:
    with errors_explained("taking the run lock", path):
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    holder = Holder(os.getpid(), socket.gethostname(), now, purpose, run_id)
    try:
        _lock(descriptor, path)
        with errors_explained("writing the run lock", path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return _Held(os.getpid(), descriptor, holder, 0)


def _lock(descriptor: int, path: Path) -> None:
    for _ in range(_MOMENTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_MOMENT_SECONDS)
    raise LockHeld(_message(path))


def _message(path: Path) -> str:
    holder = _read(path)
    if holder is None:
        return f"another process runs on this home ({path}). Wait until it is done, then try again."
    run = f", run {holder.run_id}" if holder.run_id else ""
    return (
        f"another run holds {path}: `{holder.command}`, process {holder.pid} on {holder.host} since "
        f"{holder.since}{run}. Wait until it is done, or end that process, then try again."
    )


def _read(path: Path) -> Holder | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Holder(**record)
    except (OSError, ValueError, TypeError):
        # Empty between runs, or another version's record: the kernel's lock is what counts.
        return None
