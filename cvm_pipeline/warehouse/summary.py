"""What stands, in a few figures: for the end of a run and for `cvm status`.

Belongs here: small reads of the published file, and of the audit of rows, published or not. Not here: how they are shown (`cli/`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.versions import open_standing

ROW_COUNTS = ("files", "read", "accepted", "quarantined", "duplicate", "filtered", "superseded")


@dataclass(frozen=True)
class SegmentRow:
    """One row of segment_summary, as far as it is told."""

    segment: str
    customers: int
    share: float
    clv: Decimal
    avg_p_alive: float | None


@dataclass(frozen=True)
class Warned:
    """A check that failed and did not keep the publication back: it only warns, or somebody accepted it."""

    suite: str
    check: str
    observed: str
    accepted_reason: str | None


@dataclass(frozen=True)
class ToldSnapshot:
    """One published snapshot."""

    as_of_date: date
    publication_id: str
    customers: int
    clv: Decimal
    champion: str
    p_alive_model: str
    notes: dict[str, str]
    segments: dict[str, list[SegmentRow]]


def told_snapshot(home: Home, as_of: date | None = None) -> ToldSnapshot | None:
    """A snapshot that readers see, by default the newest; None where there is none."""
    with open_standing(home) as con:
        if con is None:
            return None
        newest, publication_id = con.execute(
            "select as_of_date, publication_id from cvm.current_publication"
        ).fetchall()[0]
        as_of = as_of or newest
        customers, clv = con.execute(
            "select count(*), coalesce(sum(clv), 0) from cvm.customer_value_history where as_of_date = ?", [as_of]
        ).fetchall()[0]
        if not customers:
            return None
        chosen = dict(
            con.execute(
                """select metric, model from cvm.clv_model_card
                   where as_of_date = ? and cut_date = 'all' and metric in ('is_champion', 'gives_p_alive') and value = 1""",
                [as_of],
            ).fetchall()
        )
        notes = con.execute(
            """select distinct model, note from cvm.clv_model_card
               where as_of_date = ? and cut_date = 'all' and metric in ('converged', 'fallback') and note is not null""",
            [as_of],
        ).fetchall()
        rows = con.execute(
            """select scheme, segment, customers, share, clv, avg_p_alive from cvm.segment_summary
               where as_of_date = ? order by scheme, segment""",
            [as_of],
        ).fetchall()
    segments: dict[str, list[SegmentRow]] = {"tier": [], "stage": []}
    for scheme, *row in rows:
        segments.setdefault(scheme, []).append(SegmentRow(*row))
    return ToldSnapshot(
        as_of,
        publication_id,
        customers,
        clv,
        chosen.get("is_champion", "none"),
        chosen.get("gives_p_alive", "none"),
        {model: note for model, note in sorted(notes) if model in chosen.values()},
        segments,
    )


def publications(home: Home) -> list[dict[str, Any]]:
    """Every row of `publication`, newest first."""
    with open_standing(home) as con:
        if con is None:
            return []
        cursor = con.execute(
            """select publication_id, as_of_date, data_through, published_at, gate_summary, rows_by_table, code_version
               from cvm.publication order by published_at desc"""
        )
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def warnings_of(home: Home, publication_id: str) -> list[Warned]:
    """What a publication was warned of, worst first: what would have blocked, then what speaks of the whole base, then of
    most rows."""
    with open_standing(home) as con:
        if con is None:
            return []
        rows = con.execute(
            """select suite, expectation, observed, accepted_reason from cvm.data_quality_result
               where publication_id = ? and not success
               order by severity <> 'critical', suite <> 'gate_fact', suite <> 'customer_value',
                        coalesce(unexpected_count, 0) desc, suite, expectation""",
            [publication_id],
        ).fetchall()
    return [Warned(*row) for row in rows]


def stale_snapshots(home: Home, is_on_grid: Callable[[date], bool]) -> list[date]:
    """Snapshots built before an earlier one on the grid was last rewritten: what they remember is out of date."""
    with open_standing(home) as con:
        if con is None:
            return []
        written = con.execute("""
            select h.as_of_date, max(p.published_at)
            from (select distinct as_of_date, publication_id from cvm.customer_value_history) h
            join cvm.publication p using (publication_id) group by h.as_of_date order by h.as_of_date
        """).fetchall()
    stale, newest = [], None
    for day, at in written:
        if newest is not None and newest > at:
            stale.append(day)
        if is_on_grid(day):
            newest = at if newest is None else max(newest, at)
    return stale


def inputs_of_snapshots(home: Home) -> dict[date, str | None]:
    """Snapshot -> the digest of what it could know (`publication.inputs`), as readers see it."""
    with open_standing(home) as con:
        if con is None:
            return {}
        rows = con.execute("""
            select h.as_of_date, max_by(p.inputs, p.published_at)
            from (select distinct as_of_date, publication_id from cvm.customer_value_history) h
            join cvm.publication p using (publication_id) group by h.as_of_date
        """).fetchall()
    return dict(rows)


def published_sources(home: Home) -> list[dict[str, Any]]:
    """`rows_by_source` of the publication that stands; empty where there is none."""
    with open_standing(home) as con:
        return [] if con is None else rows_by_source(con, "cvm.ingest_audit")


def rows_by_source(con: duckdb.DuckDBPyConnection, audit: str) -> list[dict[str, Any]]:
    """What became of the rows of each source, from an ingest audit: `source`, then the counts of ROW_COUNTS."""
    rows = con.execute(f"""
        select source, count(*), sum(rows_read), sum(rows_accepted), sum(rows_quarantined), sum(rows_duplicate),
               sum(rows_filtered), sum(rows_superseded)
        from {audit} group by source order by source
    """).fetchall()
    return [{"source": row[0], **dict(zip(ROW_COUNTS, map(int, row[1:]), strict=True))} for row in rows]
