"""Which targets a home ever published to: a person is to be erased from those of earlier days too.

Belongs here: remembering them in `targets.json`, and the erasure from those that `publish` in cvm.yml names no more.
Not here: how a target erases (each target's own module). No secret is kept, so that an earlier database can only be named.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.errors import WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import write_atomically
from cvm_pipeline.warehouse.targets.follow import erase
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget
from cvm_pipeline.warehouse.targets.protocol import Target


@dataclass(frozen=True)
class UsedTarget:
    """A target by its name; `folder` where it is one of files."""

    name: str
    folder: str | None


def used_targets(home: Home) -> list[UsedTarget]:
    """Every target that this home was ever published to. Raises `WarehouseError` where the list is damaged."""
    try:
        return [UsedTarget(**entry) for entry in json.loads(home.targets.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise WarehouseError(f"{home.targets} can't be read ({error}). Restore it from a backup.") from error


def remember_target(home: Home, target: Target) -> None:
    """Put a target on the list before anything is brought to it."""
    known = used_targets(home)
    if target.name not in [used.name for used in known]:
        folder = str(target.root) if isinstance(target, ParquetTarget) else None
        with errors_explained("remembering the target", home.targets):
            entries = [asdict(used) for used in (*known, UsedTarget(target.name, folder))]
            write_atomically(home.targets, json.dumps(entries, indent=1) + "\n")


def folders_of(home: Home) -> list[Path]:
    """The folders of files, of today and of earlier days, that are there."""
    return [Path(used.folder) for used in used_targets(home) if used.folder and Path(used.folder).is_dir()]


def erase_from_earlier(
    home: Home, now: Target | None, customer_ids: Collection[str], redaction: Redaction
) -> tuple[int, list[str]]:
    """Erase customers from every target but the one of today; returns the rows, and each target out of reach with the reason."""
    rows, unreached = 0, []
    for used in used_targets(home):
        if now is not None and used.name == now.name:
            continue
        done = f"Clear it there, then take its entry out of {home.targets}"
        if used.folder is None:
            unreached.append(
                f"{used.name}: published to earlier, and `publish` in cvm.yml names it no more. Name it there and ask again. "
                f"Or: {done}"
            )
        elif not Path(used.folder).is_dir():
            unreached.append(f"{used.name}: the folder is not there any more. If it was moved: {done}")
        else:
            try:
                with ParquetTarget(Path(used.folder)).session("forget") as session:
                    rows += erase(session, home, customer_ids, redaction)
            except WarehouseError as error:
                unreached.append(f"{used.name}: {error} {done}")
    return rows, unreached
