"""A version's folder gives way to another of the same id, while readers are at it.

Belongs here: the steps on disk, and completing them. Not here: what the other folder holds (`erasing.py`).

For each version, `versions/.erasing/<id>` is built under a hidden name, synced, and renamed to that name: from here on it
is whole. For one that readers don't see, the old folder is removed and the new one renamed to its place. For the one that
stands: 1. `current` is swapped to `.erasing/<id>`: this is the erasure; 2. the old folder is removed; 3. a folder of hard
links to the new files is made and renamed to `versions/<id>`; 4. `current` is swapped back; 5. `.erasing/<id>` is removed.
At no step does `current` dangle, and readers see the old files or the new, never some of each. Whatever a death leaves,
`settle` completes: each whole folder in `.erasing` is taken through the same steps again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.files import point, remove_folder, step, sync

ERASING = ".erasing"


def settle(home: Home) -> None:
    """Complete what a dead erasure left: whole folders take their place, half ones go. Under the run lock."""
    erasing = home.versions / ERASING
    if not erasing.is_dir():
        return
    for folder in sorted(erasing.iterdir()):
        if not folder.name.startswith("."):
            take_place(home, folder)
    remove_folder(erasing)


def take_place(home: Home, new: Path) -> None:
    """Let a whole new folder take its version's place; safe to repeat from any step."""
    place = home.versions / new.name
    if home.current.is_symlink() and home.current.resolve() in (place.resolve(), new.resolve()):
        point(home.current, f"{home.versions.name}/{ERASING}/{new.name}")
        if place.exists():
            remove_folder(place)
        links = home.versions / f".links-{new.name}"
        if links.exists():
            shutil.rmtree(links)
        step(f"link the new {new.name}")
        links.mkdir()
        for path in new.iterdir():
            os.link(path, links / path.name)
        shutil.copymode(new, links)
        sync(links)
        step(f"place the new {new.name}")
        links.rename(place)
        sync(home.versions)
        point(home.current, f"{home.versions.name}/{new.name}")
        remove_folder(new)
    else:
        if place.exists():
            remove_folder(place)
        step(f"place the new {new.name}")
        new.rename(place)
        sync(home.versions)
