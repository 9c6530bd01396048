"""`cvm demo`: the whole job on embedded data, from nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from cvm_pipeline.cli import words


def demo(
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="The embedded data set: cdnow.")] = "cdnow",
) -> None:
    """Run everything on the real CDNOW data (23,570 customers), below ./.cvm, and prove the models on the papers' case.

    Examples:  cvm demo
    """
    from pathlib import Path

    from cvm_pipeline.cli.run import execute, report
    from cvm_pipeline.config.environment import ConfigChoice
    from cvm_pipeline.config.load import load_choice
    from cvm_pipeline.config.paths import demo_config

    try:
        config = demo_config(dataset)
    except FileNotFoundError as error:
        words.fail(str(error), words.USAGE)
    project = load_choice(ConfigChoice(config, Path.cwd(), is_demo=True))
    outcome = execute(project, None, None, {})
    report(project, outcome)
    if outcome.exit_code == words.DONE:
        _prove()
    raise typer.Exit(outcome.exit_code)


def _prove() -> None:
    from cvm_pipeline.report.proof import papers_case

    words.output().print(papers_case().line(), markup=False, soft_wrap=True)
