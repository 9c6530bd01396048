"""`cvm backfill`: a history of snapshots, one for each period, oldest first."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of
from cvm_pipeline.cli.run import progress_shown

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project
    from cvm_pipeline.defs.backfill import Step


def backfill(
    config: Config = None,
    first: Annotated[
        dt.datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE",
                     help="First day of the range (default: the day of the first order)."),
    ] = None,
    last: Annotated[
        dt.datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE",
                     help="Last day of the range (default: yesterday, but not later than the newest order)."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make one snapshot for each period of `cadence` in the range, oldest first; stop at the first that is blocked.

    What stands already is left alone, unless its data were corrected since: so the same command goes on where it stopped.

    Examples:  cvm backfill  ·  cvm backfill --from 2023-01-01 --to 2024-06-30  ·  cvm backfill -c shop/cvm.yml --json
    """
    project = project_of(config, quiet=as_json, may_be_demo=False)
    days = [given.date() if given else None for given in (first, last)]
    today = dt.datetime.now(project.zone).date()
    if days[0] and days[1] and days[0] > days[1]:
        words.fail(f"--from {days[0]} lies after --to {days[1]}", words.USAGE)
    if days[1] and days[1] > today:
        words.fail(f"--to {days[1]}: there is no snapshot of a day to come", words.USAGE)
    told, code = _made(project, *days, quiet=as_json)
    if as_json:
        words.print_json(told)
    elif code == words.DONE:
        words.next_step("cvm status   (or query customer_value_history, customer_state_history, stage_transitions)")
    elif code == words.BLOCKED:
        words.next_step(
            "cvm gate explain, and mend or accept what it tells; then the same command goes on where it stopped"
        )
    raise typer.Exit(code)


def _made(
    project: Project, first: dt.date | None, last: dt.date | None, *, quiet: bool
) -> tuple[list[dict[str, Any]], int]:
    """What was done each day, told as it comes, and the exit code of the last."""
    told, code = [], words.DONE
    with progress_shown(quiet) as progress:
        progress("starting")
        from cvm_pipeline.defs.backfill import backfill as steps_of

        began = time.monotonic()
        try:
            for step in steps_of(project, first, last, progress):
                row = _row(step, time.monotonic() - began)
                began = time.monotonic()
                told.append(row)
                code = row["exit_code"]
                if not quiet:
                    _tell(row, step)
        except KeyboardInterrupt:
            if not any(row["published"] for row in told):
                raise
            stays = "the snapshots that were published stay; the same command goes on with the next"
            raise words.Stopped(f"Stopped after {told[-1]['as_of']}: {stays}") from None
    return told, code


def _row(step: Step, seconds: float) -> dict[str, Any]:
    outcome = step.outcome
    return {
        "as_of": step.day,
        "why": step.why,
        "published": outcome.published if outcome else None,
        "exit_code": outcome.exit_code if outcome else words.DONE,
        "messages": outcome.messages if outcome else (),
        "seconds": round(seconds, 1),
    }


def _tell(row: dict[str, Any], step: Step) -> None:
    where = f"{row['as_of']} ({step.number} of {step.of})"
    if row["exit_code"] != words.DONE:
        words.say(f"{where}: stopped here", style="red")
        for message in row["messages"]:
            words.say(message, style="red")
    elif row["published"] is None:
        words.say(f"{where}: {row['why']}")
    else:
        words.say(f"{where}: published {row['published']}, {row['why']}, {row['seconds']:.0f} s", style="green")
