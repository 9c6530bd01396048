"""When runs start by themselves: after each period of the cadence, and when new files arrive in the landing zone."""

import datetime as dt
import hashlib
import json
import time

import dagster as dg

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.as_of import newest_sensible_day
from cvm_pipeline.defs.jobs import JOB
from cvm_pipeline.defs.project_sources import specs_of
from cvm_pipeline.defs.workshop import utc_now
from cvm_pipeline.sources.ingest import landed_state, waiting_files
from cvm_pipeline.warehouse.errors import LockHeld
from cvm_pipeline.warehouse.lock import run_lock

# A file that was changed within this time may still be growing.
_AT_REST_SECONDS = 30
_DAY_OF = {"daily": "* * *", "weekly": "* * 1", "monthly": "1 * *", "quarterly": "1 1,4,7,10 *"}


def cadence_schedule(project: Project) -> dg.ScheduleDefinition:
    """One run after each period, for the snapshot of its last day."""
    hour, minute = project.engine.schedule_at.split(":")

    @dg.schedule(
        name="after_each_period",
        job_name=JOB,
        cron_schedule=f"{int(minute)} {int(hour)} {_DAY_OF[project.cadence]}",
        execution_timezone=project.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The snapshot of the {project.cadence} period that has just ended.",
    )
    def after_each_period(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        as_of = context.scheduled_execution_time.astimezone(project.zone).date() - dt.timedelta(days=1)
        return dg.RunRequest(run_key=f"{as_of}", partition_key=as_of.isoformat())

    return after_each_period


def landing_sensor(project: Project) -> dg.SensorDefinition:
    """A run when files lie in the landing zone that were not landed yet, and lie still; for the day of the as-of rule."""

    @dg.sensor(
        name="new_files",
        job_name=JOB,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Files that have arrived since the last landing, once nothing is being written any more.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        specs = specs_of(project)
        waiting = waiting_files(specs, project.root, project.home.landing)
        if any(time.time() - changed < _AT_REST_SECONDS for _, _, changed in waiting):
            return dg.SkipReason("new files are still being written")
        # The cursor is what was landed at the last request. A tick that died after landing, or files landed by hand and
        # not yet run for, are seen by it though nothing waits any more.
        if not waiting and context.cursor in (None, landed_state(specs, project.home.landing)):
            if context.cursor is None:
                context.update_cursor(landed_state(specs, project.home.landing))
            return dg.SkipReason("no new files")
        try:
            with run_lock(project.home, "new_files"):
                # Data that ended in 1998 is judged in 1998: only the files themselves can tell.
                as_of = newest_sensible_day(project, utc_now())
        except LockHeld as held:
            return dg.SkipReason(str(held))
        state = landed_state(specs, project.home.landing)
        # A file that is refused stays waiting: one run tells of it, not one a minute.
        key = hashlib.sha256(json.dumps([state, [file[:2] for file in waiting]]).encode()).hexdigest()[:16]
        request = dg.RunRequest(run_key=f"{key}-{as_of}", partition_key=as_of.isoformat())
        return dg.SensorResult(run_requests=[request], cursor=state)

    return new_files
