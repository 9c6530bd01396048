"""What early warning reads of the marts and of the value scores: histories at the windows' starts, and what came after.

Belongs here: queries on `marts.*` and `value.*` of the work file. Not here: what was published before (`warnings_past.py`),
what is made of the answers (`domain/early_warning/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow as pa

from cvm_pipeline.domain.early_warning.alarms import AT_THE_START
from cvm_pipeline.domain.early_warning.lengths import WINDOW_DAYS
from cvm_pipeline.domain.early_warning.tables import CAME, PAST
from cvm_pipeline.warehouse.work import read_batches, read_table

_UNFLAGGED = "select customer_id from marts.fct_customer_snapshot where as_of_date = ? and flag is null"


def start_histories(con: duckdb.DuckDBPyConnection, as_of: date, window_days: int) -> pa.Table:
    """frequency, recency, T (days) and customers as known at the start of a window: one row per distinct history."""
    return read_table(
        con,
        f"""select frequency, recency, "T", count(*) as customers
            from marts.fct_window_histories join ({_UNFLAGGED}) using (customer_id)
            where window_days = ? group by all order by frequency, "T", recency""",
        [as_of, window_days],
    )


def start_spend(con: duckdb.DuckDBPyConnection, as_of: date, window_days: int) -> tuple[pa.Table, float]:
    """frequency, repeat_sales and customers who share both, at the start; and the mean net value of all transactions."""
    rows = read_table(
        con,
        f"""select frequency, repeat_sales, count(*) as customers
            from marts.fct_window_histories join ({_UNFLAGGED}) using (customer_id)
            where window_days = ? and frequency > 0 group by all order by all""",
        [as_of, window_days],
    )
    sums = con.execute(
        f"""select coalesce(sum(net_sales), 0), coalesce(sum(transactions), 0)
            from marts.fct_window_histories join ({_UNFLAGGED}) using (customer_id) where window_days = ?""",
        [as_of, window_days],
    ).fetchall()[0]
    return rows, float(sums[0]) / float(sums[1]) if sums[1] else 0.0


def window_batches(con: duckdb.DuckDBPyConnection, as_of: date) -> Iterator[pa.RecordBatch]:
    """Unflagged customers without a standing alarm (value.warning_memory), in no order: tables.measure_batch's columns."""
    past, joins, sums = [], [], []
    for days in WINDOW_DAYS:
        past += [f'h{days}."{name}" as "{name}_{days}"' for name in PAST]
        joins.append(
            f"left join (select * from marts.fct_window_histories where window_days = {days}) h{days} "
            f"on h{days}.customer_id = s.customer_id"
        )
        within = f"(where days_ago < {days})", f"(where days_ago < {days} and net_value > 0)"
        measures = ("count(*)", within[0]), ("count(*)", within[1]), ("sum(net_value)", within[1])
        sums += [f"{what} filter {where} as {name}_{days}" for name, (what, where) in zip(CAME, measures, strict=True)]
    came = ", ".join(f"c.{name}_{days}" for days in WINDOW_DAYS for name in CAME)
    return read_batches(
        con,
        f"""select s.customer_id, s.customer_type, date_diff('day', m.raised_on, s.as_of_date) as days_since_alarm,
                   {", ".join(past)}, {came}
            from marts.fct_customer_snapshot s
            {" ".join(joins)}
            left join (
              select customer_id, {", ".join(sums)}
              from (select customer_id, net_value, date_diff('day', ordered_date, ?::date) as days_ago from marts.fct_transactions)
              where days_ago < {max(WINDOW_DAYS)} group by customer_id
            ) c on c.customer_id = s.customer_id
            left join value.warning_memory m on m.customer_id = s.customer_id
            where s.as_of_date = ? and s.flag is null and s.transactions > 0
              and (m.lapses_on is null or m.lapses_on <= s.as_of_date)""",
        params=[as_of, as_of],
    )


def candidate_sums(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """What the index is made of, of every candidate."""
    return read_table(
        con,
        "select customer_type, window_days, transactions, expected_with_attrition, variance from value.warning_candidates",
    )


def candidate_batches(con: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    """The candidates, by customer_id: sums of floats over them must not depend on an order."""
    return read_batches(con, "select * from value.warning_candidates order by customer_id")


def testable_p(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """p_value of the family."""
    return read_table(con, "select p_value from value.warning_test where is_testable")


def mark_raised(con: duckdb.DuckDBPyConnection, threshold: float) -> int:
    """Set is_raised in value.warning_test; the number of alarms."""
    con.execute(
        "update value.warning_test set is_raised = is_testable and p_value <= ? where ? > 0", [threshold, threshold]
    )
    return int(con.execute("select count(*) from value.warning_test where is_raised").fetchall()[0][0])


def raised_rows(con: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """warning_test of who is raised, with what was known at the window's start and what the snapshot says."""
    then = ", ".join(f'c."{name}"' for name in AT_THE_START)
    return read_table(
        con,
        f"""select t.*, {then}, s.frequency as frequency_now, s.recency as recency_now, s."T" as T_now,
                   s.repeat_sales as repeat_sales_now, s.margin_total, s.revenue_total, v.p_alive
            from value.warning_test t join value.warning_candidates c using (customer_id)
            join marts.fct_customer_snapshot s on s.customer_id = t.customer_id and s.as_of_date = ?
            join value.customer_scores v on v.customer_id = t.customer_id
            where t.is_raised order by t.customer_id""",
        [as_of],
    )


def unflagged_customers(con: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """customer_id of who is not flagged at the snapshot and has a transaction."""
    return read_table(con, f"{_UNFLAGGED} and transactions > 0", [as_of])


def clv_quantiles(con: duckdb.DuckDBPyConnection, as_of: date, shares: Sequence[float]) -> list[Decimal | None]:
    """Quantiles of positive clv of unflagged customers, each the clv of a customer."""
    found = con.execute(
        f"""select {", ".join(f"quantile_disc(clv, {share})" for share in shares)}
            from value.customer_scores join ({_UNFLAGGED}) using (customer_id) where clv > 0""",
        [as_of],
    ).fetchall()[0]
    return list(found)


def past_dates(con: duckdb.DuckDBPyConnection) -> list[date]:
    """Snapshots of value.warning_past, oldest first."""
    rows = con.execute("select distinct as_of_date from value.warning_past order by 1").fetchall()
    return [row[0] for row in rows]


def past_tests(con: duckdb.DuckDBPyConnection, raised_on: date) -> pa.Table:
    """The tests of one earlier snapshot with the transactions of the window after it, as record.record takes them."""
    return read_table(
        con,
        """select p.expected_transactions, p.is_testable, p.base_index, p.level, p.lead_days,
                  count(t.ordered_date) as transactions_after
           from (select * from value.warning_past where as_of_date = ?) p
           left join marts.fct_transactions t on t.customer_id = p.customer_id
             and t.ordered_date > p.as_of_date and t.ordered_date <= p.as_of_date + p.window_days
           group by p.customer_id, p.expected_transactions, p.is_testable, p.base_index, p.level, p.lead_days
           order by p.customer_id""",
        [raised_on],
    )


def warnings_with_tiers(con: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    """value.early_warning with the tiers of the candidate's customers."""
    return read_batches(
        con,
        """select w.*, c.value_tier, c.previous_tier from value.early_warning w
           join candidate.customer_value c using (customer_id)""",
    )
