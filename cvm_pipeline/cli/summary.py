"""The short readable end of a run: customers, tiers, stages, and where the tables are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cvm_pipeline.cli import words

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project


def print_summary(project: Project) -> None:
    """Tiers and stages of the newest snapshot on stdout."""
    from cvm_pipeline.warehouse.summary import newest_snapshot

    newest = newest_snapshot(project.home)
    if newest is None:
        return
    words.say("")
    words.output().print(
        f"[bold]{project.project}[/bold]: {newest.customers:,} customers as of {newest.as_of_date},"
        f" expected value of the next {project.clv.horizon} months {newest.clv:,.0f} {project.currency}"
        f" (model {newest.model})"
    )
    for title, scheme in (("tier", "tier"), ("stage", "stage")):
        shown = words.table(title, "customers ", "share ", "clv ", "clv each ", "p_alive ")
        for row in newest.segments[scheme]:
            alive = "" if row.avg_p_alive is None else f"{row.avg_p_alive:.2f}"
            each = row.clv / row.customers
            shown.add_row(
                row.segment, f"{row.customers:,}", f"{row.share:.1%}", f"{row.clv:,.0f}", f"{each:,.2f}", alive
            )
        words.output().print(shown)
    words.output().print(f"Tables: {project.home.published_file}, schema cvm", soft_wrap=True)
