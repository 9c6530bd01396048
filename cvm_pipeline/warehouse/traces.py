"""Traces: which files below a folder still hold given values. The proof of an erasure, and a tool for doubt.

Belongs here: reading every kind of file that a home holds. Not here: erasing anything.

Every file is read as bytes. A column store compresses its text, so that Parquet files are read by value, DuckDB files by
every table's text columns, and SQLite files by both: a long text is torn over its pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.sql_text import literal, quoted

_CHUNK = 1 << 22
_DUCKDB, _PARQUET, _SQLITE = b"DUCK", b"PAR1", b"SQLite format 3\0"


def traces(home: Home, values: Sequence[str], leave_out: Iterable[Path] = ()) -> list[Path]:
    """Every file of the home that holds any of the values, in order; `leave_out` are files that are known to."""
    known = set(leave_out)
    wanted = [value for value in values if value]
    return [path for path in sorted(_files(home.root)) if path not in known and _holds(path, wanted)]


def _files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _holds(path: Path, values: Sequence[str]) -> bool:
    if not values:
        return False
    if _in_bytes(path, [value.encode() for value in values]):
        return True
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == _PARQUET:
        return _in_parquet(path, values)
    if head[8:12] == _DUCKDB:
        return _in_duckdb(path, values)
    return head == _SQLITE and _in_sqlite(path, values)


def _in_bytes(path: Path, values: Sequence[bytes]) -> bool:
    overlap = max(map(len, values)) - 1
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if any(value in tail + chunk for value in values):
                return True
            tail = (tail + chunk)[-overlap:] if overlap else b""
    return False


def _in_parquet(path: Path, values: Sequence[str]) -> bool:
    with pq.ParquetFile(path) as file:
        texts = [
            field.name
            for field in file.schema_arrow
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        for batch in file.iter_batches(columns=texts) if texts else ():
            for column in batch.columns:
                if any(pc.any(pc.match_substring(column, value)).as_py() for value in values):
                    return True
    return False


def _in_duckdb(path: Path, values: Sequence[str]) -> bool:
    with duckdb.connect() as con:
        con.execute(f"attach {literal(str(path))} as scanned (read_only)")
        columns = con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where database_name = 'scanned' and not internal"
        ).fetchall()
        for schema, table, column in columns:
            text = f"cast({quoted(column)} as varchar)"
            wanted = " or ".join(f"contains({text}, {literal(value)})" for value in values)
            where = f"scanned.{quoted(schema)}.{quoted(table)}"
            if con.execute(f"select 1 from {where} where {wanted} limit 1").fetchall():
                return True
    return False


def _in_sqlite(path: Path, values: Sequence[str]) -> bool:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as con:
        for (table,) in con.execute("select name from sqlite_master where type = 'table'").fetchall():
            columns = [row[1] for row in con.execute(f"pragma table_info({quoted(table)})").fetchall()]
            wanted = " or ".join(f"instr({quoted(column)}, ?) > 0" for column in columns for _ in values)
            given = [value for _ in columns for value in values]
            if con.execute(f"select 1 from {quoted(table)} where {wanted} limit 1", given).fetchall():
                return True
    return False
