"""Which files a `path` of cvm.yml means, and the name that each is known by."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from cvm_pipeline.config.paths import PACKAGE_PREFIX, glob_pattern
from cvm_pipeline.sources.errors import SourceError


def find_files(pattern: str, root: Path) -> list[tuple[Path, str]]:
    """Files that a `path` of cvm.yml finds, in the order of their names, each with the name that a user knows it by.

    The name is `name_of` a file, and `package:...` for a file of a package: it is part of the key of an order without an id,
    so it must be the same on every machine.
    """
    try:
        found = glob.glob(glob_pattern(pattern, root), recursive=True)  # noqa: PTH207 - the pattern may climb
    except FileNotFoundError as error:
        raise SourceError(str(error)) from error
    paths = [path for path in map(Path, found) if path.is_file()]
    if pattern.startswith(PACKAGE_PREFIX):
        return [(path, pattern) for path in paths]
    return sorted(((path, name_of(path, root)) for path in paths), key=lambda f: f[1])


def name_of(path: Path, root: Path) -> str:
    """The name of a file: its path from cvm.yml's folder, however cvm.yml spells it. A symlink keeps its own name.

    One file under two names would count twice once it is corrected.
    """
    # Where the folder was reached through a symlink, an absolute path may lie beside the real one: the shorter way is meant.
    ways = (os.path.relpath(path, start) for start in dict.fromkeys((root.absolute(), root.resolve())))
    # A file system's name may hold bytes that are no text.
    return os.fsencode(min(ways, key=lambda way: Path(way).parts.count(os.pardir))).decode(errors="backslashreplace")
