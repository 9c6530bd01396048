"""`cvm run`: the whole job for one snapshot, with progress, and what it came to."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project
    from cvm_pipeline.defs.launch import Outcome

_STEPS = 12


def run(
    config: Config = None,
    as_of: Annotated[
        dt.datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], metavar="DATE",
                     help="Snapshot date (default: yesterday, but not later than the newest order)."),
    ] = None,
    select: Annotated[
        str | None, typer.Option("--select", metavar="ASSETS", help="Only these assets, in Dagster's selection syntax.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option("--accept", metavar="CHECK", help="Accept this failing relative check, this once.")
    ] = None,
    reason: Annotated[
        list[str] | None, typer.Option("--reason", metavar="TEXT", help="Why; one for each --accept, recorded.")
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Ingest, build facts, value and segment customers, judge the result and publish it.

    Examples:  cvm run  ·  cvm run -c shop/cvm.yml --as-of 2024-06-30
      ·  cvm run --accept customers_did_not_drop --reason "we bought a rival's base"
    """
    if len(accept or []) != len(reason or []):
        words.fail("each --accept needs its own --reason", words.USAGE)
    project = project_of(config, quiet=as_json, may_be_demo=False)
    day = as_of.date() if as_of else None
    if day is not None and not project.history_start <= day <= dt.datetime.now(project.zone).date():
        words.fail(f"--as-of {day}: snapshots run from {project.history_start} (history_start) to today", words.USAGE)
    outcome = execute(project, day, select, dict(zip(accept or [], reason or [], strict=True)), quiet=as_json)
    if as_json:
        words.print_json(vars(outcome) | (_standing(project) if outcome.published else {}))
    else:
        report(project, outcome)
    raise typer.Exit(outcome.exit_code)


def execute(
    project: Project, as_of: dt.date | None, select: str | None, accept: dict[str, str], quiet: bool = False
) -> Outcome:
    """Run the job with progress on stderr."""
    with progress_shown(quiet) as progress:
        progress("starting")
        from cvm_pipeline.defs.launch import run_customer_value

        return run_customer_value(project, as_of, select, accept, progress)


def report(project: Project, outcome: Outcome) -> None:
    """The end of a run in words: what was published, or why not."""
    from cvm_pipeline.cli.summary import print_summary

    for message in outcome.messages:
        words.say(message, style="red")
    if outcome.exit_code == words.DONE and outcome.published:
        print_summary(project, outcome.as_of)
        _tell_quality(project)
        words.say(f"Published {outcome.published} as of {outcome.as_of}", style="green")
        _tell_behind(project, outcome.as_of)
        words.next_step("cvm status   (or query the tables, or cvm export customer_value --to customers.xlsx)")
    elif outcome.exit_code == words.DONE:
        words.say(f"Materialised as of {outcome.as_of}; nothing was published", style="green")
    elif outcome.exit_code == words.BLOCKED:
        words.next_step("cvm gate explain" if "gate explain" in " ".join(outcome.messages) else "cvm check")
    else:
        words.next_step("cvm status   (or the same command with --debug)")


def _tell_quality(project: Project) -> None:
    """What a glad reader of the figures should know as well."""
    from cvm_pipeline.cli.remarks import out_of_date, told_out_of_date, told_vanished, told_warnings, vanished
    from cvm_pipeline.warehouse.summary import publications, published_sources, warnings_of

    newest = publications(project.home)[0]
    words.say(f"Gate: {newest['gate_summary']}")
    for line in told_warnings(newest["publication_id"], warnings_of(project.home, newest["publication_id"])):
        words.say(line, style="yellow")
    refused = sum(row["quarantined"] for row in published_sources(project.home))
    if refused:
        words.say(f"{refused:,} rows are quarantined; `cvm status` tells why", style="yellow")
    for line in told_vanished(vanished(project)):
        words.say(line, style="yellow")
    dates = out_of_date(project)
    for line in told_out_of_date(project, dates["changed_snapshots"], dates["stale_snapshots"]):
        words.say(line, style="yellow")


def _standing(project: Project) -> dict[str, Any]:
    """What readers see after this run, for a script: another snapshot than the run's, where that was for an earlier day."""
    from cvm_pipeline.cli.remarks import out_of_date
    from cvm_pipeline.warehouse.versions import snapshots

    return {"newest_snapshot": snapshots(project.home)[-1].as_of_date, **out_of_date(project)}


def _tell_behind(project: Project, as_of: dt.date) -> None:
    """Loudly, where readers' newest tables are not of this run."""
    from cvm_pipeline.cli.remarks import told_behind
    from cvm_pipeline.warehouse.versions import snapshots

    behind = told_behind(as_of, snapshots(project.home)[-1].as_of_date)
    if behind:
        words.say(behind, style="bold yellow")


@contextmanager
def progress_shown(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal; elsewhere one line a step, so that a log tells where time went."""
    started = time.monotonic()
    if quiet:
        yield lambda step: None
    elif not sys.stderr.isatty():
        yield lambda step: words.say(f"{time.monotonic() - started:6.1f} s  {step}")
    else:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
        with Progress(*columns, console=words.messages(), transient=True) as bar:
            task = bar.add_task("starting", total=_STEPS)
            yield lambda step: bar.update(task, description=step, advance=1)
