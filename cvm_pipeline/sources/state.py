"""What the clean state says of itself, for `cvm status`: why rows were refused, what is approximate, who is anonymous."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb


def state_of_sources(work_file: Path) -> dict[str, Any]:
    """Commonest reasons of quarantine with an example, and notes; both empty where nothing was cleaned, or a run is at it."""
    empty: dict[str, Any] = {"quarantine": [], "notes": []}
    if not work_file.exists():
        return empty
    try:
        con = duckdb.connect(str(work_file), read_only=True)
    except duckdb.IOException:
        return {**empty, "notes": ["a run is writing: reasons of quarantine can be read when it has ended"]}
    try:
        tables = {
            row[0]
            for row in con.execute("select table_name from duckdb_tables() where schema_name = 'clean'").fetchall()
        }
        if not {"quarantine", "orders"} <= tables:
            return empty
        reasons = con.execute("""
            select source, rule, count(*) as n, arg_min(file || ':' || line || ' ' || detail, (file, line))
            from clean.quarantine group by source, rule order by n desc, rule limit 10
        """).fetchall()
        anonymous, orders, share = con.execute("""
            select count(*) filter (where customer_id is null), count(*),
                   coalesce(sum(amount) filter (where customer_id is null) / nullif(sum(amount), 0), 0) from clean.orders
        """).fetchall()[0]
        notes = []
        if anonymous:
            notes.append(f"anonymous: {anonymous:,} of {orders:,} orders ({share:.1%} of revenue) have no customer")
        if "approximations" in tables:
            for source, what, rows in con.execute("select source, what, rows from clean.approximations").fetchall():
                notes.append(f"approximate: {source}: {rows:,} rows are {what}")
        quarantine = [f"{source}: {rule} x {n:,}, such as {example}" for source, rule, n, example in reasons]
        return {"quarantine": quarantine, "notes": notes}
    finally:
        con.close()
