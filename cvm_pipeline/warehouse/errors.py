"""What can go wrong with the warehouses, in words for the person who has to act on it.

Belongs here: the exceptions of this package and the translation of engine and operating-system errors into them.
Not here: any rule about when a publication is refused (`publication.py`).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

_FULL = "the disk is full. Free some space there, or set `home` in cvm.yml to a larger disk"
_DENIED = "this user may not write there. Change the folder's permissions, or set `home` in cvm.yml elsewhere"
_MEMORY = "the memory limit was reached. Raise `engine.memory_limit` in cvm.yml, or lower `engine.threads`"
_SCRATCH = "memory and scratch disk are both used up. Free disk space under `home`, or raise `engine.memory_limit`"


class WarehouseError(Exception):
    """A file, permission, space or contract problem; the message says what, where and what to do."""


class LockHeld(WarehouseError):
    """Another process runs on this home; the message names it."""


class TargetUnreachable(WarehouseError):
    """A database or folder that readers use is out of reach for now; trying again may cure it."""


class RollbackRefused(WarehouseError):
    """A version that readers may not be pointed at; the message says why and what else to do."""


class ForgetRefused(WarehouseError):
    """An erasure of somebody whom nothing knows, or who could be several; the message says which."""


class PublicationRefused(WarehouseError):
    """A candidate that may not be published; `reasons` holds every reason found, one sentence each."""

    def __init__(self, publication_id: str, reasons: list[str]) -> None:
        super().__init__(f"publication {publication_id} refused; what readers see is unchanged: " + " | ".join(reasons))
        self.publication_id = publication_id
        self.reasons = tuple(reasons)


def _os_advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _DENIED
    return f"{error.strerror or error}. Check the path and try again"


def _engine_advice(error: duckdb.Error) -> str:
    text = str(error)
    if "No space left" in text or "Disk quota" in text:
        return _FULL
    if "Permission denied" in text or "Read-only file system" in text:
        return _DENIED
    if isinstance(error, duckdb.OutOfMemoryException):
        return _SCRATCH if "temp_directory" in text else _MEMORY
    if "Conflicting lock" in text:
        holder = re.search(r"PID (\d+)", text)
        who = f"process {holder.group(1)}" if holder else "another process"
        return f"{who} has the file open for writing. Close it there, then try again"
    if "not a valid DuckDB database" in text:
        return "the file is no DuckDB database. Move it away, then try again"
    if "different configuration" in text or "already attached" in text:
        return "this process still has the file open. Close that connection, then try again"
    return f"{text.splitlines()[0]}. Check the path and try again"


@contextmanager
def engine_errors_explained(doing: str, where: Path) -> Iterator[None]:
    """Turn DuckDB's file, lock and memory errors into a `WarehouseError`; every other error passes unchanged."""
    try:
        yield
    except (
        duckdb.IOException,
        duckdb.OutOfMemoryException,
        duckdb.ConnectionException,
        duckdb.ResourceInUseException,
        duckdb.FatalException,
    ) as error:
        raise WarehouseError(f"{doing}: {where}: {_engine_advice(error)}.") from error


@contextmanager
def errors_explained(doing: str, where: Path) -> Iterator[None]:
    """The same for operating-system errors too: only around code that touches nothing but `where`."""
    try:
        with engine_errors_explained(doing, where):
            yield
    except OSError as error:
        raise WarehouseError(f"{doing}: {where}: {_os_advice(error)}.") from error
