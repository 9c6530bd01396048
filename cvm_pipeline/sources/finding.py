"""Which files a `path` of cvm.yml means, and the name that each is known by."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from cvm_pipeline.config.paths import PACKAGE_PREFIX, glob_pattern
from cvm_pipeline.sources.errors import SourceError


def find_files(pattern: str, root: Path) -> list[tuple[Path, str]]:
    """Files that a `path` of cvm.yml finds, in the order of their names, each with the name that a user knows it by.

    The name is relative to cvm.yml, absolute where the pattern is, and `package:...` for a file of a package: it is part
    of the key of an order without an id, so it must be the same on every machine.
    """
    try:
        found = glob.glob(glob_pattern(pattern, root), recursive=True)  # noqa: PTH207 - the pattern may climb
    except FileNotFoundError as error:
        raise SourceError(str(error)) from error
    paths = [path for path in map(Path, found) if path.is_file()]
    if pattern.startswith(PACKAGE_PREFIX):
        return [(path, pattern) for path in paths]
    absolute = Path(pattern).expanduser().is_absolute()
    shown = ((path, str(path) if absolute else os.path.relpath(path, root)) for path in paths)
    # A file system's name may hold bytes that are no text.
    return sorted(
        ((path, os.fsencode(name).decode(errors="backslashreplace")) for path, name in shown), key=lambda f: f[1]
    )
