"""The models that snapshots were valued with, kept as files under the digest of their bytes.

Belongs here: writing, reading back what a published model card names, and removing what none names any more. Not here: what
of a model is kept (`lifetime_value/valuation.py`), the rows of the card (`lifetime_value/model_card.py`).

A file is one line of JSON (the layout and the libraries that wrote it) and a pickle. A pickle runs what it says: one is read
only where its bytes are those of the digest that a published card holds, by the very versions that wrote it.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.lifetime_value.model_card import ALL, FITTED_MODEL, published_model
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.warehouse.errors import engine_errors_explained, errors_explained
from cvm_pipeline.warehouse.files import write_bytes_atomically
from cvm_pipeline.warehouse.versions import WAREHOUSE_FILE, kept_ids

# Another number: what is kept of a model, or what a formula makes of it, has changed. Older files are then not read.
LAYOUT = 2
_LIBRARIES = ("numpy", "scipy", "scikit-learn")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Kept:
    """Where a fitted model lies: the SHA-256 of the file's bytes, and how many there are."""

    digest: str
    size: int


def keep(home: Home, model: Valuation) -> Kept:
    """Write the model where it is not there yet; only its owner may read it. Raises WarehouseError."""
    content = json.dumps(_written_by(), sort_keys=True).encode() + b"\n" + _pickled(model)
    kept = Kept(hashlib.sha256(content).hexdigest(), len(content))
    path = _path(home, kept.digest)
    with errors_explained("keeping a fitted model", path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() or path.read_bytes() != content:
            write_bytes_atomically(path, content, 0o600)
    return kept


def current(con: duckdb.DuckDBPyConnection, home: Home) -> Valuation:
    """The model that this run's value.clv_model_card names. Raises ValueError where it can't be had."""
    card = con.sql("select cut_date, metric, note from value.clv_model_card").to_arrow_table()
    found = recall(home, published_model(card))
    if isinstance(found, str):
        raise ValueError(f"the model that was fitted in this run can't be read: {found}")
    return found


def recall(home: Home, digest: str | None) -> Valuation | str:
    """The model of that digest, or why it can't be had. Raises WarehouseError where a file that is there can't be read."""
    if digest is None or not _DIGEST.fullmatch(digest):
        return "its model card names no model that was kept"
    path = _path(home, digest)
    with errors_explained("reading a fitted model", path):
        if not path.is_file():
            return f"{path} is missing"
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        return f"{path} is not what was written"
    head, _, body = content.partition(b"\n")
    wrote, reads = json.loads(head), _written_by()
    if wrote != reads:
        differ = ", ".join(
            f"{name} {wrote.get(name)} and not {reads[name]}" for name in reads if wrote.get(name) != reads[name]
        )
        return f"{path} was written by other versions: {differ}"
    model = pickle.loads(body)
    return model if isinstance(model, Valuation) else f"{path} holds no fitted model"


def prune(home: Home, con: duckdb.DuckDBPyConnection) -> list[str]:
    """Remove what neither a card of a kept version nor the work file's own (`con`) names; returns the digests removed."""
    if not home.models.is_dir():
        return []
    named = _named(con, "value.clv_model_card")
    for publication_id in kept_ids(home):
        file = home.versions / publication_id / WAREHOUSE_FILE
        with engine_errors_explained("reading a version", file), duckdb.connect(str(file), read_only=True) as version_:
            named |= _named(version_, "cvm.clv_model_card")
    spare = [path for path in sorted(home.models.glob("*.pickle")) if path.stem not in named]
    with errors_explained("removing fitted models", home.models):
        for path in spare:
            path.unlink()
        for rest in home.models.glob(".*.tmp"):
            rest.unlink()
    return [path.stem for path in spare]


def _named(con: duckdb.DuckDBPyConnection, card: str) -> set[str]:
    schema, table = card.split(".")
    there = "select 1 from duckdb_tables() where schema_name = ? and table_name = ?"
    if not con.execute(there, [schema, table]).fetchall():
        return set()
    rows: Iterable[tuple[str]] = con.execute(
        f"select distinct note from {card} where metric = ? and cut_date = ? and note is not null", [FITTED_MODEL, ALL]
    ).fetchall()
    return {note for (note,) in rows}


def _path(home: Home, digest: str) -> Path:
    return home.models / f"{digest}.pickle"


def _written_by() -> dict[str, str | int]:
    libraries: dict[str, str | int] = {name: version(name) for name in _LIBRARIES}
    return libraries | {"python": ".".join(platform.python_version_tuple()[:2]), "layout": LAYOUT}


def _pickled(model: Valuation) -> bytes:
    """The same bytes for the same numbers: without the memo, which tells whether equal parts happen to be one object."""
    target = io.BytesIO()
    pickler = pickle.Pickler(target, protocol=5)
    pickler.fast = True
    pickler.dump(model)
    return target.getvalue()
