"""A folder of Parquet files as a target, for engines that read files: hive-partitioned parts and one manifest.

Belongs here: the folder's layout and the order of the steps on disk. Not here: what a version is (`protocol.py`).

    current.json                                    what stands: for each table its files. Replacing it is the publication
    manifests/<publication_id>.json                 the same for every version kept
    cvm/<table>/[as_of_date=<day>/]publication_id=<id>/part-0.parquet
    cvm_pii/customer_pii/...                        readable by its owner only

A part's files are written once, under the id of the publication that wrote it, and never change; a reader that has read
`current.json` once can open all its files in peace until `publish.keep` further publications have gone by.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES, Table
from cvm_pipeline.warehouse.errors import LockHeld, WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import remove_folder, step, sync, write_atomically
from cvm_pipeline.warehouse.targets.protocol import Part, Version
from cvm_pipeline.warehouse.versions import checked_id

CURRENT = "current.json"
MANIFESTS = "manifests"
_ROW_GROUP = 200_000


class ParquetSession:
    """One publication's hold on the folder; made by `ParquetTarget.session`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def shown(self) -> str | None:
        """The publication that `current.json` names; None before the first."""
        path = self._root / CURRENT
        if not path.exists():
            return None
        return str(_read(path)["publication_id"])

    def bring(self, version: Version) -> None:
        """Write the parts that are not there, then the version's manifest."""
        with errors_explained("writing Parquet files", self._root):
            tables: dict[str, Any] = {}
            for table in TABLES:
                parts = [part for part in version.parts if part.table is table]
                tables[table.name] = {
                    "schema": table.schema,
                    "rows": sum(part.rows for part in parts),
                    "columns": {column.name: column.type for column in table.columns},
                    "files": [str(self._written(version, part).relative_to(self._root)) for part in parts],
                }
            manifest = {
                "publication_id": version.publication_id,
                "as_of_date": version.as_of_date,
                "contract_version": CONTRACT_VERSION,
                "tables": tables,
            }
            (self._root / MANIFESTS).mkdir(exist_ok=True)
            write_atomically(self._manifest(version.publication_id), json.dumps(manifest, indent=1) + "\n")

    def show(self, publication_id: str) -> None:
        """Replace `current.json`."""
        with errors_explained("publishing Parquet files", self._root):
            write_atomically(self._root / CURRENT, self._manifest(publication_id).read_text(encoding="utf-8"))

    def retire(self, kept: Collection[str]) -> None:
        """Remove the manifests of other versions, then the parts that no manifest names."""
        shown = self.shown()
        with errors_explained("removing old Parquet files", self._root):
            for path in sorted((self._root / MANIFESTS).glob("[!.]*.json")):
                if path.stem not in kept and path.stem != shown:
                    step(f"remove manifest {path.stem}")
                    path.unlink()
            named = {
                (self._root / file).parent
                for path in (self._root / MANIFESTS).glob("[!.]*.json")
                for table in _read(path)["tables"].values()
                for file in table["files"]
            }
            for folder in sorted(self._root.glob("cvm*/*/**/")):
                if folder.name.startswith((".removed-", ".writing-")) or (
                    folder.name.startswith("publication_id=") and folder not in named
                ):
                    remove_folder(folder)
                    if folder.parent.name.startswith("as_of_date=") and not any(folder.parent.iterdir()):
                        folder.parent.rmdir()

    def _manifest(self, publication_id: str) -> Path:
        return self._root / MANIFESTS / f"{checked_id(publication_id)}.json"

    def _written(self, version: Version, part: Part) -> Path:
        """The file of a part, written where it is not there: under another name first, so that it is whole or absent."""
        table = part.table
        folder = self._root / table.schema / table.name
        if part.as_of_date is not None:
            folder /= f"as_of_date={part.as_of_date}"
        folder /= f"publication_id={part.written_by}"
        path = folder / "part-0.parquet"
        if path.exists():
            return path
        mode = 0o700 if table.schema == "cvm_pii" else 0o777
        (self._root / table.schema).mkdir(mode=mode, exist_ok=True)
        spare = folder.with_name(f".writing-{folder.name}")
        step(f"write {table.name} as parquet")
        spare.mkdir(mode=mode, parents=True, exist_ok=True)
        rows = version.rows_of(table, [part.written_by])
        descriptor = os.open(spare / path.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode & 0o666)
        with os.fdopen(descriptor, "wb") as file, pq.ParquetWriter(file, rows.schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch, row_group_size=_ROW_GROUP)
        sync(spare / path.name)
        sync(spare)
        step(f"name the part of {table.name}")
        spare.rename(folder)
        sync(folder.parent)
        return path


class ParquetTarget:
    """A folder, by its path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def name(self) -> str:
        """The folder."""
        return f"Parquet files in {self._root}"

    @contextmanager
    def session(self, purpose: str) -> Iterator[ParquetSession]:
        """Hold the folder. Raises `LockHeld` where another process publishes to it."""
        with errors_explained("opening the folder of Parquet files", self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockHeld(
                    f"another run publishes to {self._root}. Wait until it is done, then try again."
                ) from None
            yield ParquetSession(self._root)
        finally:
            os.close(descriptor)


def files_of(root: Path, table: Table) -> list[Path]:
    """The files of a table in the publication that stands. Raises `WarehouseError` before the first publication."""
    if not (root / CURRENT).exists():
        raise WarehouseError(f"{root}: nothing is published there yet.")
    return [root / file for file in _read(root / CURRENT)["tables"][table.name]["files"]]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise WarehouseError(f"{path} is no manifest ({error}). Remove it and publish again.") from error
