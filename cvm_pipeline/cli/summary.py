"""Tables for a person: customers, tiers and stages at the end of a run, and what became of the rows of each source."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cvm_pipeline.cli import words

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project


def print_summary(project: Project, as_of: dt.date | None = None) -> None:
    """Tiers and stages of a snapshot on stdout, by default the newest."""
    from cvm_pipeline.cli.remarks import told_elsewhere
    from cvm_pipeline.domain.contracts import STAGES, TIERS
    from cvm_pipeline.warehouse.summary import told_snapshot

    snapshot = told_snapshot(project.home, as_of)
    if snapshot is None:
        return
    words.say("")
    words.output().print(
        f"{project.project}: {snapshot.customers:,} customers as of {snapshot.as_of_date},"
        f" expected value of the next {project.clv.horizon} months {snapshot.clv:,.0f} {project.currency}"
        f" (champion {snapshot.champion}, p_alive by {snapshot.p_alive_model})",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    for scheme, order in (("tier", TIERS), ("stage", STAGES)):
        shown = words.table(scheme, "customers ", "share ", "clv ", "clv each ", "p_alive ")
        for row in sorted(snapshot.segments[scheme], key=lambda row: order.index(row.segment)):
            alive = "" if row.avg_p_alive is None else f"{row.avg_p_alive:.2f}"
            each = row.clv / row.customers
            shown.add_row(
                row.segment, f"{row.customers:,}", f"{row.share:.1%}", f"{row.clv:,.0f}", f"{each:,.2f}", alive
            )
        words.output().print(shown)
    for model, note in snapshot.notes.items():
        words.say(f"note: {model}: {note}", style="yellow")
    words.output().print(f"Tables: {project.home.published_file}, schema cvm", soft_wrap=True)
    elsewhere = told_elsewhere(project)
    if elsewhere:
        words.output().print(elsewhere, markup=False, soft_wrap=True)


def print_sources(sources: Sequence[Mapping[str, Any]]) -> None:
    """What became of the rows of each source, on stdout."""
    from cvm_pipeline.warehouse.summary import ROW_COUNTS

    shown = words.table("source", *(f"{name} " for name in ROW_COUNTS))
    for row in sources:
        shown.add_row(row["source"], *(f"{row[name]:,}" for name in ROW_COUNTS))
    words.output().print(shown)
