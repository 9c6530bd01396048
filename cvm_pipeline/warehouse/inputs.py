"""What went into a snapshot, as one digest: equal inputs give equal tables, and a corrected row another digest.

Belongs here: which rows of `clean` a snapshot can know, and which published snapshots knew others. Not here: what is
computed of them (dbt, `domain/`).

An erasure is no correction: snapshots stand as they were published, without the person's rows. So that none is made anew
for it, the digests that held before it are kept beside those of the same rows without the person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.config.source import digest
from cvm_pipeline.warehouse.errors import WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import write_atomically
from cvm_pipeline.warehouse.summary import inputs_of_snapshots
from cvm_pipeline.warehouse.work import looking_in

# Each costs a scan of the clean tables: two years of months are what anybody would make anew.
_LOOKED_AT = 24

# A sum over rows' hashes depends neither on their order nor on threads. What comes after the day is as if it were not there.
_KNOWN = (
    """select order_id, customer_id, ordered_at, ordered_date, amount, cost, is_return,
              case when void_date <= $day then void_date end as void_date
       from clean.orders where ordered_date <= $day""",
    """select return_id, return_line, order_id, customer_id, ordered_date, returned_date, amount, kind
       from clean.return_allocations where returned_date <= $day""",
    """select order_id, line, customer_id, returned_at, returned_date, amount
       from clean.unmatched_returns where returned_date <= $day""",
    """select * exclude (is_current) from clean.customers where coalesce(version_date <= $day, true)""",
)


def inputs_digest(con: duckdb.DuckDBPyConnection, as_of: date, config_hash: str) -> str:
    """Digest of the configuration and of every clean row that a snapshot of `as_of` may know."""
    told = []
    for known in _KNOWN:
        rows = con.execute(
            f"select count(*), coalesce(sum(cast(hash(known) as hugeint)), 0) from ({known}) known", {"day": as_of}
        )
        told.append([str(value) for value in rows.fetchall()[0]])
    return digest([config_hash, told])


def changed_snapshots(home: Home, config_hash: str, newest: int = _LOOKED_AT) -> list[date]:
    """Published snapshots, of the `newest`, that would be made of other rows or another configuration today; oldest first.

    Empty where the clean tables can't be asked: they are not there, or a run is building them or died at it.
    """
    published = published_inputs(home)
    with looking_in(home) as con:
        if con is None or not _are_whole(con):
            return []
        return [
            day
            for day in sorted(published)[-newest:]
            if published[day] is not None and inputs_digest(con, day, config_hash) != published[day]
        ]


def published_inputs(home: Home) -> dict[date, str | None]:
    """Snapshot -> the digest of what it knew, without who was forgotten since: equal to today's where nothing changed."""
    erased = _erased(home)
    return {day: erased.get(inputs or "", inputs) for day, inputs in inputs_of_snapshots(home).items()}


def unchanged_snapshots(home: Home, config_hash: str) -> dict[str, str]:
    """Published snapshots that would be made of the same rows today, and the digest that each was published with."""
    known = published_inputs(home)
    with looking_in(home) as con:
        if con is None or not _are_whole(con):
            return {}
        return {
            day.isoformat(): inputs
            for day, inputs in inputs_of_snapshots(home).items()
            if inputs and inputs_digest(con, day, config_hash) == known[day]
        }


def keep_inputs(con: duckdb.DuckDBPyConnection, home: Home, config_hash: str, unchanged: Mapping[str, str]) -> None:
    """Note what those snapshots know now that somebody was erased from the clean tables, and from nothing else."""
    erased = _erased(home)
    erased |= {inputs: inputs_digest(con, date.fromisoformat(day), config_hash) for day, inputs in unchanged.items()}
    with errors_explained("noting what an erasure leaves", home.erased_inputs):
        write_atomically(home.erased_inputs, json.dumps(erased, indent=1) + "\n")


def _erased(home: Home) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(home.erased_inputs.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WarehouseError(
            f"{home.erased_inputs} can't be read ({error}). Restore it from a backup, or remove it:"
            " then snapshots from before an erasure are told as made of other data"
        ) from error
    return known


def _are_whole(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the clean tables were built to their end: only then does `clean.state` hold its row."""
    found = "select count(*) from duckdb_tables() where schema_name = 'clean' and table_name = 'state'"
    return con.execute(found).fetchall() != [(0,)] and con.execute("select count(*) from clean.state").fetchall() != [
        (0,)
    ]
