"""`cvm check`: the configuration, the files and the contract, tried out in a scratch folder; nothing is materialised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

if TYPE_CHECKING:
    from cvm_pipeline.defs.trial import Trial


def check(config: Config = None, as_json: AsJson = False) -> None:
    """Validate cvm.yml, read every file, map and account for every row. Materialises nothing.

    Examples:  cvm check  ·  cvm check -c shop/cvm.yml --json
    """
    from cvm_pipeline.cli.run import progress_shown

    project = project_of(config, quiet=as_json, may_be_demo=False)
    with progress_shown(as_json) as progress:
        progress("reading the files")
        from cvm_pipeline.defs.trial import try_out

        trial = try_out(project, progress)
    if as_json:
        words.print_json({**vars(trial), "vanished": [vars(file) for file in trial.vanished]})
    else:
        _report(trial)
    raise typer.Exit(trial.exit_code)


def _report(trial: Trial) -> None:
    from cvm_pipeline.cli.remarks import told_vanished
    from cvm_pipeline.cli.summary import print_sources

    print_sources(trial.sources)
    for reason in trial.reasons:
        words.say(f"quarantined: {reason}", style="yellow")
    for note in trial.notes:
        words.say(f"note: {note}")
    for line in told_vanished(trial.vanished):
        words.say(line, style="yellow")
    for problem in trial.problems:
        words.say(problem, style="red")
    if trial.exit_code == words.DONE:
        words.say("The configuration, the files and the contract fit together", style="green")
        words.next_step("cvm run")
