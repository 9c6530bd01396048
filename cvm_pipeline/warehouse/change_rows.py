"""Two snapshots side by side, customer by customer: what a change of value is divided of.

Belongs here: the queries that join the published clv of the earlier snapshot, both dates' slices and the scores of this one.
Not here: the division (`domain/value_change.py`), which snapshot is the earlier one (`defs/gate.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import duckdb
import pyarrow as pa

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.behaviour_states import AFTER, AGED, BEFORE, COLUMNS, NOW, SIDES, STEPS, THEN, window_column
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.warehouse.versions import WAREHOUSE_FILE, standing
from cvm_pipeline.warehouse.work import read_batches

# Tables of the asset's own: a streaming read runs on a cursor, which sees no temporary ones.
_CLV_BEFORE, _WINDOWS = "value.clv_before", "value.change_windows"
# Of a state that a purchase may be counted of: as known at which date, and up to which.
_COUNTED = {BEFORE: (THEN, THEN), AGED: (THEN, NOW), AFTER: (NOW, NOW)}


def write_clv_before(con: duckdb.DuckDBPyConnection, home: Home, before: date) -> None:
    """value.clv_before: customer_id and clv as the standing version publishes them of that date."""
    folder = standing(home)
    if folder is None:
        raise ValueError(f"nothing is published, so nothing of {before}")
    con.execute(f"attach {literal(str(folder / WAREHOUSE_FILE))} as published_before (read_only)")
    try:
        con.execute(
            f"""create or replace table {_CLV_BEFORE} as
            select customer_id, clv from published_before.cvm.customer_value_history where as_of_date = ? and clv is not null""",
            [before],
        )
    finally:
        con.execute("detach published_before")


def write_windows(con: duckdb.DuckDBPyConnection, dates: tuple[date, date], step_days: tuple[int, int]) -> None:
    """value.change_windows: what each customer bought within the last steps, `then` and `now`, in both models' steps.

    `dates` and `step_days` of the earlier side and of this. One row for each who bought within them.
    """
    day, step = dict(zip(SIDES, dates, strict=True)), dict(zip(SIDES, step_days, strict=True))
    counted = []
    for model in SIDES:
        for state, (known, to) in _COUNTED.items():
            for steps in STEPS:
                # A transaction of a later day than the state's is of a slice that the state doesn't know.
                inside = (
                    f"slice_date = {_day(day[known])} "
                    f"and date_diff('day', ordered_date, {_day(day[to])}) < {steps * step[model]}"
                )
                named = (window_column(model, state, f"{what}_{steps}w") for what in ("transactions", "net_sales"))
                counted.append(f"count(*) filter (where {inside}) as {next(named)}")
                counted.append(f"coalesce(sum(net_value) filter (where {inside}), 0)::decimal(18, 4) as {next(named)}")
    longest = max(STEPS) * max(step_days)
    con.execute(
        f"""create or replace table {_WINDOWS} as
        select customer_id, {", ".join(counted)}
        from marts.fct_slice_transactions
        where slice_date in (?, ?) and ordered_date > ?::date - {longest}
        group by customer_id""",
        [*dates, dates[0]],
    )


def has_slice(con: duckdb.DuckDBPyConnection, day: date) -> bool:
    """Whether the run's facts hold the base as it was known at that date."""
    return bool(con.execute("select 1 from marts.fct_customer_slices where slice_date = ? limit 1", [day]).fetchall())


def drop_scratch(con: duckdb.DuckDBPyConnection) -> None:
    """Remove what this module wrote."""
    for name in (_CLV_BEFORE, _WINDOWS):
        con.execute(f"drop table if exists {name}")


def change_batches(
    con: duckdb.DuckDBPyConnection, before: date, as_of: date, words: Sequence[str] = (), windows: bool = False
) -> Iterator[pa.RecordBatch]:
    """Everybody with a clv at either date, in no order: customer_id, clv_before, clv, COLUMNS of both sides as `then_` and
    `now_` (null where a side has no transaction), the covariates `words` of both, and `windows`.

    Needs value.customer_scores, value.clv_before, and for `windows` value.change_windows.
    """
    day = dict(zip(SIDES, (before, as_of), strict=True))
    facts = ", ".join(f'{side}_facts."{name}" as "{side}_{name}"' for side in SIDES for name in COLUMNS)
    told = "".join(f', {side}_words."{word}" as "{side}_{word}"' for side in SIDES for word in words)
    joins = [("marts.fct_customer_slices", "facts"), *([("marts.fct_slice_attributes", "words")] if words else ())]
    joined = "\n".join(
        f"left join (from {table} where slice_date = {_day(day[side])}) {side}_{what} "
        f"on {side}_{what}.customer_id = everybody.customer_id"
        for table, what in joins
        for side in SIDES
    )
    counted = ", w.* exclude (customer_id)" if windows else ""
    recent = f"left join {_WINDOWS} w on w.customer_id = everybody.customer_id" if windows else ""
    return read_batches(
        con,
        f"""with everybody as (
          select coalesce(b.customer_id, s.customer_id) as customer_id, b.clv as clv_before, s.clv
          from {_CLV_BEFORE} b
          full join (select customer_id, clv from value.customer_scores where clv is not null) s
            on s.customer_id = b.customer_id)
        select everybody.customer_id, everybody.clv_before, everybody.clv, {facts}{told}{counted}
        from everybody {joined} {recent}""",
    )


def _day(day: date) -> str:
    return f"date {literal(day.isoformat())}"
