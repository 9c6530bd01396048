"""What a run hands over for publication, held against the contract before anything is written.

Belongs here: presence, columns, snapshot and lossless types of the work file's `candidate.<table>` tables.
Not here: their values (the gate's suites), and what is done with them (`candidate.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import duckdb

from cvm_pipeline.domain.contracts import CUSTOMER_VALUE, CUSTOMER_VALUE_HISTORY, Table
from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.warehouse.errors import WarehouseError

# Tables that have no candidate of their own.
FED_BY = {CUSTOMER_VALUE_HISTORY.name: CUSTOMER_VALUE.name}

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def check_incoming(con: duckdb.DuckDBPyConnection, tables: Sequence[Table], as_of_date: date) -> None:
    """Hold `work.candidate` (attached) against the contract of `tables`.

    Raises `WarehouseError` with every table or column that is missing, every column whose type would lose digits or a
    time of day on the way, and every snapshot table with a row of another date than `as_of_date`.
    """
    problems = [problem for table in tables for problem in _problems(con, table, as_of_date)]
    if problems:
        raise WarehouseError(
            "the run's candidate tables do not meet the contract: " + "; ".join(problems) + ". Nothing was published."
        )


def _problems(con: duckdb.DuckDBPyConnection, table: Table, as_of_date: date) -> list[str]:
    source = FED_BY.get(table.name, table.name)
    found = dict(
        con.execute(
            "select column_name, data_type from duckdb_columns() "
            "where database_name = 'work' and schema_name = 'candidate' and table_name = ?",
            [source],
        ).fetchall()
    )
    if not found:
        return [f"candidate.{source} is missing"]
    wanted = [column for column in table.columns if column.name != "publication_id"]
    missing = [column.name for column in wanted if column.name not in found]
    problems = [f"candidate.{source} lacks {', '.join(missing)}"] if missing else []
    problems += [
        f"candidate.{source}.{column.name} is {found[column.name]}, which would lose digits as {column.type}"
        for column in wanted
        if column.name in found and _loses(found[column.name], column.type.upper())
    ]
    if "as_of_date" in found and "as_of_date" in table.names:
        row = con.execute(
            f"select count(*) from work.candidate.{quoted(source)} where as_of_date is distinct from ?", [as_of_date]
        ).fetchone()
        if row and row[0]:
            problems.append(f"candidate.{source} holds {row[0]} rows of another snapshot than {as_of_date}")
    return problems


def _loses(have: str, want: str) -> bool:
    """Whether a cast from `have` to `want` (DuckDB's type names) could round; other casts raise where they can't."""
    decimal = _DECIMAL.fullmatch(want)
    scale = int(decimal.group(2)) if decimal else 0 if want in _WHOLE else None
    if scale is not None:
        given = _DECIMAL.fullmatch(have)
        return have in ("DOUBLE", "FLOAT") or (given is not None and int(given.group(2)) > scale)
    return want == "DATE" and have.startswith("TIMESTAMP")
