"""The one job `customer_value`, and what happens when a step fails, in it or in a job of the page's own."""

import datetime as dt
from typing import Any

import dagster as dg

from cvm_pipeline.config.exit_codes import BLOCKED, FAILED
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.alerts import send_alert
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.workshop import EXIT_CODE, exit_code_of
from cvm_pipeline.warehouse.attempts import Attempt, Outcome, record_attempt

JOB = "customer_value"


def customer_value_job(project: Project) -> Any:
    """From landing to published, for one snapshot."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        partitions_def=snapshots_of(project),
        description="Land, clean, build facts, value, segment, judge, publish: one snapshot, all or nothing.",
    )


def told(error: BaseException | None) -> tuple[int, str]:
    """The exit code and the one message of a step's error."""
    if isinstance(error, dg.Failure):
        given = error.metadata.get(EXIT_CODE)
        return int(str(given.value)) if given is not None else FAILED, error.description or str(error)
    if type(error).__name__ == "DagsterAssetCheckFailedError":
        return BLOCKED, "the gate blocked the candidate; see `cvm gate explain`. The earlier publication stands"
    if isinstance(error, Exception) and (code := exit_code_of(error)) is not None:
        return code, str(error)
    cause = getattr(error, "__cause__", None)
    if isinstance(error, dg.RetryRequested) and isinstance(cause, Exception):
        return FAILED, f"{type(cause).__name__}: {cause}"
    return FAILED, f"{type(error).__name__}: {error}"


def on_failure(project: Project) -> dg.HookDefinition:
    """Each step that fails goes to the log of runs and to the alerts."""

    @dg.failure_hook(name="record_and_alert")
    def record_and_alert(context: dg.HookContext) -> None:
        code, message = told(context.op_exception)
        now = dt.datetime.now(dt.UTC)
        outcome: Outcome = "blocked" if code == BLOCKED else "failed"
        record_attempt(project.home, Attempt(context.run_id, None, now, now, outcome, f"{context.op.name}: {message}"))
        failed = send_alert(
            project, f"cvm {project.project}: {outcome}", f"{context.op.name}: {message}", context.run_id
        )
        if failed:
            context.log.error(failed)

    return record_and_alert
