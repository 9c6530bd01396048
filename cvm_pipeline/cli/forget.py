"""`cvm forget`: one person is erased everywhere, and does not come back."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of
from cvm_pipeline.cli.run import progress_shown


def forget(
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="The customer_id of cvm.customer_value.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the log of runs, where the id is not.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask; needed where there is no terminal.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person: landed rows, quarantine, every kept version, where readers are, gate records, Dagster's history.

    Rows of theirs in files that come later are dropped. Totals that were published stay as they were; the next run counts
    without the person. Your own raw files, exports and backups are yours to clear. Interrupted, ask again. It ends with 1
    where a database or folder that was published to earlier is out of reach: what is said then is left to do.

    Examples:  cvm forget c0042 --reason "request of 3 May"  ·  cvm forget shop:42 --yes -c shop/cvm.yml --json
    """
    project = project_of(config, quiet=as_json, may_be_demo=False)
    if not yes:
        if not sys.stdin.isatty():
            words.fail("cvm forget can't be undone: without a terminal it needs --yes", words.USAGE)
        typer.confirm(f"Erase customer {customer_id} everywhere? This can't be undone", abort=True, err=True)
    from cvm_pipeline.defs.forget import forget as erase

    with progress_shown(as_json) as progress:
        done = erase(project, customer_id, reason, dt.datetime.now(dt.UTC), progress)
    if as_json:
        words.print_json(vars(done))
    elif done.nothing:
        words.say("Nothing was left of this customer; new rows will go on being dropped", style="green")
    else:
        words.say(
            f"Forgotten (mark {done.mark} in the log of runs): {done.landed_rows:,} landed rows, {len(done.versions)} versions"
            f" written anew, {done.target_rows:,} rows in PostgreSQL or Parquet files, {done.records} records of runs",
            style="green",
        )
        words.say("Totals and curves that were published hold no person and stay; the next run counts without this one")
    for path in done.left:
        words.say(
            f"An e-mail address, phone, name or id of theirs still stands in {path}: perhaps another customer has it too",
            style="yellow",
        )
    for told in done.unsure:
        words.say(told, style="yellow")
    for told in done.unreached:
        words.say(f"Not erased from an earlier target. {told}", style="red")
    if not as_json:
        words.next_step("cvm run   (and clear your own raw files, exports and backups)")
    raise typer.Exit(words.FAILED if done.unreached else words.DONE)
