"""A folder of Parquet files as a target, for engines that read files: hive-partitioned parts and one manifest.

Belongs here: the folder's layout and the order of the steps on disk. Not here: what a version is (`protocol.py`), the
inside of a file (`parquet_file.py`).

    current.json                                    what stands: for each table its files. Replacing it is the publication
    manifests/<publication_id>.json                 the same for every version kept
    cvm/<table>/[as_of_date=<day>/|lasts=<yes|no>/]publication_id=<id>/part-<n>.parquet   (0, or more once a person was erased)
    cvm_pii/customer_pii/...                        readable by its owner only

A part's files are written once, under the id of the publication that wrote it, and never change but to erase a person; a
reader that has read `current.json` once can open all its files in peace until `publish.keep` further publications have gone by.

Nothing is written or removed here but `current.json`, `manifests/`, and folders of tables that the contract or a manifest
names: what else lies beside them is somebody else's.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.errors import LockHeld, WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import remove_folder, step, sync, write_atomically
from cvm_pipeline.warehouse.targets.parquet_file import holds, next_file, number, without_customers, write_rows
from cvm_pipeline.warehouse.targets.protocol import Part, Version
from cvm_pipeline.warehouse.versions import checked_id

CURRENT = "current.json"
MANIFESTS = "manifests"
# Where the parts of a table lie in its folder.
_LEVELS = ("", "as_of_date=*/", "lasts=*/")
_LOCK = ".lock"


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
            (self._root / MANIFESTS).mkdir(exist_ok=True)
            known = set(_files_of(self._manifests().values()))
            tables: dict[str, Any] = {}
            for table in TABLES:
                parts = [part for part in version.parts if part.table is table]
                schema = version.schema_of(table)
                tables[table.name] = {
                    "schema": table.schema,
                    "rows": sum(part.rows for part in parts),
                    "columns": {column.name: column.type for column in table.columns},
                    "files": [str(self._written(version, part, schema).relative_to(self._root)) for part in parts],
                }
            manifest = {
                "publication_id": version.publication_id,
                "as_of_date": version.as_of_date,
                "contract_version": CONTRACT_VERSION,
                "tables": tables,
            }
            self._sync_folders_of(file for file in _files_of([manifest]) if file not in known)
            write_atomically(self._manifest(version.publication_id), json.dumps(manifest, indent=1) + "\n")

    def show(self, publication_id: str) -> None:
        """Replace `current.json`."""
        with errors_explained("publishing Parquet files", self._root):
            write_atomically(self._root / CURRENT, self._manifest(publication_id).read_text(encoding="utf-8"))

    def retire(self, kept: Collection[str]) -> None:
        """Remove the parts that no other version names, then the manifests of those that are not kept."""
        shown = self.shown()
        with errors_explained("removing old Parquet files", self._root):
            manifests = self._manifests()
            staying = {path: content for path, content in manifests.items() if path.stem in kept or path.stem == shown}
            named = {self._root / file for file in _files_of(staying.values())}
            # Of the tables of a manifest that goes as well: one of them may be in the contract no more.
            for folder in self._parts_of(manifests.values()):
                if not any(file.parent == folder for file in named):
                    remove_folder(folder)
                    if folder.parent.name.startswith(("as_of_date=", "lasts=")) and not any(folder.parent.iterdir()):
                        folder.parent.rmdir()
            self._clear_up(staying.values())
            for path in manifests:
                if path not in staying:
                    step(f"remove manifest {path.stem}")
                    path.unlink()

    def erase(self, customer_ids: Collection[str], redaction: Redaction) -> int:
        """Write the parts that hold them anew beside the old ones, name these in every manifest, then show and clear up.

        The one exception to what a reader of `current.json` is promised: the old files go at once.
        """
        with errors_explained("erasing from Parquet files", self._root):
            manifests = self._manifests()
            renamed: dict[str, tuple[str, int]] = {}
            for manifest in manifests.values():
                for table in manifest["tables"].values():
                    for file in table["files"]:
                        if file not in renamed and (self._root / file).exists():
                            other, gone = without_customers(self._root / file, customer_ids, redaction)
                            renamed[file] = (str(other.relative_to(self._root)), gone)
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
            self._clear_up(manifests.values())
            return sum(gone for _, gone in renamed.values())

    def _clear_up(self, manifests: Collection[dict[str, Any]]) -> None:
        """Remove the files of parts that none of these manifests names."""
        named = {self._root / file for file in _files_of(manifests)}
        for folder in self._parts_of(manifests):
            for path in sorted([*folder.glob("part-*.parquet"), *folder.glob(".writing-part-*")]):
                if path not in named:
                    step(f"remove {path.name}")
                    path.unlink()

    def _manifest(self, publication_id: str) -> Path:
        return self._root / MANIFESTS / f"{checked_id(publication_id)}.json"

    def _manifests(self) -> dict[Path, dict[str, Any]]:
        return {path: _read(path) for path in sorted((self._root / MANIFESTS).glob("[!.]*.json"))}

    def _parts_of(self, manifests: Iterable[dict[str, Any]]) -> list[Path]:
        """Every folder of a part, whole or begun, of the contract's tables and of those that the manifests name."""
        tables = {(table.schema, table.name) for table in TABLES}
        tables |= {(held["schema"], name) for manifest in manifests for name, held in manifest["tables"].items()}
        return [
            folder
            for schema, name in sorted(tables)
            for level in _LEVELS
            for kind in ("", ".writing-", ".removed-")
            for folder in sorted((self._root / schema / name).glob(f"{level}{kind}publication_id=*/"))
        ]

    def _sync_folders_of(self, files: Iterable[str]) -> None:
        """Up to the root: a manifest must not reach the disk before the entries that lead to what it names."""
        folders = {self._root}
        for file in files:
            folders.update(self._root / folder for folder in Path(file).parents)
        for folder in sorted(folders, reverse=True):
            sync(folder)

    def _written(self, version: Version, part: Part, schema: pa.Schema) -> Path:
        """The file of a part, written where it is not there: under another name first, so that it is whole or absent."""
        table = part.table
        folder = self._root / table.schema / table.name
        if part.as_of_date is not None:
            folder /= f"as_of_date={part.as_of_date}"
        if part.is_open is not None:
            folder /= "lasts=yes" if part.is_open else "lasts=no"
        folder /= f"publication_id={part.written_by}"
        for path in sorted(folder.glob("part-*.parquet"), key=number, reverse=True):
            # An erasure writes a part anew under the next number, and so does a contract that retyped a column.
            if holds(path, schema, part.rows):
                return path
        path = next_file(folder)
        mode = 0o700 if table.schema == "cvm_pii" else 0o777
        (self._root / table.schema).mkdir(mode=mode, exist_ok=True)
        folder.parent.mkdir(mode=mode, parents=True, exist_ok=True)
        spare = folder.with_name(f".writing-{folder.name}")
        step(f"write {table.name} as parquet")
        spare.mkdir(mode=mode, exist_ok=True)
        write_rows(spare / path.name, version.rows_of([part]), mode & 0o666)
        step(f"name the part of {table.name}")
        if folder.exists():
            (spare / path.name).rename(path)
            spare.rmdir()
        else:
            spare.rename(folder)
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
        """Hold the folder. Raises `LockHeld` that names the process, host and time of who else publishes to it."""
        with errors_explained("opening the folder of Parquet files", self._root):
            _make(self._root)
            descriptor = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise LockHeld(self._holder(descriptor)) from None
                who = f"`cvm {purpose}`, process {os.getpid()} on {socket.gethostname()}"
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{who} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC".encode(), 0)
            except BaseException:
                os.close(descriptor)
                raise
        try:
            yield ParquetSession(self._root)
        finally:
            os.ftruncate(descriptor, 0)
            # Closing it would leave the lock with a child that was forked meanwhile.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def shown(self) -> str | None:
        """What readers see, asked without holding the folder; None before the first publication."""
        return ParquetSession(self._root).shown()

    def _holder(self, descriptor: int) -> str:
        who = os.pread(descriptor, 1000, 0).decode(errors="replace") or "by a run that has only begun"
        return f"another run publishes to {self._root}: {who}. Wait until it is done, then try again."


def _make(folder: Path) -> None:
    """Make a folder and those above it, each on disk before anything lies in it."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync(path.parent)


def _files_of(manifests: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Every file that these manifests name."""
    for manifest in manifests:
        for table in manifest["tables"].values():
            yield from table["files"]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise WarehouseError(f"{path} is no manifest ({error}). Remove it and publish again.") from error
