"""Snapshots as partitions: one a day, its key the as_of_date, from `history_start` to today."""

from __future__ import annotations

import dagster as dg

from cvm_pipeline.config.project import Project


def snapshots_of(project: Project) -> dg.DailyPartitionsDefinition:
    """The project's days. Today has one too: a day's evening run is for that day."""
    return dg.DailyPartitionsDefinition(
        start_date=project.history_start.isoformat(), timezone=project.timezone, end_offset=1
    )
