"""What published snapshots said of customers' states, for those that come after.

Belongs here: small reads of the standing version by date. Not here: which dates, and what is made of the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.warehouse.versions import open_standing


def published_moves(home: Home, name: str, dates: Sequence[date]) -> pa.Table:
    """from, to, customers of a transition table at these snapshots; no rows where a version before contract 1.2 stands."""
    empty = pa.table(
        {"from": pa.array([], pa.string()), "to": pa.array([], pa.string()), "customers": pa.array([], pa.int64())}
    )
    with open_standing(home) as con:
        if con is None or not dates:
            return empty
        there = con.execute(
            "select 1 from duckdb_tables() where database_name = current_database() and schema_name = 'cvm' and table_name = ?",
            [name],
        ).fetchall()
        if not there:
            return empty
        return con.sql(
            f"""select "from", "to", customers from cvm.{quoted(name)} where list_contains(?::date[], as_of_date)
                order by as_of_date, "from", "to" """,
            params=[list(dates)],
        ).to_arrow_table()  # fmt: skip


def published_parameters(home: Home, as_of_date: date, scheme: str) -> dict[str, float]:
    """segment_parameter of one scheme and snapshot; empty where there is none."""
    with open_standing(home) as con:
        if con is None:
            return {}
        rows = con.execute(
            "select parameter, value from cvm.segment_parameter where as_of_date = ? and scheme = ?",
            [as_of_date, scheme],
        ).fetchall()
    return {name: float(value) for name, value in rows}


def published_states(home: Home, as_of_date: date, column: str) -> pa.Table:
    """customer_id and state (a column of customer_value) of who was not excluded then; no rows where none was published."""
    with open_standing(home) as con:
        if con is None:
            return pa.table({"customer_id": pa.array([], pa.string()), "state": pa.array([], pa.string())})
        return con.sql(
            f"""select customer_id, {quoted(column)} as state from cvm.customer_value_history
                where as_of_date = ? and not is_excluded and {quoted(column)} is not null""",
            params=[as_of_date],
        ).to_arrow_table()
