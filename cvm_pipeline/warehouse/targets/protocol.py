"""What every target can do, and the parts that a version consists of.

Belongs here: the protocol, and reading a version's parts. Not here: any engine's own words.

A *part* is all rows of one table that one publication wrote: each row's `publication_id` says which. A publication writes
a part once and never changes it (but to erase a person), so that a version is a list of parts, and bringing the next version costs its new parts
alone, however long the history is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
    """The rows of `table` that `written_by` (a publication) wrote; `as_of_date` their snapshot, where the table has any."""

    table: Table
    written_by: str
    rows: int
    as_of_date: date | None


@dataclass(frozen=True)
class Version:
    """A version's files, open for reading, and the parts that it is the sum of."""

    publication_id: str
    as_of_date: str
    parts: tuple[Part, ...]
    con: duckdb.DuckDBPyConnection

    def rows_of(self, table: Table, written_by: Collection[str]) -> pa.RecordBatchReader:
        """The rows of some parts of a table, in the contract's order of columns, batch by batch."""
        columns = ", ".join(quoted(name) for name in table.names)
        writers = ", ".join(literal(id_) for id_ in sorted(written_by))
        relation = self.con.sql(
            f"select {columns} from {_relation(table)} where publication_id in ({writers}) order by {_order(table)}"
        )
        return relation.to_arrow_reader(BATCH_ROWS)


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
    found = con.execute(
        f"select publication_id, count(*), {day} from {_relation(table)} group by 1 order by 1"
    ).fetchall()
    # An empty table is a part as well: those who read files need one to learn its columns from.
    return [Part(table, *row) for row in found] or [Part(table, publication_id, 0, None)]


def _relation(table: Table) -> str:
    schema = "pii.cvm_pii" if table.schema == "cvm_pii" else table.schema
    return f"{schema}.{quoted(table.name)}"


def _order(table: Table) -> str:
    return ", ".join(quoted(name) for name in table.key)
