"""A folder of Parquet files as a target, for engines that read files: hive-partitioned parts and one manifest.

Belongs here: the folder's layout and the order of the steps on disk. Not here: what a version is (`protocol.py`).

    current.json                                    what stands: for each table its files. Replacing it is the publication
    manifests/<publication_id>.json                 the same for every version kept
    cvm/<table>/[as_of_date=<day>/|lasts=<yes|no>/]publication_id=<id>/part-<n>.parquet   (0, or more once a person was erased)
    cvm_pii/customer_pii/...                        readable by its owner only

A part's files are written once, under the id of the publication that wrote it, and never change but to erase a person; a
reader that has read `current.json` once can open all its files in peace until `publish.keep` further publications have gone by.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES
from cvm_pipeline.domain.redaction import Redaction
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
                    if folder.parent.name.startswith(("as_of_date=", "lasts=")) and not any(folder.parent.iterdir()):
                        folder.parent.rmdir()

    def erase(self, customer_ids: Collection[str], redaction: Redaction) -> int:
        """Write the parts that hold them anew beside the old ones, name these in every manifest, then show and clear up.

        The one exception to what a reader of `current.json` is promised: the old files go at once.
        """
        with errors_explained("erasing from Parquet files", self._root):
            manifests = {path: _read(path) for path in sorted((self._root / MANIFESTS).glob("[!.]*.json"))}
            renamed: dict[str, tuple[str, int]] = {}
            for manifest in manifests.values():
                for table in manifest["tables"].values():
                    for file in table["files"]:
                        if file not in renamed and (self._root / file).exists():
                            renamed[file] = self._without(file, customer_ids, redaction)
            changed = {file for file, (other, _) in renamed.items() if other != file}
            for path, manifest in manifests.items():
                if any(file in changed for table in manifest["tables"].values() for file in table["files"]):
                    for table in manifest["tables"].values():
                        table["rows"] -= sum(renamed[file][1] for file in table["files"] if file in renamed)
                        table["files"] = [renamed[file][0] if file in renamed else file for file in table["files"]]
                    write_atomically(path, json.dumps(manifest, indent=1) + "\n")
            shown = self.shown()
            if shown is not None and self._manifest(shown).exists():
                write_atomically(self._root / CURRENT, self._manifest(shown).read_text(encoding="utf-8"))
            self._clear_up()
            return sum(gone for _, gone in renamed.values())

    def _without(self, file: str, customer_ids: Collection[str], redaction: Redaction) -> tuple[str, int]:
        """The part's file without the customers (itself where it holds none), and how many rows went."""
        path = self._root / file
        names = pq.read_schema(path).names
        if "customer_id" in names:
            found = pc.is_in(
                pq.read_table(path, columns=["customer_id"])["customer_id"], value_set=pa.array(sorted(customer_ids))
            )
            gone = int(pc.sum(found).as_py() or 0)
        else:
            gone = 0
        if not gone and not ("observed" in names and _told(path, redaction)):
            return file, 0
        number = int(path.stem.removeprefix("part-"))
        target = path.with_name(f"part-{number + 1}.parquet")
        spare = path.with_name(f".writing-{target.name}")
        step(f"write {file} anew")
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, path.stat().st_mode & 0o777)
        with (
            os.fdopen(descriptor, "wb") as out,
            pq.ParquetFile(path) as old,
            pq.ParquetWriter(out, old.schema_arrow, compression="zstd") as writer,
        ):
            for batch in old.iter_batches():
                table = pa.Table.from_batches([batch])
                if "customer_id" in names:
                    table = table.filter(
                        pc.invert(pc.is_in(table["customer_id"], value_set=pa.array(sorted(customer_ids))))
                    )
                if "observed" in names:
                    texts = [None if text is None else redaction.text(text) for text in table["observed"].to_pylist()]
                    table = table.set_column(
                        names.index("observed"), "observed", pa.array(texts, table["observed"].type)
                    )
                writer.write_table(table, row_group_size=_ROW_GROUP)
        sync(spare)
        step(f"name {target.name}")
        spare.rename(target)
        sync(target.parent)
        return str(target.relative_to(self._root)), gone

    def _clear_up(self) -> None:
        """Remove files of parts that no manifest names."""
        named = {
            self._root / file
            for path in [*(self._root / MANIFESTS).glob("[!.]*.json"), self._root / CURRENT]
            if path.exists()
            for table in _read(path)["tables"].values()
            for file in table["files"]
        }
        for path in sorted([*self._root.glob("cvm*/**/part-*.parquet"), *self._root.glob("cvm*/**/.writing-part-*")]):
            if path not in named:
                step(f"remove {path.name}")
                path.unlink()

    def _manifest(self, publication_id: str) -> Path:
        return self._root / MANIFESTS / f"{checked_id(publication_id)}.json"

    def _written(self, version: Version, part: Part) -> Path:
        """The file of a part, written where it is not there: under another name first, so that it is whole or absent."""
        table = part.table
        folder = self._root / table.schema / table.name
        if part.as_of_date is not None:
            folder /= f"as_of_date={part.as_of_date}"
        if part.is_open is not None:
            folder /= "lasts=yes" if part.is_open else "lasts=no"
        folder /= f"publication_id={part.written_by}"
        there = sorted(folder.glob("part-*.parquet"), key=lambda path: int(path.stem.removeprefix("part-")))
        if there:
            # An erasure writes a part anew under the next number.
            return there[-1]
        path = folder / "part-0.parquet"
        mode = 0o700 if table.schema == "cvm_pii" else 0o777
        (self._root / table.schema).mkdir(mode=mode, exist_ok=True)
        spare = folder.with_name(f".writing-{folder.name}")
        step(f"write {table.name} as parquet")
        spare.mkdir(mode=mode, parents=True, exist_ok=True)
        rows = version.rows_of([part])
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
    def root(self) -> Path:
        """The folder itself, by its absolute path."""
        return self._root.absolute()

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


def _told(path: Path, redaction: Redaction) -> bool:
    """Whether what a gate observed names somebody who is to go."""
    texts = pq.read_table(path, columns=["observed"])["observed"].unique().to_pylist()
    return any(text is not None and redaction.text(text) != text for text in texts)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise WarehouseError(f"{path} is no manifest ({error}). Remove it and publish again.") from error
