"""`cvm gate explain`: why the last candidate was blocked, or what it was warned of."""

from __future__ import annotations

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

gate = typer.Typer(name="gate", help="The quality gate between a candidate and its readers.", no_args_is_help=True)


@gate.callback()
def _family() -> None:
    """A family of commands."""


@gate.command("explain")
def explain(config: Config = None, as_json: AsJson = False) -> None:
    """Tell each failure of the last gate: expected, found, up to ten failing rows, the likeliest cause.

    Examples:  cvm gate explain  ·  cvm gate explain --json
    """
    from cvm_pipeline.defs.gate import report_of
    from cvm_pipeline.quality.explain import explain as told
    from cvm_pipeline.warehouse.gate_record import newest_record

    project = project_of(config, quiet=as_json)
    record = newest_record(project.home)
    if record is None:
        words.fail("No candidate has been judged yet. Start with: cvm run")
    if as_json:
        words.print_json(vars(record))
        return
    verdict = "passed" if record.passed else "blocked"
    words.output().print(f"Candidate {record.publication_id}, as of {record.as_of_date}: {verdict}", soft_wrap=True)
    for line in told(report_of(record)):
        words.output().print(line, markup=False, soft_wrap=True)
