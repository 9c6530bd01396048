"""What earlier snapshots published of early warning: alarms that stand, the newest of each customer, and tests to be judged.

Belongs here: reading the standing version. Not here: what is made of it (`domain/early_warning/`).
Dates are those of earlier snapshots on the grid: what lies off it is no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import duckdb
import pyarrow as pa

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.versions import open_standing
from cvm_pipeline.warehouse.work import BATCH_ROWS

MEMORY_SCHEMA = pa.schema([("customer_id", pa.string()), ("raised_on", pa.date32()), ("lapses_on", pa.date32())])
PAST_SCHEMA = pa.schema(
    [
        ("as_of_date", pa.date32()), ("customer_id", pa.string()), ("window_days", pa.int32()),
        ("expected_transactions", pa.float64()), ("is_testable", pa.bool_()), ("base_index", pa.float64()),
        ("level", pa.string()), ("lead_days", pa.float64()),
    ]
)  # fmt: skip


def newest_alarms(home: Home, dates: Sequence[date]) -> pa.Table:
    """MEMORY_SCHEMA: of each customer the newest alarm raised at one of these snapshots."""
    with open_standing(home) as con:
        if con is None or not dates or not _is_there(con):
            return MEMORY_SCHEMA.empty_table()
        rows = con.sql(
            """select customer_id, max(raised_on) as raised_on, max_by(lapses_on, raised_on) as lapses_on
               from cvm.early_warning where status = 'new' and list_contains(?, as_of_date)
               group by customer_id order by customer_id""",
            params=[list(dates)],
        ).to_arrow_table()
    return rows.cast(MEMORY_SCHEMA)


def alarms_of(home: Home, as_of_date: date) -> pa.Table | None:
    """early_warning of one published snapshot; None where none was published."""
    with open_standing(home) as con:
        if con is None or not _is_there(con):
            return None
        return con.sql(
            "select * from cvm.early_warning where as_of_date = ? order by customer_id", params=[as_of_date]
        ).to_arrow_table()


def past_tests(home: Home, dates: Sequence[date], as_of: date, record_days: int) -> Iterator[pa.RecordBatch]:
    """PAST_SCHEMA: tests of these snapshots whose next window ended within `record_days` up to `as_of`, with the level of
    the alarm (null: none was raised) and the days from it to the first of these snapshots in stage lost (null: none yet, or
    lost already when it was raised: it came too late for a lead).
    """
    with open_standing(home) as con:
        if con is None or not dates or not _is_there(con):
            return
        relation = con.sql(
            """
            with tests as (
              select * from cvm.warning_test where list_contains($dates, as_of_date)
                and as_of_date + window_days <= $as_of::date and as_of_date + window_days > $as_of::date - $days::integer
            ),
            alarms as (
              select as_of_date, customer_id, level from cvm.early_warning
              where status = 'new' and list_contains($dates, as_of_date)
            ),
            -- The alarms are few: so many are held, however many customers were lost in all these years.
            lost_days as (
              select as_of_date, customer_id from cvm.customer_value_history semi join alarms using (customer_id)
              where lifecycle_stage = 'lost' and list_contains($dates, as_of_date)
            ),
            lost as (
              select a.as_of_date, a.customer_id, min(l.as_of_date) as lost_on from alarms a
              join lost_days l on l.customer_id = a.customer_id and l.as_of_date >= a.as_of_date
              group by all having lost_on > a.as_of_date
            )
            select t.as_of_date, t.customer_id, t.window_days, t.expected_transactions, t.is_testable, t.base_index, a.level,
              date_diff('day', t.as_of_date, l.lost_on)::double as lead_days
            from tests t left join alarms a using (as_of_date, customer_id) left join lost l using (as_of_date, customer_id)
            """,
            params={"dates": list(dates), "as_of": as_of, "days": record_days},
        )
        for batch in relation.to_arrow_reader(BATCH_ROWS):
            yield batch.cast(PAST_SCHEMA)


def _is_there(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the version is of a contract that knows warnings."""
    return bool(
        con.execute(
            "select 1 from duckdb_tables() where schema_name = 'cvm' and table_name = 'warning_test'"
        ).fetchall()
    )
