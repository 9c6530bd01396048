"""Which of several rows for one record stands; what became of the others.

Writes `landing.<entity>_losers` (`_rank, _line, _fate`): duplicate where the standing record says the same, superseded
where it says otherwise. A pure function of the landed rows: the order in which files came plays no part.
"""

from __future__ import annotations

import duckdb

from cvm_pipeline.sources.entities import Entity
from cvm_pipeline.sources.sql import literal, quoted

SOUND = "_bad is null and not _filtered"


def losers_table(entity: Entity) -> str:
    """Name of the table of rows that don't stand."""
    return f"landing.{quoted(entity.name + '_losers')}"


def standing_rows(entity: Entity) -> str:
    """SQL of the entity's rows that stand."""
    return (
        f"select * from landing.{quoted(entity.name)} r where {SOUND} and not exists"
        f" (select 1 from {losers_table(entity)} x where x._rank = r._rank and x._line = r._line)"
    )


def settle(con: duckdb.DuckDBPyConnection, entity: Entity, appending: frozenset[str]) -> None:
    """Write the entity's losers. `appending`: sources that deliver one document in pieces, all of which count."""
    if entity.identity == "version":
        con.execute(f"create or replace table {losers_table(entity)} as {_older_versions(entity)}")
    elif entity.identity == "document":
        _contest(con, entity)
        con.execute(f"create or replace table {losers_table(entity)} as {_replaced_documents(entity, appending)}")
        _quarantine_second_customers(con, entity)
    else:
        con.execute(f"create or replace table {losers_table(entity)} (_rank integer, _line bigint, _fate varchar)")


def _content(entity: Entity) -> str:
    return "row(" + ", ".join(quoted(field.name) for field in entity.fields) + ")"


def _older_versions(entity: Entity) -> str:
    """The newest updated_at stands, else the newest file, else the last line."""
    key = ", ".join(map(quoted, entity.key))
    return f"""
        with contested as (
            select {key} from landing.{quoted(entity.name)} where {SOUND} group by {key} having count(*) > 1
        ),
        placed as (
            select _rank, _line, {_content(entity)} as content,
                   row_number() over newest as place, first_value({_content(entity)}) over newest as standing
            from landing.{quoted(entity.name)} join contested using ({key})
            where {SOUND}
            window newest as (partition by {key} order by updated_at desc nulls last, _rank desc, _line desc)
        )
        select _rank, _line,
               case when content is not distinct from standing then 'duplicate' else 'superseded' end as _fate
        from placed where place > 1
    """


def _contest(con: duckdb.DuckDBPyConnection, entity: Entity) -> None:
    """Write `_contested`: documents that stand in several landings or name several customers; on most bases none."""
    key = ", ".join(map(quoted, entity.key))
    con.execute(f"""
        create or replace temp table _contested as
        select {key} from landing.{quoted(entity.name)} where {SOUND} group by {key}
        having min(_rank) <> max(_rank) or min(customer_id) <> max(customer_id)
    """)


def _replaced_documents(entity: Entity, appending: frozenset[str]) -> str:
    """The newest landing that holds any line of a document replaces all its lines."""
    key = ", ".join(map(quoted, entity.key))
    pieces = ", ".join(literal(source) for source in sorted(appending)) or "''"
    return f"""
        with candidates as (
            select * from landing.{quoted(entity.name)} semi join _contested using ({key})
            where {SOUND} and _source not in ({pieces})
        ),
        landings as (select {key}, _rank, max(updated_at) as updated_at from candidates group by {key}, _rank),
        placed as (
            select {key}, _rank,
                   first_value(_rank) over (partition by {key} order by updated_at desc nulls last, _rank desc) as winner
            from landings
        ),
        lines as (
            select {key}, r._rank, r._line, p.winner, {_content(entity)} as content
            from candidates r join placed p using ({key}, _rank)
        ),
        standing as (select distinct {key}, content from lines where _rank = winner)
        select l._rank, l._line, case when s.content is not null then 'duplicate' else 'superseded' end as _fate
        from lines l left join standing s using ({key}, content) where l._rank <> l.winner
    """


def _quarantine_second_customers(con: duckdb.DuckDBPyConnection, entity: Entity) -> None:
    """One document has one customer: its first line's. A line that names another is quarantined."""
    key = ", ".join(map(quoted, entity.key))
    con.execute(f"""
        create or replace temp table _second_customers as
        with lines as (select * from ({standing_rows(entity)}) semi join _contested using ({key})),
        torn as (
            select {key}, arg_min(customer_id, (_rank, _line)) filter (where customer_id is not null) as first_customer
            from lines group by {key} having min(customer_id) <> max(customer_id)
        )
        select r._rank, r._line, t.first_customer
        from lines r join torn t using ({key}) where r.customer_id <> t.first_customer
    """)
    con.execute(f"""
        update landing.{quoted(entity.name)} r
        set _bad = 'conflicting_customer' || chr(31) || 'customer_id: ' || r.customer_id
            || ', but the order''s first line names ' || s.first_customer
        from _second_customers s where r._rank = s._rank and r._line = s._line
    """)
