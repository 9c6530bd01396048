"""Stays: which state each customer was in, scheme by scheme, from when to when, and what moved it.

Belongs here: what a snapshot does to the stays that stand, as plain SQL on `candidate` and the standing version. Not here:
the rules of any state (`domain/`), which tables a publication replaces (`candidate_tables.py`).

Only snapshots of the grid make stays, as everything that remembers reads the grid alone. A snapshot closes the stays that it
ends and opens the new ones; a stay that goes on keeps its first day, its reason and its cause. Where an earlier snapshot is
made anew, the stays from its day on are stated anew by it and by the later snapshots as they were published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import CUSTOMER_STATE_HISTORY
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.warehouse.versions import WAREHOUSE_FILE, standing

# Scheme -> the column of customer_value that holds the state, and the reason in words, as SQL on its row.
STATES: Mapping[str, tuple[str, str]] = {
    "tier": (
        "value_tier",
        "case when transactions = 0 then 'no transaction yet' "
        "else 'total value ' || total_value || ', rank ' || value_rank end",
    ),
    "stage": ("lifecycle_stage", "stage_reason"),
    "rfm": ("rfm_segment", "'cell ' || rfm_cell"),
    "warning": ("warning_level", "warning_reasons"),
    "value_matrix": ("value_matrix", "'margin of 12 months ' || margin_12m || ', clv ' || clv"),
}
# Schemes whose states are cut from value, which another model moves by itself.
_FOLLOW_VALUE = ("tier", "value_matrix")
_COLUMNS = "customer_id, scheme, valid_from, valid_to, state, previous, reason, cause, rule_version"
_TARGET = "candidate.customer_state_history"
_STANDING = "stays_before"


def write_state_history(
    con: duckdb.DuckDBPyConnection,
    home: Home,
    as_of: date,
    memory_date: date | None,
    is_on_grid: Callable[[date], bool],
) -> None:
    """candidate.customer_state_history: the stays that last or ended at the snapshot or later, as they now are.

    `memory_date`: the newest snapshot of the grid before this one, with which it is compared. Off the grid the stays are
    handed on as they stand. Reads candidate.customer_value, candidate.value_change, candidate.early_warning,
    candidate.segment_parameter, marts.fct_customer_slices of the memory date, and the standing version.
    """
    folder = standing(home)
    con.execute(f"create or replace temp table stays ({_typed()})")
    if folder is not None:
        con.execute(f"attach {literal(str(folder / WAREHOUSE_FILE))} as {_STANDING} (read_only)")
    try:
        _state(con, as_of, memory_date, is_on_grid, has_past=folder is not None)
    finally:
        if folder is not None:
            con.execute(f"detach {_STANDING}")
    con.execute(f"create or replace table {_TARGET} as select {_COLUMNS} from stays")
    con.execute("drop table stays")


def _state(
    con: duckdb.DuckDBPyConnection,
    as_of: date,
    memory_date: date | None,
    is_on_grid: Callable[[date], bool],
    *,
    has_past: bool,
) -> None:
    remembers = has_past and _is_there(con, f"{_STANDING}.cvm", CUSTOMER_STATE_HISTORY.name)
    if not is_on_grid(as_of):
        if remembers:
            con.execute(
                f"insert into stays select {_COLUMNS} from {_STANDING}.cvm.customer_state_history "
                "where valid_to is null or valid_to >= ?",
                [as_of],
            )
        return
    published = _published_days(con, is_on_grid) if has_past else []
    if remembers:
        # As they stood the evening before: what ended since may end otherwise now.
        con.execute(
            f"""insert into stays
                select customer_id, scheme, valid_from, null, state, previous, reason, cause, rule_version
                from {_STANDING}.cvm.customer_state_history
                where valid_from < $day and (valid_to is null or valid_to >= $day)""",
            {"day": as_of},
        )
    else:
        # A version of before there were stays: they follow from its snapshots.
        for day in (day for day in published if day < as_of):
            _enter(con, day, _as_published(con, day), "'behaviour'")
    _enter(con, as_of, _as_computed(con, as_of), _causes_found(con, as_of, memory_date))
    # A snapshot that was not there before corrects nothing.
    otherwise = "corrected data" if as_of in published else "behaviour"
    for day in (day for day in published if day > as_of):
        _enter(con, day, _as_published(con, day), _causes_as_told(con, day, otherwise, remembers=remembers))


def _enter(con: duckdb.DuckDBPyConnection, day: date, now: str, cause: str) -> None:
    """One snapshot's states enter the stays; `now` and `cause` are SQL."""
    con.execute(f"create or replace temp table states_now as {now}")
    con.execute(
        f"""create or replace temp table next_stays as
            select s.customer_id, s.scheme, s.valid_from,
                   case when s.valid_to is null and n.state is distinct from s.state then $day else s.valid_to end as valid_to,
                   s.state, s.previous, s.reason, s.cause, s.rule_version
            from stays s left join states_now n using (customer_id, scheme)
            union all
            select n.customer_id, n.scheme, $day, null, n.state, s.state, n.reason, {cause}, n.rule_version
            from states_now n
            left join (select * from stays where valid_to is null) s using (customer_id, scheme)
            where s.state is distinct from n.state""",
        {"day": day},
    )
    con.execute("drop table stays")
    con.execute("alter table next_stays rename to stays")
    con.execute("drop table states_now")


def _as_computed(con: duckdb.DuckDBPyConnection, as_of: date) -> str:
    """The states of this run's candidate: customer_id, scheme, state, reason, rule_version."""
    return _told(con, "candidate", "candidate.customer_value", as_of)


def _as_published(con: duckdb.DuckDBPyConnection, day: date) -> str:
    """The same of a published snapshot."""
    return _told(con, f"{_STANDING}.cvm", f"{_STANDING}.cvm.customer_value_history", day)


def _told(con: duckdb.DuckDBPyConnection, schema: str, values: str, day: date) -> str:
    reasons, join = "cast(null as varchar)", ""
    if _is_there(con, schema, "early_warning"):
        reasons, join = "w.reasons", f"left join {schema}.early_warning w using (as_of_date, customer_id)"
    rows = f"select v.*, {reasons} as warning_reasons from {values} v {join} where v.as_of_date = {_day(day)}"
    return _unpivoted(rows, f"{schema}.segment_parameter", day)


def _unpivoted(rows: str, parameters: str, day: date) -> str:
    each = " union all ".join(
        f"select customer_id, '{scheme}' as scheme, {column} as state, {reason} as reason from told "
        f"where {column} is not null"
        for scheme, (column, reason) in STATES.items()
    )
    return f"""
        with told as ({rows}),
        rules as (
            select scheme, cast(value as bigint) as rule_version from {parameters}
            where parameter = 'rule_version' and as_of_date = {_day(day)}
        )
        select s.customer_id, s.scheme, s.state, s.reason, coalesce(r.rule_version, 0) as rule_version
        from ({each}) s left join rules r using (scheme)"""


def _causes_found(con: duckdb.DuckDBPyConnection, as_of: date, memory_date: date | None) -> str:
    """What moved a state that this snapshot finds changed, as SQL on the new state n and the stay s that it ends."""
    if memory_date is None:
        return "'behaviour'"
    # Today's data as of the memory date, against what was published then.
    con.execute(
        f"""create or replace temp table corrected as
            select coalesce(h.customer_id, f.customer_id) as customer_id
            from (select * from {_STANDING}.cvm.customer_value_history where as_of_date = $day) h
            full join (select * from marts.fct_customer_slices where slice_date = $day) f using (customer_id)
            where coalesce(h.transactions, 0) is distinct from coalesce(f.transactions, 0)
               or (f.customer_id is not null and (h.recency is distinct from f.recency or h."T" is distinct from f."T"
                   or h.revenue_total is distinct from f.revenue_total or h.margin_total is distinct from f.margin_total
                   or h.exclusion_reason is distinct from f.flag))""",
        {"day": memory_date},
    )
    con.execute(
        f"""create or replace temp table rules_changed as
            select scheme from candidate.segment_parameter n
            left join (select * from {_STANDING}.cvm.segment_parameter where as_of_date = $memory) t using (scheme, parameter)
            where parameter = 'rule_version' and n.as_of_date = $day and t.value is distinct from n.value""",
        {"memory": memory_date, "day": as_of},
    )
    con.execute(
        """create or replace temp table moved_by_model as
           select customer_id from candidate.value_change where abs(model) > abs(change - model)"""
    )
    follows_value = ", ".join(map(literal, _FOLLOW_VALUE))
    return f"""case when s.state is null then 'behaviour'
                   when n.scheme in (select scheme from rules_changed) then 'rule change'
                   when n.customer_id in (select customer_id from corrected) then 'corrected data'
                   when n.scheme in ({follows_value}) and n.customer_id in (select customer_id from moved_by_model) then 'model'
                   else 'behaviour' end"""


def _causes_as_told(con: duckdb.DuckDBPyConnection, day: date, otherwise: str, *, remembers: bool) -> str:
    """The cause told when the snapshot was published, where it opened a stay in the same state; `otherwise` where not."""
    if not remembers:
        return literal(otherwise)
    con.execute(
        f"""create or replace temp table told_then as
            select customer_id, scheme, state, cause from {_STANDING}.cvm.customer_state_history
            where valid_from = ?""",
        [day],
    )
    return f"""coalesce((select t.cause from told_then t where t.customer_id = n.customer_id and t.scheme = n.scheme
                        and t.state = n.state), {literal(otherwise)})"""


def _published_days(con: duckdb.DuckDBPyConnection, is_on_grid: Callable[[date], bool]) -> list[date]:
    rows = con.execute(f"select distinct as_of_date from {_STANDING}.cvm.customer_value_history order by 1").fetchall()
    return [day for (day,) in rows if is_on_grid(day)]


def _is_there(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether a table is there: a version of an earlier contract may lack it. `schema` may name its catalog."""
    *catalog, schema = schema.split(".")
    rows = con.execute(
        "select 1 from duckdb_tables() where database_name = coalesce(?, current_database()) and schema_name = ? "
        "and table_name = ?",
        [catalog[0] if catalog else None, schema, name],
    )
    return bool(rows.fetchall())


def _typed() -> str:
    return ", ".join(
        f"{column.name} {column.type}"
        for column in CUSTOMER_STATE_HISTORY.columns
        if column.name in _COLUMNS.split(", ")
    )


def _day(day: date) -> str:
    return f"date {literal(day.isoformat())}"
