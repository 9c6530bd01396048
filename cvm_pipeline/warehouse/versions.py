"""The versions that readers have seen: ids, which one stands, what each holds, and how they are read and removed.

Belongs here: everything about versions that were published. Not here: how one is made (`candidate.py`) or becomes
visible (`publication.py`).

Layout under `<home>/warehouse`: `versions/<publication_id>/` holds `warehouse.duckdb`, `pii.duckdb`, `candidate.json`
(what it brought) and `published.json` (when it last came to stand, and the seal of its files); hidden folders there are candidates and rests of removals.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import WarehouseError, engine_errors_explained, errors_explained
from cvm_pipeline.warehouse.files import remove_folder
from cvm_pipeline.warehouse.replacing import settle
from cvm_pipeline.warehouse.seal import STOOD, mark_stood, stood_since

WAREHOUSE_FILE = "warehouse.duckdb"
PII_FILE = "pii.duckdb"
MANIFEST = "candidate.json"

_ID = re.compile(r"\d{4}-\d{2}-\d{2}T\d{6}Z-[0-9a-f]{4}")


@dataclass(frozen=True)
class Version:
    """One version kept; `size` in bytes, `published_at` in UTC."""

    publication_id: str
    as_of_date: date
    published_at: datetime
    is_current: bool
    size: int


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of `customer_value_history`, the publication that wrote it, and its customers."""

    as_of_date: date
    publication_id: str
    customers: int


def new_publication_id(at: datetime, token: str | None = None) -> str:
    """A readable id that sorts by time, such as `2026-11-22T134501Z-3f2a`.

    `at` must know its zone; `token` is four hex digits, drawn at random where not given. Raises `ValueError`.
    """
    if at.tzinfo is None:
        raise ValueError("a publication id needs an instant with a zone")
    made = f"{at.astimezone(UTC):%Y-%m-%dT%H%M%SZ}-{token or secrets.token_hex(2)}"
    return checked_id(made)


def checked_id(publication_id: str) -> str:
    """The id itself. Raises `ValueError` where it is none: ids become folder names."""
    if not _ID.fullmatch(publication_id):
        raise ValueError(f"not a publication id (such as 2026-11-22T134501Z-3f2a): {publication_id!r}")
    return publication_id


def order_of(publication_id: str) -> str:
    """The part of an id that orders publications: its instant, without the random digits."""
    return publication_id[:18]


def standing(home: Home) -> Path | None:
    """The folder of the version that readers see; None before the first publication.

    Raises `WarehouseError` where `current` points at nothing: going on would silently begin a new history.
    """
    if not home.current.is_symlink():
        if home.current.exists():
            raise WarehouseError(f"{home.current} is no symlink. Move it away, then run again.")
        return None
    folder = home.current.resolve()
    if not (folder / WAREHOUSE_FILE).is_file():
        raise WarehouseError(
            f"{home.current} points at {folder}, which holds no published version. Point it at one of the folders in "
            f"{home.versions} (`ln -sfn versions/<publication id> {home.current}`), or restore that folder."
        )
    return folder


def versions(home: Home) -> list[Version]:
    """Every version kept that once stood, newest first."""
    current = standing(home)
    found = []
    for folder in _folders(home):
        is_current = current is not None and folder.name == current.name
        if not is_current and not (folder / STOOD).exists():
            continue
        with errors_explained("reading a version", folder):
            manifest = read_manifest(folder)
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        found.append(
            Version(
                folder.name,
                date.fromisoformat(str(manifest["as_of_date"])),
                datetime.fromisoformat(str(manifest["published_at"])),
                is_current,
                size,
            )
        )
    return sorted(found, key=lambda version: version.publication_id, reverse=True)


@contextmanager
def open_standing(home: Home) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """A read-only connection to the standing version (catalog `warehouse`), or None before the first publication.

    It opens the version's own path, not the fixed one: DuckDB shares one database between connections of a process
    that give the same path, so that the fixed path could give an earlier version.
    """
    folder = standing(home)
    if folder is None:
        yield None
        return
    path = folder / WAREHOUSE_FILE
    with engine_errors_explained("opening the published warehouse", path):
        con = duckdb.connect(str(path), read_only=True)
    try:
        with engine_errors_explained("reading the published warehouse", path):
            yield con
    finally:
        con.close()


def read_memory(home: Home, as_of_date: date) -> pa.Table | None:
    """What a published snapshot said of each customer: customer_id, value_tier, lifecycle_stage, stage_since,
    last_order_date.

    None where nothing was published for that date.
    """
    with open_standing(home) as con:
        if con is None:
            return None
        relation = con.sql(
            "select customer_id, value_tier, lifecycle_stage, stage_since, last_order_date from cvm.customer_value_history "
            "where as_of_date = ? order by customer_id",
            params=[as_of_date],
        )
        memory = relation.to_arrow_table()
    return memory if memory.num_rows else None


def read_model_card(home: Home, as_of_date: date) -> pa.Table | None:
    """A published snapshot's clv_model_card: model, cut_date, metric, value, note; None where there is none."""
    with open_standing(home) as con:
        if con is None:
            return None
        card = con.sql(
            "select model, cut_date, metric, value, note from cvm.clv_model_card where as_of_date = ? "
            "order by model, cut_date, metric",
            params=[as_of_date],
        ).to_arrow_table()
    return card if card.num_rows else None


def read_parameter(home: Home, as_of_date: date, scheme: str, parameter: str) -> float | None:
    """A published segment_parameter of one snapshot; None where there is none."""
    with open_standing(home) as con:
        if con is None:
            return None
        rows = con.execute(
            "select value from cvm.segment_parameter where as_of_date = ? and scheme = ? and parameter = ?",
            [as_of_date, scheme, parameter],
        ).fetchall()
    return float(rows[0][0]) if rows else None


def snapshots(home: Home) -> list[Snapshot]:
    """Every snapshot that the standing version holds, oldest first."""
    with open_standing(home) as con:
        if con is None:
            return []
        rows = con.execute(
            "select as_of_date, max(publication_id), count(*) from cvm.customer_value_history "
            "group by as_of_date order by as_of_date"
        ).fetchall()
    return [Snapshot(*row) for row in rows]


def read_manifest(folder: Path) -> dict[str, object]:
    """What a candidate or version folder says of itself. Raises `WarehouseError` where it is no such folder."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise WarehouseError(f"{folder} holds no readable {MANIFEST}: it is no version. Remove it.") from error
    return dict(content)


def contract_of(folder: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """The contract that a version's readers rely on: its number, and schema.table -> column -> SQL type.

    Raises `WarehouseError` where the folder does not say.
    """
    manifest: dict[str, Any] = read_manifest(folder)
    if "contract" not in manifest:
        raise WarehouseError(f"{folder} does not say which contract it keeps: it is of an older cvm. Begin a new home.")
    return manifest["contract_version"], manifest["contract"]


def mark_standing(home: Home) -> Path | None:
    """The folder of the version that readers see, marked as such where a run was killed between the swap and the mark."""
    current = standing(home)
    if current is not None and stood_since(current) is None:
        mark_stood(current, datetime.fromtimestamp(home.current.lstat().st_mtime, UTC))
    return current


def tidy(home: Home, spare: str = "") -> None:
    """Remove what dead runs left: candidates (but `spare`), half-removed folders, versions that never stood.

    Only under the run lock: it takes every other candidate for a dead run's.
    """
    if not home.versions.is_dir():
        return
    settle(home)
    for folder in (home.warehouse, home.gate, *home.versions.iterdir()):
        for rest in folder.glob(".*.tmp"):
            rest.unlink()
    mark_standing(home)
    for folder in sorted(home.versions.iterdir()):
        if folder.name.startswith("."):
            if folder.name != f".candidate-{spare}":
                remove_folder(folder)
        elif folder.name != spare and not (folder / STOOD).exists():
            remove_folder(folder)


def retire(home: Home, keep: int) -> None:
    """Keep the standing version and those that stood last before it, `keep` in all.

    By when they stood, not by their ids: after a rollback the newest is not the one that readers were just on.
    """
    current = standing(home)
    others = [folder for folder in _folders(home) if current is None or folder.name != current.name]
    others.sort(key=lambda folder: stood_since(folder) or datetime.min.replace(tzinfo=UTC), reverse=True)
    for folder in others[keep - (current is not None) :]:
        remove_folder(folder)


def kept_ids(home: Home) -> list[str]:
    """The ids of the versions that are kept, oldest first."""
    return [folder.name for folder in _folders(home)]


def _folders(home: Home) -> list[Path]:
    if not home.versions.is_dir():
        return []
    return [folder for folder in sorted(home.versions.iterdir()) if _ID.fullmatch(folder.name)]
