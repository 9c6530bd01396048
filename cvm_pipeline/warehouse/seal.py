"""The mark of a version, `published.json`: when it last came to stand, and what each of its files held when it did first.

Belongs here: writing the mark, and telling by its seal which files were changed since. Not here: what is done about a
version that was changed (`candidate.py`, `rollback.py`).

Files are read-only from their publication on, which stops a slip (DuckDB opens a file for writing unless told otherwise),
not a superuser. The folder stays writable: the mark in it is renewed whenever the version comes to stand. Size and time of
change are compared first, which costs nothing; only where they differ are the bytes read, as after a restored backup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.files import hashes_of, write_atomically

STOOD = "published.json"

Seal = dict[str, dict[str, Any]]


def seal_of(folder: Path, hashes: Mapping[str, str] | None = None) -> Seal:
    """What each file of the folder holds; `hashes` are those of `hashes_of` where they are known already."""
    found = hashes_of(folder) if hashes is None else hashes
    return {name: {"sha256": hash_, **_state(folder / name)} for name, hash_ in found.items() if name != STOOD}


def make_read_only(folder: Path, private: str) -> None:
    """Take the right to write from every file of the folder; `private` is for its owner's eyes alone."""
    for path in folder.iterdir():
        path.chmod(0o400 if path.name == private else 0o444)


def mark_stood(folder: Path, at: datetime, seal: Seal | None = None) -> None:
    """Leave in a version's folder that it came to stand at that instant. It keeps the seal that it has, else `seal`."""
    mark = _mark(folder)
    files = mark["files"] if mark else seal_of(folder) if seal is None else seal
    _write(folder, at, files)


def stood_since(folder: Path) -> datetime | None:
    """When the version last came to stand; None where it never did, or a kill came before the mark."""
    mark = _mark(folder)
    return datetime.fromisoformat(mark["swapped_at"]) if mark else None


def changed_since_published(folder: Path, thoroughly: bool = False) -> list[str]:
    """The files of a version that are not what was published, or that would be read with them; `thoroughly`: by every byte."""
    mark = _mark(folder)
    return _changed(folder, mark["files"], thoroughly) if mark else []


def mark_successor(folder: Path, successor: Path) -> None:
    """Mark the folder that takes a version's place with other files. What was changed in the earlier one stays so told."""
    mark = _mark(folder)
    if mark is not None:
        was, broken = mark["files"], _changed(folder, mark["files"], thoroughly=True)
        files = {name: was[name] if name in was and name in broken else now for name, now in seal_of(successor).items()}
        _write(successor, datetime.fromisoformat(mark["swapped_at"]), files)


def _changed(folder: Path, seal: Seal, thoroughly: bool) -> list[str]:
    # DuckDB reads a log beside its file as a part of it.
    logs = sorted(path.name for path in folder.glob("*.wal") if path.name not in seal)
    suspects = [name for name, was in seal.items() if thoroughly or not _rests(folder / name, was)]
    now = hashes_of(folder) if suspects else {}
    return [*(name for name in suspects if now.get(name) != seal[name]["sha256"]), *logs]


def _rests(path: Path, was: Mapping[str, Any]) -> bool:
    return path.is_file() and _state(path).items() <= was.items()


def _state(path: Path) -> dict[str, int]:
    stat = path.lstat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _mark(folder: Path) -> dict[str, Any] | None:
    try:
        mark = dict(json.loads((folder / STOOD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise WarehouseError(
            f"{folder / STOOD} can't be read ({error}). Restore it, or remove that version."
        ) from error
    if "files" not in mark:
        raise WarehouseError(f"{folder / STOOD} holds no seal: it is of an older cvm. Begin a new home.")
    return mark


def _write(folder: Path, at: datetime, files: Seal) -> None:
    mark = {"swapped_at": at.astimezone(UTC).isoformat(), "files": files}
    write_atomically(folder / STOOD, json.dumps(mark, indent=1) + "\n")
