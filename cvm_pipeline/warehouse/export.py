"""One published table as a file that a spreadsheet can open without harm.

Belongs here: the formats, neutralising text that a spreadsheet would run as a formula, the atomic write.
Not here: what the tables hold (`domain/contracts/`), reports.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES, Table
from cvm_pipeline.domain.contracts import table as contract_table
from cvm_pipeline.domain.sql_text import literal, quoted
from cvm_pipeline.warehouse.ddl import qualified
from cvm_pipeline.warehouse.errors import WarehouseError, engine_errors_explained, errors_explained
from cvm_pipeline.warehouse.files import sync
from cvm_pipeline.warehouse.versions import PII_FILE, WAREHOUSE_FILE, standing

XLSX_ROWS = 1_048_576
_FETCH = 10_000


def export(home: Home, table: str, to: Path) -> int:
    """Write a published table to a .csv, .xlsx or .parquet file and return its rows.

    In csv and xlsx a text that begins with = + - @, tab or carriage return gets a leading '; numbers, dates and Parquet
    are as published. `to` is replaced in one step; with direct identifiers (`customer_pii`) only its owner may read it.
    Raises `WarehouseError` for an unknown table or ending, for more rows than a sheet holds (1,048,575), and before the
    first publication.
    """
    contract = _known(table)
    write = _WRITERS.get(to.suffix.lower())
    if write is None:
        raise WarehouseError(f"can't write {to.name}: the name must end in {', '.join(_WRITERS)}.")
    folder = standing(home)
    if folder is None:
        raise WarehouseError(f"nothing is published in {home.root} yet. Run `cvm run` first.")
    is_pii = contract.schema == "cvm_pii"
    file = folder / (PII_FILE if is_pii else WAREHOUSE_FILE)
    spare = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    with engine_errors_explained("opening the published warehouse", file):
        con = duckdb.connect(str(file), read_only=True)
    try:
        with errors_explained(f"exporting {table}", to):
            os.close(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if is_pii else 0o666))
            mode = spare.stat().st_mode
            rows = write(con, contract, spare)
            # DuckDB may put a new file in place of the one that was made for it.
            spare.chmod(mode)
            sync(spare)
            spare.replace(to)
            sync(to.parent)
        return rows
    finally:
        con.close()
        spare.unlink(missing_ok=True)


def _known(name: str) -> Table:
    try:
        return contract_table(name)
    except KeyError as error:
        names = [table.name for table in TABLES]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names)}."
        raise WarehouseError(f"there is no published table {name!r}. {hint}") from error


def _select(table: Table, neutral: bool) -> str:
    columns = []
    for column in table.columns:
        name = quoted(column.name)
        if neutral and column.type == "varchar":
            # chr(9) is the tab, chr(13) the carriage return.
            risky = f"{name}[1] in ('=', '+', '-', '@', chr(9), chr(13))"
            columns.append(f"case when {risky} then '''' || {name} else {name} end as {name}")
        else:
            columns.append(name)
    order = ", ".join(quoted(name) for name in table.key)
    return f"select {', '.join(columns)} from {qualified(table)} order by {order}"


def _count(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    row = con.execute(f"select count(*) from {qualified(table)}").fetchone()
    return int(row[0]) if row else 0


def _write_csv(con: duckdb.DuckDBPyConnection, table: Table, to: Path) -> int:
    con.execute(f"copy ({_select(table, True)}) to {literal(str(to))} (format csv, header true)")
    return _count(con, table)


def _write_parquet(con: duckdb.DuckDBPyConnection, table: Table, to: Path) -> int:
    con.execute(f"copy ({_select(table, False)}) to {literal(str(to))} (format parquet, compression zstd)")
    return _count(con, table)


def _write_xlsx(con: duckdb.DuckDBPyConnection, table: Table, to: Path) -> int:
    import openpyxl
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    rows = _count(con, table)
    if rows >= XLSX_ROWS:
        raise WarehouseError(
            f"{table.name} has {rows:,} rows; an xlsx sheet holds {XLSX_ROWS - 1:,}. Export to csv or parquet."
        )
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(table.name)
    sheet.append(list(table.names))
    con.execute(_select(table, True))
    while part := con.fetchmany(_FETCH):
        for row in part:
            # A sheet can't hold control characters at all.
            sheet.append([ILLEGAL_CHARACTERS_RE.sub("", cell) if isinstance(cell, str) else cell for cell in row])
    book.save(to)
    return rows


_WRITERS: dict[str, Callable[[duckdb.DuckDBPyConnection, Table, Path], int]] = {
    ".csv": _write_csv,
    ".xlsx": _write_xlsx,
    ".parquet": _write_parquet,
}
