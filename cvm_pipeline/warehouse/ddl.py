"""SQL that defines the published tables, made from the contract.

Belongs here: `create table`, comments, the dictionary's rows.
Not here: any column (`domain/contracts/`), quoting (`domain/sql_text.py`), any connection.

There is no primary key. DuckDB keeps one as an index: replacing a snapshot of 1,000,000 rows by delete and insert took
22.2 s with it and 0.3 s without, and the file was ten times as large (98 MB against 10 MB). Uniqueness is the gate's.
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts import TABLES, Column, Table
from cvm_pipeline.domain.sql_text import literal, quoted


def qualified(table: Table, catalog: str = "") -> str:
    """`schema.table`, or `catalog.schema.table`, quoted."""
    parts = ([catalog] if catalog else []) + [table.schema, table.name]
    return ".".join(quoted(part) for part in parts)


def create_table_sql(table: Table, catalog: str = "") -> str:
    """`create or replace table` with the contract's columns in order, types and not-null constraints."""
    columns = ",\n  ".join(
        f"{quoted(column.name)} {column.type}{'' if column.nullable else ' not null'}" for column in table.columns
    )
    return f"create or replace table {qualified(table, catalog)} (\n  {columns}\n)"


def comment_sql(table: Table, catalog: str = "") -> list[str]:
    """One statement for the table's grain and one for each column's meaning and unit."""
    target = qualified(table, catalog)
    return [f"comment on table {target} is {literal(table.grain)}"] + [
        f"comment on column {target}.{quoted(column.name)} is {literal(meaning(column))}" for column in table.columns
    ]


def meaning(column: Column) -> str:
    """The column's meaning with its unit in brackets, where it has one."""
    return f"{column.meaning} [{column.unit}]" if column.unit else column.meaning


def dictionary_rows(publication_id: str) -> list[dict[str, str]]:
    """The rows of `data_dictionary`: one for each published table and column."""
    return [
        {
            "table": table.name,
            "column": column.name,
            "type": column.type,
            "meaning": column.meaning,
            "unit": column.unit,
            "since": column.since,
            "publication_id": publication_id,
        }
        for table in TABLES
        for column in table.columns
    ]
