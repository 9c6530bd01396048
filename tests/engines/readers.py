"""How an analyst reads a table in each place where publications are met: rows as Python values, in one order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import duckdb
from postgres_server import ask

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES, Table

Rows = list[tuple[Any, ...]]


class Reader(Protocol):
    """One way to read."""

    def rows(self, table: Table) -> Rows:
        """Every row that a reader of the table sees, in the order of all its columns."""


class DuckDBReader:
    """By the home's own files."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def rows(self, table: Table) -> Rows:
        file = self._home.published_pii_file if table.schema == "cvm_pii" else self._home.published_file
        if not file.exists():
            return []
        with duckdb.connect(str(file.resolve()), read_only=True) as con:
            return ordered(con.execute(f"select * from {table.schema}.{table.name}").fetchall())


class PostgresReader:
    """By a view in PostgreSQL, as an administrator."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def rows(self, table: Table) -> Rows:
        there = ask(self._dsn, "select to_regclass(%s) is not null", f"{table.schema}.{table.name}")
        return ordered(ask(self._dsn, f"select * from {table.schema}.{table.name}")) if there[0][0] else []


class ParquetReader:
    """By the files that the manifest names."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def rows(self, table: Table) -> Rows:
        if not (self._root / "current.json").exists():
            return []
        manifest = json.loads((self._root / "current.json").read_text())
        files = [str(self._root / file) for file in manifest["tables"][table.name]["files"]]
        columns = ", ".join(f'"{name}"' for name in table.names)
        with duckdb.connect() as con:
            con.execute("set TimeZone = 'UTC'")
            query = f"select {columns} from read_parquet(?, union_by_name = true, hive_partitioning = false)"
            return ordered(con.execute(query, [files]).fetchall())


def ordered(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: tuple(("" if value is None else str(value)) for value in row))


def seen(reader: Reader) -> str | None:
    """The one publication that readers see in every table that is written whole; None where there is none yet."""
    found: set[str] = set()
    for table in TABLES:
        if table.writing in ("newest", "state"):
            rows = reader.rows(table)
            found.update(row[table.names.index("publication_id")] for row in rows)
            assert rows or not found, f"{table.name} is empty while others are not"
    assert len(found) <= 1, found
    return found.pop() if found else None
