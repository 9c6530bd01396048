"""`cvm rollback`: readers are pointed back at an earlier version."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of


def rollback(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version that `cvm versions` lists.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the log of runs.")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Point readers at an earlier version that is kept, or forward again; at once, in the home and where it publishes to.

    A run that is under way is refused when it comes to publish; the next run builds on the version that stands then.

    Examples:  cvm rollback 2026-11-22T134501Z-3f2a --reason "June's refunds were missing"
    """
    from cvm_pipeline.warehouse.rollback import roll_back
    from cvm_pipeline.warehouse.targets.choose import target_of

    project = project_of(config, quiet=as_json, may_be_demo=False)
    done = roll_back(project.home, version, reason, dt.datetime.now(dt.UTC), target_of(project))
    if as_json:
        words.print_json({"from": done.earlier, **vars(done.now), "leftovers": done.leftovers})
    elif done.earlier == done.now.publication_id:
        words.say(f"{done.earlier} stands already; nothing was changed")
    else:
        words.say(
            f"Readers see {done.now.publication_id} as of {done.now.as_of_date} now (before: {done.earlier})",
            style="green",
        )
        if done.leftovers:
            words.say(done.leftovers, style="yellow")
        forward = words.to_type(f"cvm rollback {done.earlier}")
        words.say(
            "The next run uses all landed files again, those that came after this version too: correct a wrong one first"
        )
        words.next_step(f"cvm status   (and forward again: {forward})")
