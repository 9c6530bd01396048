"""What every target can do, and the parts that a version consists of.

Belongs here: the protocol, and reading a version's parts. Not here: any engine's own words.

A *part* is all rows of one table that one publication wrote: each row's `publication_id` says which. A publication writes
a part once and never changes it (but to erase a person), so that a version is a list of parts, and bringing the next version costs its new parts
alone, however long the history is. Stays that last are a part of their own: the next publication writes all of them anew,
and the stays that ended stay where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from cvm_pipeline.domain.contracts import TABLES, Table
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.domain.sql_text import literal, quoted
from cvm_pipeline.warehouse.errors import engine_errors_explained
from cvm_pipeline.warehouse.versions import PII_FILE, WAREHOUSE_FILE, read_manifest

# What one batch on its way holds in memory: about 100 MB of the widest table.
BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Part:
    """The rows of `table` that `written_by` (a publication) wrote; `as_of_date` their snapshot, where the table has any.

    `is_open`: whether they are stays that last; None where the table holds no stays.
    """

    table: Table
    written_by: str
    rows: int
    as_of_date: date | None = None
    is_open: bool | None = None

    @property
    def key(self) -> str:
        """What tells it from the other parts of its table: the value of `key_of_rows`."""
        return f"{self.written_by}-open" if self.is_open else self.written_by


@dataclass(frozen=True)
class Version:
    """A version's files, open for reading, and the parts that it is the sum of."""

    publication_id: str
    as_of_date: str
    parts: tuple[Part, ...]
    con: duckdb.DuckDBPyConnection

    def rows_of(self, parts: Sequence[Part]) -> pa.RecordBatchReader:
        """The rows of some parts of one table, in the contract's order of columns, batch by batch."""
        table = parts[0].table
        columns = ", ".join(quoted(name) for name in table.names)
        keys = ", ".join(literal(key) for key in sorted(part.key for part in parts))
        relation = self.con.sql(
            f"select {columns} from {_relation(table)} where {key_of_rows(table)} in ({keys}) order by {_order(table)}"
        )
        return relation.to_arrow_reader(BATCH_ROWS)

    def schema_of(self, table: Table) -> pa.Schema:
        """The types of a table's rows in Arrow, as `rows_of` gives them."""
        columns = ", ".join(quoted(name) for name in table.names)
        return self.con.sql(f"select {columns} from {_relation(table)} limit 0").to_arrow_reader(1).schema


def key_of_rows(table: Table) -> str:
    """The part that a row belongs to, as SQL that every target understands."""
    if table.writing == "stays":
        return "case when valid_to is null then publication_id || '-open' else publication_id end"
    return "publication_id"


class Session(Protocol):
    """A target, held by one publication: nobody else publishes to it meanwhile."""

    def shown(self) -> str | None:
        """The publication that its readers see; None before the first."""

    def bring(self, version: Version) -> None:
        """Bring what the version needs and is not there yet; readers see nothing of it. Safe to repeat."""

    def show(self, publication_id: str) -> None:
        """Let readers see a version that was brought: all its tables, in one atomic step."""

    def retire(self, kept: Collection[str]) -> None:
        """Remove every version but these, and what belonged to no other."""

    def erase(self, customer_ids: Collection[str], redaction: Redaction) -> int:
        """Remove the customers' rows from every version, in one step for readers; returns the rows. Safe to repeat."""


class Target(Protocol):
    """A place beside the home's own files where readers meet publications."""

    @property
    def name(self) -> str:
        """How messages call it. Never holds a secret."""

    def shown(self) -> str | None:
        """The publication that readers see, asked without holding the target: a publication may go on meanwhile."""

    def session(self, purpose: str) -> AbstractContextManager[Session]:
        """Hold the target. Raises `LockHeld` that names who else does, `TargetUnreachable`, `WarehouseError`."""


@contextmanager
def open_version(folder: Path) -> Iterator[Version]:
    """A candidate's or version's files for reading, with its parts."""
    manifest = read_manifest(folder)
    with engine_errors_explained("opening a version", folder):
        con = duckdb.connect(str(folder / WAREHOUSE_FILE), read_only=True)
    try:
        with engine_errors_explained("reading a version", folder):
            con.execute(f"attach {literal(str(folder / PII_FILE))} as pii (read_only)")
            con.execute("set TimeZone = 'UTC'")
            id_ = str(manifest["publication_id"])
            parts = tuple(part for table in TABLES for part in _parts(con, table, id_))
            yield Version(id_, str(manifest["as_of_date"]), parts, con)
    finally:
        con.close()


def _parts(con: duckdb.DuckDBPyConnection, table: Table, publication_id: str) -> list[Part]:
    day = "any_value(as_of_date)" if table.writing == "snapshot" else "null"
    lasts = "any_value(valid_to is null)" if table.writing == "stays" else "null"
    found = con.execute(
        f"select any_value(publication_id), count(*), {day}, {lasts} from {_relation(table)} "
        f"group by {key_of_rows(table)} order by {key_of_rows(table)}"
    ).fetchall()
    # An empty table is a part as well: those who read files need one to learn its columns from.
    return [Part(table, *row) for row in found] or [Part(table, publication_id, 0)]


def _relation(table: Table) -> str:
    schema = "pii.cvm_pii" if table.schema == "cvm_pii" else table.schema
    return f"{schema}.{quoted(table.name)}"


def _order(table: Table) -> str:
    return ", ".join(quoted(name) for name in table.key)
