"""Names and values in SQL, and the first row of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as an SQL literal, whatever it holds."""
    return "'" + value.replace("'", "''") + "'"


def first_row(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """The first row, or None. All is fetched: DuckDB 2.0 refuses other work while a result is unfinished."""
    rows = con.execute(sql, list(parameters)).fetchall()
    return rows[0] if rows else None
