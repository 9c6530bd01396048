"""Traces: which files below a folder still hold given values. The proof of an erasure, and a tool for doubt.

Belongs here: reading every kind of file that a home holds. Not here: erasing anything.

A value is found wherever it stands, a word (an id) only as a whole: `cust-1` is not in `cust-10` nor in `cust-1-b`.
Every file is read as bytes. A column store compresses its text, so that Parquet files are read by value, DuckDB files by
every table's text columns, and SQLite files by both: a long text is torn over its pages.
"""

from __future__ import annotations

import re
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


def traces(home: Home, values: Sequence[str], leave_out: Iterable[Path] = (), words: Sequence[str] = ()) -> list[Path]:
    """Every file of the home that holds any of the values or words, in order; `leave_out` are files that are known to."""
    known = set(leave_out)
    alternatives = [re.escape(value) for value in values if value]
    whole = "|".join(re.escape(word) for word in words if word)
    if whole:
        # In the dialect of RE2, which knows no look-behind.
        alternatives.append(rf"(?:^|[^\w-])(?:{whole})(?:[^\w-]|$)")
    if not alternatives:
        return []
    literals = [each.encode() for each in (*values, *words) if each]
    pattern = "|".join(alternatives)
    return [path for path in sorted(_files(home.root)) if path not in known and _holds(path, literals, pattern)]


def _files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _holds(path: Path, literals: Sequence[bytes], pattern: str) -> bool:
    if _in_bytes(path, literals, re.compile(pattern.encode())):
        return True
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == _PARQUET:
        return _in_parquet(path, pattern)
    if head[8:12] == _DUCKDB:
        return _in_duckdb(path, pattern)
    return head == _SQLITE and _in_sqlite(path, pattern)


def _in_bytes(path: Path, literals: Sequence[bytes], pattern: re.Pattern[bytes]) -> bool:
    longest = max(map(len, literals)) + 2
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            window = tail + chunk
            # A search for bytes is some hundred times faster than a pattern: few files hold any.
            if any(literal in window for literal in literals) and pattern.search(window):
                return True
            tail = window[-longest:]
    return False


def _in_parquet(path: Path, pattern: str) -> bool:
    with pq.ParquetFile(path) as file:
        texts = [
            field.name
            for field in file.schema_arrow
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        for batch in file.iter_batches(columns=texts) if texts else ():
            if any(pc.any(pc.match_substring_regex(column, pattern)).as_py() for column in batch.columns):
                return True
    return False


def _in_duckdb(path: Path, pattern: str) -> bool:
    with duckdb.connect() as con:
        con.execute(f"attach {literal(str(path))} as scanned (read_only)")
        columns = con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where database_name = 'scanned' and not internal"
        ).fetchall()
        for schema, table, column in columns:
            where = f"scanned.{quoted(schema)}.{quoted(table)}"
            wanted = f"regexp_matches(cast({quoted(column)} as varchar), {literal(pattern)})"
            if con.execute(f"select 1 from {where} where {wanted} limit 1").fetchall():
                return True
    return False


def _in_sqlite(path: Path, pattern: str) -> bool:
    compiled = re.compile(pattern)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as con:
        con.create_function("matches", 1, lambda value: isinstance(value, str) and bool(compiled.search(value)))
        for (table,) in con.execute("select name from sqlite_master where type = 'table'").fetchall():
            columns = [row[1] for row in con.execute(f"pragma table_info({quoted(table)})").fetchall()]
            wanted = " or ".join(f"matches({quoted(column)})" for column in columns)
            if con.execute(f"select 1 from {quoted(table)} where {wanted} limit 1").fetchall():
                return True
    return False
