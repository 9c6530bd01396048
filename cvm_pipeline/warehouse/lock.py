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


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


@contextmanager
def run_lock(home: Home, purpose: str, run_id: str = "") -> Iterator[Holder]:
    """Hold the home's run lock while the block runs.

    `purpose` and `run_id` go into the record that another process is shown. Within this process the lock is
    re-entrant, whatever the thread: a Dagster run inside `cvm run` passes. Raises `LockHeld` at once, without
    waiting, where another process holds it, and `WarehouseError` where the file can't be written.
    """
    path = home.lock.absolute()
    with _guard:
        held = _held.get(path)
        if held is None or held.pid != os.getpid():
            # After a fork the registry is the parent's: the child must ask the kernel like anyone else.
            held = _take(path, purpose, run_id)
            _held[path] = held
        held.depth += 1
    try:
        yield held.holder
    finally:
        with _guard:
            held.depth -= 1
            if held.depth == 0:
                _held.pop(path, None)
                os.ftruncate(held.descriptor, 0)
                os.close(held.descriptor)


def lock_holder(home: Home) -> Holder | None:
    """Who holds the lock, by its record, without touching the lock; None where nobody does or the process is gone."""
    holder = _read(home.lock)
    if holder is None or holder.host != socket.gethostname():
        return holder
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return holder
    return holder


def _take(path: Path, purpose: str, run_id: str) -> _Held:
    with errors_explained("taking the run lock", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LockHeld(_message(path)) from error
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    holder = Holder(os.getpid(), socket.gethostname(), now, purpose, run_id)
    record = json.dumps(asdict(holder)).encode()
    try:
        with errors_explained("writing the run lock", path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, record, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return _Held(os.getpid(), descriptor, holder, 0)


def _message(path: Path) -> str:
    holder = _read(path)
    for _ in range(5):
        if holder is not None:
            break
        # The holder locks first and writes its record a moment later.
        time.sleep(0.02)
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
