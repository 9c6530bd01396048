"""What Python reads of the marts: populations reduced to small statistics by SQL, and rows in batches for scoring.

Belongs here: queries on `marts.*` and `value.*` of the work file. Not here: what is made of the answers (`domain/`).
Excluded (flagged) customers are left out of everything that is fitted on, and scored like the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from cvm_pipeline.domain import lifecycle, segments, value_matrix
from cvm_pipeline.domain.contracts import ENTRY
from cvm_pipeline.domain.lifetime_value.margin import MarginSums
from cvm_pipeline.domain.lifetime_value.race.intervals import TotalSpread
from cvm_pipeline.domain.lifetime_value.race.slices import COLUMNS
from cvm_pipeline.domain.lifetime_value.value_model import BaseFacts
from cvm_pipeline.domain.rfm import Counts
from cvm_pipeline.warehouse.work import read_batches, read_table

_SNAPSHOT = "marts.fct_customer_snapshot where as_of_date = ?"
_FITTED_ON = f"{_SNAPSHOT} and flag is null and transactions > 0"
# Equal means must be equal floats, or ties would not share a score: a quotient of two whole numbers (rfm.mean_value).
_MEAN_VALUE = "cast(cast(net_sales as decimal(28,4)) * 10000 as bigint) / (transactions * 10000)"

# What fct_customer_slices holds beside the columns of the snapshot.
_RECENT = (
    "transactions_1w", "transactions_2w", "transactions_4w", "transactions_6w", "net_sales_1w", "net_sales_2w",
    "net_sales_4w", "net_sales_6w", "last_value", "gap_sum_of_squares",
)  # fmt: skip


def data_through(con: duckdb.DuckDBPyConnection) -> date | None:
    """Day of the newest accepted order that stands."""
    rows = con.execute("select max(ordered_date) from clean.orders where void_date is null or void_date > ordered_date")
    return rows.fetchall()[0][0]


def first_sale(con: duckdb.DuckDBPyConnection, as_of: date) -> date | None:
    """Day of the oldest sale to a known customer, up to a snapshot; None where there is none."""
    rows = con.execute(
        """select min(ordered_date) from clean.orders where ordered_date <= ? and customer_id is not null
             and not is_return and (void_date is null or void_date > ordered_date)""",
        [as_of],
    )
    return rows.fetchall()[0][0]


def histories(con: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """frequency, recency, T (days) and customers: one row per distinct purchase history."""
    return read_table(
        con,
        f'select frequency, recency, "T", count(*) as customers from {_FITTED_ON} group by all order by frequency, "T", recency',
        [as_of],
    )


def repeat_spend(con: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """frequency, repeat_sales (net total over the repeat transactions) and customers who share both."""
    return read_table(
        con,
        f"select frequency, repeat_sales, count(*) as customers from {_FITTED_ON} and frequency > 0 group by all order by all",
        [as_of],
    )


def base_facts(con: duckdb.DuckDBPyConnection, as_of: date) -> BaseFacts:
    """Sums over the base for spend and margin."""
    base = con.execute(
        f"""select coalesce(sum(transactions), 0), coalesce(sum(net_sales), 0), coalesce(sum(revenue_total), 0),
                   coalesce(sum(cost_covered_revenue), 0) from {_FITTED_ON}""",
        [as_of],
    ).fetchall()[0]
    moments = con.execute(
        f"""select count(*), coalesce(sum(r), 0), coalesce(sum(r * r), 0), coalesce(sum(r * r * r), 0), coalesce(sum(m), 0),
                   coalesce(sum(m * m), 0), coalesce(sum(m * r), 0), coalesce(sum(m * m / r), 0)
            from (select cast(revenue_total as double) as r, cast(margin_total as double) as m from {_FITTED_ON}) where r > 0""",
        [as_of],
    ).fetchall()[0]
    transactions, net_sales, revenue, covered = (float(value) for value in base)
    # Threads add doubles in any order: cut to digits that don't depend on it, or a rebuild could move the last of clv.
    return BaseFacts(transactions, net_sales, revenue, covered, MarginSums(*(float(f"{v:.12g}") for v in moments)))


def slice_rows(con: duckdb.DuckDBPyConnection, dates: Sequence[date], covariates: Sequence[str] = ()) -> pa.Table:
    """The sample at the slices of these dates (a run may hold more), flagged customers too, by slice_date and customer_id.

    slice_date, customer_id, is_flagged, the history and behaviour that models live on (slices.COLUMNS), and the
    `covariates` (columns of fct_slice_attributes) as known then: null where no dated record was.
    """
    columns = "".join(f', s."{name}"' for name in COLUMNS)
    told, known = _attributes(covariates, "s.slice_date")
    return read_table(
        con,
        f"""select s.slice_date, s.customer_id, s.flag is not null as is_flagged{columns}{told}
            from marts.fct_customer_slices s {known}
            where s.is_sampled and list_contains(?, s.slice_date) order by s.slice_date, s.customer_id""",
        [list(dates)],
    )


def snapshot_batches(
    con: duckdb.DuckDBPyConnection, as_of: date, covariates: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Rows of fct_customer_snapshot of one snapshot, in no order, with the recent behaviour of its own slice.

    That is null for prospects, and for everybody where the run has no such slice. Each of the `covariates` is as known
    with a date, as in slice_rows: it stands in for what the snapshot shows under the same name.
    """
    recent = "".join(f", r.{name}" for name in _RECENT)
    told, known = _attributes(covariates, "s.as_of_date")
    return read_batches(
        con,
        f"""select s.*{recent}{told}
            from (select columns(lambda c: not list_contains(?, c)) from {_SNAPSHOT}) s
            left join marts.fct_customer_slices r on r.customer_id = s.customer_id and r.slice_date = s.as_of_date
            {known}""",
        params=[list(covariates), as_of],
    )


def _attributes(covariates: Sequence[str], day: str) -> tuple[str, str]:
    """What to select beside `s`, and the join that brings it; nothing for no covariates."""
    if not covariates:
        return "", ""
    told = "".join(f", a.{name}" for name in covariates)
    return told, f"left join marts.fct_slice_attributes a on a.customer_id = s.customer_id and a.slice_date = {day}"


def scored_batches(con: duckdb.DuckDBPyConnection, as_of: date) -> Iterator[pa.RecordBatch]:
    """The same with each customer's value scores and rank beside its facts."""
    return read_batches(
        con,
        """select s.*, v.* exclude (customer_id), r.value_rank, w.level as warning_level
           from marts.fct_customer_snapshot s join value.customer_scores v using (customer_id)
           join value.customer_ranks r using (customer_id) left join value.early_warning w using (customer_id)
           where s.as_of_date = ?""",
        params=[as_of],
    )


def total_values(con: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """customer_id, clv, bought, included (bought and not excluded) of every customer of the snapshot."""
    return read_table(
        con,
        """select s.customer_id, v.clv, s.transactions > 0 as bought, s.transactions > 0 and s.flag is null as included
           from marts.fct_customer_snapshot s join value.customer_scores v using (customer_id) where s.as_of_date = ?""",
        [as_of],
    )


def grouped(con: duckdb.DuckDBPyConnection, as_of: date, measure: str, condition: str = "true") -> Counts:
    """Distinct values of a measure over who is fitted on, with their customers. `measure` is the program's own SQL."""
    rows = read_table(
        con,
        f"""select cast({measure} as double) as value, count(*) as customers from {_FITTED_ON} and {condition}
            group by value order by value""",
        [as_of],
    )
    return Counts(np.asarray(rows["value"]), np.asarray(rows["customers"]))


def rfm_counts(con: duckdb.DuckDBPyConnection, as_of: date) -> tuple[Counts, Counts, Counts]:
    """Days since the last transaction, transactions, and mean net value over all transactions."""
    return (
        grouped(con, as_of, "days_since_last"),
        grouped(con, as_of, "transactions"),
        grouped(con, as_of, _MEAN_VALUE),
    )


def loyalty_counts(con: duckdb.DuckDBPyConnection, as_of: date) -> tuple[Counts, Counts]:
    """Frequency, and tenure (T, days)."""
    return grouped(con, as_of, "frequency"), grouped(con, as_of, '"T"')


def stage_base(con: duckdb.DuckDBPyConnection, as_of: date) -> lifecycle.BaseFacts:
    """The base's rhythm, and its margin of the last two years over customers of 24 months and more."""
    rhythm = con.execute(
        "select base_gap_median, gap_k from marts.fct_snapshot_base where as_of_date = ?", [as_of]
    ).fetchall()[0]
    margins = con.execute(
        f"""select coalesce(sum(margin_12m), 0), coalesce(sum(margin_prior_12m), 0) from {_FITTED_ON}
            and first_order_date <= as_of_date - interval 24 month""",
        [as_of],
    ).fetchall()[0]
    return lifecycle.BaseFacts(as_of, float(rhythm[0]), float(rhythm[1]), float(margins[0]), float(margins[1]))


def value_matrix_cuts(con: duckdb.DuckDBPyConnection, as_of: date) -> value_matrix.Parameters:
    """The lower medians of margin_12m and clv over who is fitted on, as exact as they are published."""
    row = con.execute(
        f"""select quantile_disc(s.margin_12m, 0.5), quantile_disc(coalesce(v.clv, 0)::decimal(18,4), 0.5)
            from (select customer_id, margin_12m from {_FITTED_ON}) s join value.customer_scores v using (customer_id)""",
        [as_of],
    ).fetchall()[0]
    return value_matrix.Parameters(*row)


def moves(con: duckdb.DuckDBPyConnection, before: str, now: str) -> pa.Table:
    """from, to, customers, value_moved of the candidate's customers, by two columns of customer_value."""
    return read_table(
        con,
        f"""select coalesce({before}, '{ENTRY}') as "from", {now} as "to", count(*) as customers,
                   sum(total_value)::decimal(18,4) as value_moved
            from candidate.customer_value where not is_excluded group by all""",
    )


def moves_since(con: duckdb.DuckDBPyConnection, then: pa.Table, now: str) -> pa.Table:
    """from, to, customers: states then (customer_id, state) against a column of the candidate's customer_value."""
    con.register("then_states", then)
    try:
        return read_table(
            con,
            f"""select t.state as "from", c.{now} as "to", count(*) as customers
                from then_states t join candidate.customer_value c using (customer_id) group by all""",
        )
    finally:
        con.unregister("then_states")


def customers_by(con: duckdb.DuckDBPyConnection, column: str, states: Sequence[str]) -> np.ndarray:
    """Customers of the candidate by state, (n,), in the order given; excluded ones are left out."""
    rows = con.execute(
        f"select {column}, count(*) from candidate.customer_value where not is_excluded group by all"
    ).fetchall()
    found = dict(rows)
    return np.array([float(found.get(state, 0)) for state in states])


def summary_rows(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """What segment_summary is made of: the candidate's customers, the variance of each one's own future, value at risk."""
    columns = ", ".join(f"c.{name}" for name in segments.SUMMARY_COLUMNS)
    return read_table(
        con,
        f"""select {columns}, s.{segments.VARIANCE}, w.value_at_risk as {segments.AT_RISK} from candidate.customer_value c
            join value.customer_scores s using (customer_id) left join value.early_warning w using (customer_id)""",
    )


def total_spread(con: duckdb.DuckDBPyConnection) -> TotalSpread:
    """How far totals were off at past cuts, from value.clv_model_card; unknown where nothing was judged."""
    rows = con.execute(
        "select metric, value from value.clv_model_card where metric in ('total_spread', 'total_cuts') and cut_date = 'all'"
    ).fetchall()
    found = dict(rows)
    return TotalSpread(float(found.get("total_spread") or 0.0), int(found.get("total_cuts") or 0))


def repeats_by_day(con: duckdb.DuckDBPyConnection, as_of: date) -> pa.Table:
    """ordered_date, repeats: repeat transactions of unflagged customers each day, by the orders that stood on it."""
    return read_table(
        con,
        f"""select d.ordered_date, count(*) as repeats from marts.fct_customer_days d
            join (select customer_id, first_order_date from {_FITTED_ON}) s using (customer_id)
            where d.orders > 0 and d.ordered_date > s.first_order_date and d.ordered_date <= ?
            group by d.ordered_date order by d.ordered_date""",
        [as_of, as_of],
    )


def model_parameters(con: duckdb.DuckDBPyConnection, model: str) -> dict[str, float]:
    """Parameters of a model by the letter of its paper, and time_unit_days, from value.clv_model_card."""
    rows = con.execute(
        """select replace(metric, 'param_', ''), value from value.clv_model_card
           where model = ? and cut_date = 'all' and value is not null
             and (starts_with(metric, 'param_') or metric = 'time_unit_days')""",
        [model],
    ).fetchall()
    return {name: float(value) for name, value in rows}


def model_that_gives_p_alive(con: duckdb.DuckDBPyConnection) -> str:
    """The model's module name."""
    rows = con.execute("select model from value.clv_model_card where metric = 'gives_p_alive' and value = 1").fetchall()
    return str(rows[0][0])
