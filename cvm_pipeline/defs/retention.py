"""How long Dagster's own record of runs is kept; every other retention is kept by who writes the thing."""

from __future__ import annotations

import datetime as dt

import dagster as dg

KEEP_RUNS = dt.timedelta(days=365)


def forget_old_runs(instance: dg.DagsterInstance, now: dt.datetime) -> int:
    """Delete runs, with their events, that ended more than a year ago; returns how many."""
    old = instance.get_run_records(dg.RunsFilter(created_before=now - KEEP_RUNS), limit=100)
    for record in old:
        instance.delete_run(record.dagster_run.run_id)
    return len(old)
