"""Which rows of a table are the last publication's: those that this candidate's rows are compared with.

Belongs here: finding and attaching them. Not here: what is computed of them (`quality/last_publication.py`).

Of a table with snapshots, the newest snapshot earlier than the candidate's, which the candidate carries along itself; of any
other, the rows that stand; of stays, those that last.
"""

from __future__ import annotations

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import Table
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.tables import PRIVATE_SCHEMA
from cvm_pipeline.warehouse.candidate import Candidate
from cvm_pipeline.warehouse.ddl import qualified
from cvm_pipeline.warehouse.versions import PII_FILE, WAREHOUSE_FILE

_STANDING, _STANDING_PII = "standing", "standing_pii"


def attach_standing(con: duckdb.DuckDBPyConnection, home: Home, candidate: Candidate) -> None:
    """Attach the version that the candidate was built on; nothing where it is the first."""
    if not candidate.built_on:
        return
    folder = home.versions / candidate.built_on
    for catalog, file in ((_STANDING, WAREHOUSE_FILE), (_STANDING_PII, PII_FILE)):
        if (folder / file).is_file():
            con.execute(f"attach {literal(str(folder / file))} as {catalog} (read_only)")


def rows_of_last_publication(con: duckdb.DuckDBPyConnection, table: Table, candidate: Candidate) -> DuckTable | None:
    """The table's rows of the last publication; None where there was none, or none with this table.

    `con` has the candidate open, and what it was built on attached. Raises duckdb.Error.
    """
    if table.writing == "snapshot":
        relation = qualified(table, "warehouse")
        earlier = f"(select max(as_of_date) from {relation} where as_of_date < $as_of)"
        return DuckTable(con, relation, f"as_of_date = {earlier}", {"as_of": candidate.as_of_date})
    catalog = _STANDING_PII if table.schema == PRIVATE_SCHEMA else _STANDING
    there = con.execute(
        "select 1 from duckdb_tables() where database_name = ? and schema_name = ? and table_name = ?",
        [catalog, table.schema, table.name],
    ).fetchall()
    if not there:
        return None
    if table.writing == "stays":
        return DuckTable(con, qualified(table, catalog), "valid_to is null")
    return DuckTable(con, qualified(table, catalog))
