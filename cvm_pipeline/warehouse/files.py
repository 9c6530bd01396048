"""Durable file operations: each leaves either the old state or the new one on disk, whenever the power goes.

Belongs here: atomic writes, symlink swaps, copies, fsync, the content hash, and the hook that tests crash through.
Not here: which files these are or in which order they change (`candidate.py`, `publication.py`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

# Called with the name of each step before it is done: tests raise or kill the process here.
HOOKS: list[Callable[[str], None]] = []

# From linux/fs.h: share the blocks of a file, on file systems that can (xfs, btrfs).
_FICLONE = 0x40049409


def step(name: str) -> None:
    """Announce a step that changes the disk."""
    for hook in HOOKS:
        hook(name)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder with the parents that are missing, each on disk: a file in it is no safer than the way to it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def write_atomically(path: Path, content: str, mode: int = 0o666) -> None:
    """Write a small text file so that a reader sees the old or the new content, never a part, nor a wider mode."""
    write_bytes_atomically(path, content.encode(), mode)


def write_bytes_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """The same for any small file."""
    spare = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        step(f"write {path.name}")
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        sync(spare)
        step(f"replace {path.name}")
        spare.replace(path)
    finally:
        spare.unlink(missing_ok=True)
    sync(path.parent)


def point(link: Path, target: str) -> None:
    """Make `link` a symlink to `target` (relative to its folder) in one atomic step."""
    spare = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    try:
        step(f"make link {link.name}")
        spare.unlink(missing_ok=True)
        spare.symlink_to(target)
        step(f"swap link {link.name}")
        spare.replace(link)
    finally:
        spare.unlink(missing_ok=True)
    step(f"sync link {link.name}")
    sync(link.parent)


def copy_file(source: Path, target: Path, mode: int) -> None:
    """Copy a file; it never exists with a wider mode than `mode`. Blocks are shared where the file system can."""
    step(f"copy {target.name}")
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as into:
        try:
            fcntl.ioctl(out.fileno(), _FICLONE, into.fileno())
        except OSError:
            shutil.copyfileobj(into, out, 1 << 20)


def hashes_of(folder: Path) -> dict[str, str]:
    """Everything in `folder` by its relative name: the SHA-256 of a file's bytes, or what else it is."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            found[name] = "link" if path.is_symlink() else "folder"
        else:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def hash_of(hashes: Mapping[str, str]) -> str:
    """SHA-256 over names and bytes, so that an added file changes it as well."""
    return hashlib.sha256("".join(f"{name}\0{hash_}\0" for name, hash_ in sorted(hashes.items())).encode()).hexdigest()


def content_hash(folder: Path) -> str:
    """The hash of everything in `folder`."""
    return hash_of(hashes_of(folder))


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a crash on the way leaves only a hidden `.removed-` rest, never half of a version."""
    doomed = folder
    if not folder.name.startswith(".removed-"):
        doomed = folder.with_name(f".removed-{folder.name.lstrip('.')}")
        if doomed.exists():
            shutil.rmtree(doomed)
        step(f"retire {folder.name}")
        folder.rename(doomed)
    step(f"remove {doomed.name}")
    shutil.rmtree(doomed)
