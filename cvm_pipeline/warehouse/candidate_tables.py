"""The tables inside a candidate's two files: made, brought to today's contract, and written.

Belongs here: what the contract's `writing` does to a table, on a connection with the catalogs `warehouse`, `pii`, `work`.
Not here: files and folders (`candidate.py`), definitions (`ddl.py`), what may come in (`incoming.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import duckdb

from cvm_pipeline.domain.contracts import CUSTOMER_VALUE_HISTORY, Table
from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.warehouse.ddl import comment_sql, create_table_sql, qualified
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.incoming import FED_BY

_INSERT_ROWS = 500


def catalog_of(table: Table) -> str:
    """The catalog that holds the table: direct identifiers have a file of their own."""
    return "pii" if table.schema == "cvm_pii" else "warehouse"


def target(table: Table) -> str:
    """The table's full quoted name."""
    return qualified(table, catalog_of(table))


def recreate(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Make the table anew and empty, as the contract says today."""
    con.execute(f"create schema if not exists {quoted(catalog_of(table))}.{quoted(table.schema)}")
    _in_one_transaction(con, [create_table_sql(table, catalog_of(table)), *comment_sql(table, catalog_of(table))])


def bring_to_contract(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Make the table where it is absent; where an earlier contract made it, carry its rows into today's columns.

    Raises `WarehouseError` where today's contract asks of the standing rows what they can't give.
    """
    stands = con.execute(
        "select column_name, data_type, is_nullable from duckdb_columns() "
        "where database_name = ? and schema_name = ? and table_name = ? order by column_index",
        [catalog_of(table), table.schema, table.name],
    ).fetchall()
    if not stands:
        recreate(con, table)
        return
    # DuckDB's own spelling of the contract's types: decimal(18,4) is DECIMAL(18,4) there.
    spelled = con.execute(f"describe select {', '.join(f'null::{c.type}' for c in table.columns)}").fetchall()
    wanted = [(c.name, row[1], c.nullable) for c, row in zip(table.columns, spelled, strict=True)]
    if stands == wanted:
        _in_one_transaction(con, comment_sql(table, catalog_of(table)))
        return
    shared = ", ".join(quoted(row[0]) for row in stands if row[0] in table.names)
    con.execute(f"create or replace temp table carried as select {shared or '1 as nothing'} from {target(table)}")
    recreate(con, table)
    if shared:
        try:
            con.execute(f"insert into {target(table)} by name select * from carried")
        except (duckdb.ConstraintException, duckdb.ConversionException) as error:
            raise WarehouseError(
                f"the published rows of {table.name} do not fit today's contract: {str(error).splitlines()[0]}. "
                "A new column must allow nulls, and a changed type must hold what is there. Nothing was published."
            ) from error
    con.execute("drop table carried")


def newest_snapshot(con: duckdb.DuckDBPyConnection) -> list[date]:
    """The newest snapshot that the standing version holds, in a list; empty where there is none."""
    row = con.execute(f"select max(as_of_date) from {target(CUSTOMER_VALUE_HISTORY)}").fetchone()
    return [row[0]] if row and row[0] is not None else []


def apply_incoming(con: duckdb.DuckDBPyConnection, table: Table, as_of_date: date, publication_id: str) -> int:
    """Write the run's candidate table as the contract's `writing` says; returns the rows written.

    Raises `WarehouseError` where a row breaks a not-null constraint or a type.
    """
    if table.writing in ("newest", "state"):
        recreate(con, table)
    elif table.writing == "snapshot":
        con.execute(f"delete from {target(table)} where as_of_date = ?", [as_of_date])
    elif table.writing == "stays":
        con.execute(f"delete from {target(table)} where valid_to is null or valid_to >= ?", [as_of_date])
    names = ", ".join(quoted(name) for name in table.names)
    values = ", ".join(
        f"{'?' if column.name == 'publication_id' else quoted(column.name)}::{column.type}" for column in table.columns
    )
    source = f"work.candidate.{quoted(FED_BY.get(table.name, table.name))}"
    try:
        result = con.execute(
            f"insert into {target(table)} ({names}) select {values} from {source}", [publication_id]
        ).fetchone()
    except (duckdb.ConstraintException, duckdb.ConversionException) as error:
        # The engine's message may quote a value.
        said = type(error).__name__ if catalog_of(table) == "pii" else str(error).splitlines()[0]
        raise WarehouseError(
            f"{table.name} of the candidate breaks the contract: {said}. Nothing was published."
        ) from error
    return int(result[0]) if result else 0


def insert_rows(con: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert a few rows given in Python; other keys than the contract's columns are left out."""
    names = ", ".join(quoted(name) for name in table.names)
    one = "(" + ", ".join(f"?::{column.type}" for column in table.columns) + ")"
    for start in range(0, len(rows), _INSERT_ROWS):
        part = rows[start : start + _INSERT_ROWS]
        con.execute(
            f"insert into {target(table)} ({names}) values {', '.join([one] * len(part))}",
            [row[name] for row in part for name in table.names],
        )
    return len(rows)


def _in_one_transaction(con: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    # Each commit waits for the disk: 250 comments one by one took 1.0 s.
    con.execute("begin")
    for statement in statements:
        con.execute(statement)
    con.execute("commit")
