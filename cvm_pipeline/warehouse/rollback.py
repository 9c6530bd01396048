"""Rollback: readers are pointed back at a version that is still kept, or forward again.

Belongs here: when that is refused, and its steps. Not here: a publication's own steps (`publication.py`).

Nothing is rebuilt or copied: a version's folder is whole and immutable, so that it takes as long as one rename, and one
row in PostgreSQL. A run that was at work on the version rolled back from is refused when it comes to publish: it was built
on what no longer stands. The log of runs says who was pointed where, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contract_change import change
from cvm_pipeline.warehouse.attempts import Attempt, record_attempt
from cvm_pipeline.warehouse.errors import RollbackRefused, WarehouseError, errors_explained
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.publication import held, show_version
from cvm_pipeline.warehouse.seal import changed_since_published
from cvm_pipeline.warehouse.targets.follow import bring, follow
from cvm_pipeline.warehouse.targets.protocol import Target
from cvm_pipeline.warehouse.targets.used import remember_target
from cvm_pipeline.warehouse.versions import Version, contract_of, standing, versions


@dataclass(frozen=True)
class RolledBack:
    """What stood, and what stands now; the same where it stood already. `leftovers`: what could not be written down."""

    earlier: str
    now: Version
    leftovers: str = ""


def roll_back(home: Home, publication_id: str, reason: str, at: datetime, target: Target | None = None) -> RolledBack:
    """Point readers at a kept version, in the home and in the target.

    Raises `RollbackRefused` where it is not kept, where a file of it was changed since it was published, or where readers
    would miss a column or find it of another type; `LockHeld`; `WarehouseError`.
    """
    with run_lock(home, "cvm rollback", publication_id), held(target, f"rollback {publication_id}") as session:
        if target is not None:
            remember_target(home, target)
        base = standing(home)
        if base is None:
            raise RollbackRefused("nothing is published yet: there is nothing to go back to.")
        chosen = _kept(home, publication_id)
        folder = home.versions / chosen.publication_id
        if folder == base:
            if session is not None:
                follow(session, home, folder)
            return RolledBack(base.name, chosen)
        _refuse_broken_readers(base, folder)
        _refuse_changed_files(folder)
        if session is not None:
            bring(session, home, folder)
        with errors_explained("rolling back", home.warehouse):
            unmarked = show_version(home, folder)
        # Readers of the home see it by now: neither a target that is down nor a log that can't be written undoes that.
        try:
            if session is not None:
                follow(session, home, folder)
        finally:
            told = f"from {base.name} to {chosen.publication_id}: {reason or 'no reason given'}"
            unlogged = _log(home, Attempt("", chosen.as_of_date, at, at, "rolled back", told))
        return RolledBack(base.name, chosen, "; ".join(filter(None, (unmarked, unlogged))))


def _log(home: Home, attempt: Attempt) -> str:
    """Write the log's line; returns why it could not be."""
    try:
        record_attempt(home, attempt)
    except WarehouseError as error:
        return f"readers see it, but the log of runs does not tell: {error}"
    return ""


def _kept(home: Home, publication_id: str) -> Version:
    kept = versions(home)
    for version in kept:
        if version.publication_id == publication_id:
            return version
    names = ", ".join(version.publication_id for version in kept)
    raise RollbackRefused(f"there is no version {publication_id!r}. Kept are: {names}.")


def _refuse_broken_readers(base: Path, folder: Path) -> None:
    (was, stands), (version, offered) = contract_of(base), contract_of(folder)
    breaks = change(stands, offered).breaks
    if breaks:
        raise RollbackRefused(
            f"{folder.name} keeps contract {version}, and readers rely on {was}: {'; '.join(breaks)}. "
            "Run the pipeline again for its date instead: cvm run --as-of DATE."
        )


def _refuse_changed_files(folder: Path) -> None:
    with errors_explained("reading a version", folder):
        broken = changed_since_published(folder, thoroughly=True)
    if broken:
        raise RollbackRefused(
            f"{folder.name} is not what was published: {', '.join(broken)} was changed since, in {folder}. "
            "Choose another version (cvm versions), or restore that one from a backup."
        )
