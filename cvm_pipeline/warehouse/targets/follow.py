"""A target follows the home: it is brought a version unseen, and shows the one that stands there.

Belongs here: what holds for every target. Not here: when a publication asks for it (`publication.py`, `rollback.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import PUBLICATION
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.errors import TargetUnreachable, WarehouseError
from cvm_pipeline.warehouse.targets.protocol import Session, Version, open_version
from cvm_pipeline.warehouse.versions import kept_ids, standing


def bring(session: Session, home: Home, folder: Path) -> None:
    """Bring a version, seen by nobody yet. Raises `WarehouseError` where the target shows a stranger's publication."""
    with open_version(folder) as version:
        _refuse_a_stranger(session, home, version)
        session.bring(version)


def follow(session: Session, home: Home, folder: Path) -> None:
    """Show the version that stands in the home; nothing to do where it is shown. Raises as `bring`."""
    with open_version(folder) as version:
        if session.shown() == version.publication_id:
            return
        _refuse_a_stranger(session, home, version)
        try:
            session.bring(version)
            session.show(version.publication_id)
        except TargetUnreachable as error:
            raise TargetUnreachable(
                f"{error} The home's own files show {version.publication_id} already, and this place follows with the "
                "next publication, or when the same one is asked for again (cvm run --select group:published)."
            ) from error


def erase(session: Session, home: Home, customer_ids: Collection[str], redaction: Redaction) -> int:
    """Erase customers from the target; returns the rows. Raises `WarehouseError` where it shows a stranger's publication."""
    folder = standing(home)
    if folder is not None:
        with open_version(folder) as version:
            _refuse_a_stranger(session, home, version)
    return session.erase(customer_ids, redaction)


def _refuse_a_stranger(session: Session, home: Home, version: Version) -> None:
    """Two homes that publish to one place would overtake one another: the earlier publication must be of this history."""
    shown = session.shown()
    if shown is None or shown in kept_ids(home):
        return
    known = version.con.execute(
        f"select count(*) from cvm.{PUBLICATION.name} where publication_id = ?", [shown]
    ).fetchall()
    if not known[0][0]:
        raise WarehouseError(
            f"there stands publication {shown}, which this home never made: another project or another copy of it "
            "publishes there. Give this one a database or folder of its own (publish in cvm.yml), or clear that one first."
        )
