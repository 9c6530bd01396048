"""What went into a snapshot, as one digest: equal inputs give equal tables, and a corrected row another digest.

Belongs here: which rows of `clean` a snapshot can know. Not here: what is computed of them (dbt, `domain/`).
"""

from __future__ import annotations

from datetime import date

import duckdb

from cvm_pipeline.config.source import digest

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
