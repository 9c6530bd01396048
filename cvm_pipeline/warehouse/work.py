"""The work warehouse: one run's DuckDB file, read and written in bounded memory.

Belongs here: the connection and its settings, reading and writing tables by Arrow batches.
Not here: any table's columns (`domain/contracts/`, `sources/`, dbt), or what readers see (`publication.py`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import engine_errors_explained, errors_explained
from cvm_pipeline.warehouse.files import make_folder

# A file made by DuckDB 2.0's defaults can't be opened by clients before 1.5, which BI tools still carry.
STORAGE_VERSION = "v1.2.0"
SCHEMAS = ("clean", "staging", "intermediate", "marts", "value", "segments", "candidate")
BATCH_ROWS = 100_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class EngineSettings:
    """What DuckDB may use: `memory_limit` as DuckDB writes it ('2GB'), `threads`; None leaves DuckDB's default."""

    memory_limit: str | None = None
    threads: int | None = None


def duckdb_config(home: Home, settings: EngineSettings) -> dict[str, Any]:
    """The options of every writing connection; loading extensions from the network is off."""
    config: dict[str, Any] = {
        "storage_compatibility_version": STORAGE_VERSION,
        "temp_directory": str(home.scratch),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
    }
    if settings.memory_limit is not None:
        config["memory_limit"] = settings.memory_limit
    if settings.threads is not None:
        config["threads"] = settings.threads
    return config


@contextmanager
def connect(home: Home, settings: EngineSettings | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the work file for writing, with its schemas made; closed when the block ends.

    Instants are read and written in UTC. Raises `WarehouseError` where the folder can't be written, the disk or the
    memory is full, or another process has the file open.
    """
    path = home.work_file
    with errors_explained("opening the work warehouse", path):
        # The work file holds names and addresses: only its owner may look.
        make_folder(path.parent, 0o700)
        home.scratch.mkdir(parents=True, exist_ok=True)
        con = duckdb.connect(str(path), config=duckdb_config(home, settings or EngineSettings()))
    try:
        with engine_errors_explained("working in the work warehouse", path):
            con.execute("set TimeZone = 'UTC'")
            for schema in SCHEMAS:
                con.execute(f"create schema if not exists {schema}")
            yield con
    finally:
        con.close()


@contextmanager
def looking_in(home: Home) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """A read-only connection to the work file; None where there is none, or where a run is writing it."""
    if not home.work_file.exists():
        yield None
        return
    try:
        con = duckdb.connect(str(home.work_file), read_only=True)
    except duckdb.IOException:
        # Another process has it open.
        yield None
        return
    try:
        with engine_errors_explained("reading the work warehouse", home.work_file):
            yield con
    finally:
        con.close()


def read_batches(
    con: duckdb.DuckDBPyConnection, sql: str, rows: int = BATCH_ROWS, params: Sequence[Any] | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream a query's result in batches of at most about `rows` rows; money arrives as decimal128.

    Runs on a cursor of its own, so that `con` can be used meanwhile: it sees committed rows only, no temporary table.
    """
    cursor = con.cursor()
    try:
        # `execute(...)` would make a second copy of every row (DuckDB 2.0 warns so).
        relation = cursor.sql(sql, params=params) if params else cursor.sql(sql)
        if relation is None:
            raise ValueError(f"not a query: {sql}")
        yield from relation.to_arrow_reader(rows)
    finally:
        cursor.close()


def read_table(con: duckdb.DuckDBPyConnection, sql: str, params: Sequence[Any] | None = None) -> pa.Table:
    """A query's whole result, for results known to be small."""
    relation = con.sql(sql, params=params) if params else con.sql(sql)
    if relation is None:
        raise ValueError(f"not a query: {sql}")
    return relation.to_arrow_table()


def write_table(con: duckdb.DuckDBPyConnection, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Replace `schema.table` by the batches, in bounded memory and one transaction; returns the rows written.

    The batches are spooled through a Parquet file in the connection's temp_directory: what they are read from may be
    the very table that they replace. Raises `ValueError` for a name that is not `schema.table` and `WarehouseError`
    where the disk is full; the table is then as it was.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a `schema.table`: {name!r}")
    spool = _scratch_of(con) / f"spool-{uuid.uuid4().hex}.parquet"
    rows = 0
    try:
        with errors_explained(f"writing {name}", spool):
            spool.parent.mkdir(parents=True, exist_ok=True)
            writer = pq.ParquetWriter(spool, schema, compression="zstd")
        try:
            for batch in batches:
                with errors_explained(f"writing {name}", spool):
                    writer.write_batch(batch)
                rows += batch.num_rows
        finally:
            with errors_explained(f"writing {name}", spool):
                writer.close()
        with engine_errors_explained(f"writing {name}", spool):
            # One statement is one transaction: a crash leaves the earlier table.
            con.execute(f"create or replace table {name} as select * from read_parquet(?)", [str(spool)])
    finally:
        spool.unlink(missing_ok=True)
    return rows


def _scratch_of(con: duckdb.DuckDBPyConnection) -> Path:
    row = con.execute("select current_setting('temp_directory')").fetchone()
    return Path(row[0]) if row and row[0] else Path.cwd()
