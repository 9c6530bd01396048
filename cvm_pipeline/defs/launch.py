"""Runs of the job, as `cvm run` and `cvm backfill` start them: the very job of the web page, in this process, under the
home's lock.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from cvm_pipeline.config.exit_codes import DONE, FAILED
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.as_of import newest_sensible_day
from cvm_pipeline.defs.build import build_definitions
from cvm_pipeline.defs.gate import complete_suites
from cvm_pipeline.defs.instance import instance_of
from cvm_pipeline.defs.jobs import JOB, told
from cvm_pipeline.defs.workshop import SelectionRefused, utc_now, workshop_resource
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.versions import standing


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `exit_code` as in interface.md; `published` is the publication's id where there is a new one."""

    exit_code: int
    as_of: dt.date
    run_id: str
    messages: tuple[str, ...] = ()
    published: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def run_customer_value(
    project: Project,
    as_of: dt.date | None = None,
    select: str | None = None,
    accept: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda step: None,
    now: Callable[[], dt.datetime] = utc_now,
) -> Outcome:
    """Run the job for one snapshot. Raises LockHeld where another run holds the home, WarehouseError where it can't be
    written; every other end is in the Outcome.

    `select` is Dagster's own selection syntax. `accept`: relative checks accepted for this candidate, with reasons.
    """
    _refuse_unknown_checks(accept or {})
    with run_lock(project.home, "cvm run"):
        day = as_of or newest_sensible_day(project, now(), progress)
        if day < project.history_start:
            raise SelectionRefused(
                f"the newest order is of {day}, before history_start {project.history_start}: set history_start in"
                f" {project.file} to the first day of your history"
            )
        with started(project, progress, now) as launcher:
            return launcher.run(day, select, accept)


@dataclass(frozen=True)
class Launcher:
    """The job, ready to run: what takes seconds to start is paid once, however many snapshots follow."""

    project: Project
    definitions: dg.Definitions
    job: dg.JobDefinition
    instance: dg.DagsterInstance

    def run(self, day: dt.date, select: str | None = None, accept: Mapping[str, str] | None = None) -> Outcome:
        """One run of the job for one snapshot. The caller holds the home's lock."""
        before = standing(self.project.home)
        run_id = str(uuid.uuid4())
        result = self.job.execute_in_process(
            instance=self.instance,
            partition_key=day.isoformat(),
            run_id=run_id,
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                **({"ops": {"gate": {"config": {"accept": dict(accept)}}}} if accept else {}),
            },
            asset_selection=_selected(self.definitions, select),
            raise_on_error=False,
        )
        after = standing(self.project.home)
        code, messages = _ending(result)
        return Outcome(
            exit_code=code,
            as_of=day,
            run_id=result.run_id,
            messages=messages,
            published=after.name if after is not None and after != before else None,
            seconds=_seconds(result),
        )


@contextmanager
def started(
    project: Project, progress: Callable[[str], None], now: Callable[[], dt.datetime] = utc_now
) -> Iterator[Launcher]:
    """A launcher of the project's job. `progress` is told each step as it begins."""
    # Seconds, in which the step before would seem to go on.
    progress("preparing the job")
    definitions = build_definitions(project, workshop_resource(project, now, progress))
    with instance_of(project.home) as instance:
        yield Launcher(project, definitions, definitions.resolve_job_def(JOB), instance)


def _refuse_unknown_checks(accept: Mapping[str, str]) -> None:
    """Before the run, not after it: an acceptance must name a relative check. Raises SelectionRefused."""
    relative = {check.name: check for suite in complete_suites().values() for check in suite.checks if check.relative}
    unknown = [name for name in accept if name not in relative]
    if unknown:
        # Thirty more only warn: to accept one of those is allowed, but never needed.
        blocking = sorted(name for name, check in relative.items() if check.severity == "critical")
        raise SelectionRefused(
            f"--accept {unknown[0]}: of the checks that block, only these can be accepted: {', '.join(blocking)}"
        )


def _selected(definitions: dg.Definitions, select: str | None) -> list[dg.AssetKey] | None:
    """The assets that are meant, with the others of a computation that can't be run in part. Raises SelectionRefused."""
    if select is None:
        return None
    graph = definitions.resolve_asset_graph()
    try:
        chosen = dg.AssetSelection.from_string(select).required_multi_asset_neighbors().resolve(graph)
    except (dg.DagsterError, ValueError) as error:
        raise SelectionRefused(f"--select {select!r} can't be read: {str(error).splitlines()[0]}") from error
    if not chosen:
        raise SelectionRefused(f"--select {select!r} fits no asset. Such as: group:landing, or 'key:\"clean/orders\"+'")
    return sorted(chosen)


def _ending(result: dg.ExecuteInProcessResult) -> tuple[int, tuple[str, ...]]:
    if result.success:
        return DONE, ()
    codes, messages = [FAILED], []
    for event in result.all_events:
        if event.is_step_failure:
            code, message = _told_by(event)
            codes.append(code)
            messages.append(message)
        elif event.is_failure and not messages:
            messages.append(event.message or "the run failed")
    first = codes[1:] or codes
    return max(first), tuple(dict.fromkeys(messages))


def _told_by(event: dg.DagsterEvent) -> tuple[int, str]:
    failure = event.step_failure_data
    if failure.user_failure_data is not None:
        given = failure.user_failure_data
        return told(dg.Failure(given.description, metadata=dict(given.metadata or {})))
    error = failure.error
    name = error.cls_name if error is not None else None
    if name == "DagsterExecutionInterruptedError":
        raise KeyboardInterrupt
    if name == "DagsterAssetCheckFailedError":
        return told(type("DagsterAssetCheckFailedError", (Exception,), {})())
    root = error
    while root is not None and root.cause is not None:
        root = root.cause
    return FAILED, (root.message.strip() if root is not None else "a step failed")


def _seconds(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    return {
        event.step_key: event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success and event.step_key
    }
