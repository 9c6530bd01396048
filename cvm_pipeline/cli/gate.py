"""`cvm gate explain`: why the last candidate was blocked, or what it was warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

if TYPE_CHECKING:
    from cvm_pipeline.config.home import Home
    from cvm_pipeline.warehouse.gate_record import GateRecord

gate = typer.Typer(name="gate", help="The quality gate between a candidate and its readers.", no_args_is_help=True)


@gate.callback()
def _family() -> None:
    """A family of commands."""


@gate.command("explain")
def explain(
    publication: Annotated[
        str | None, typer.Argument(metavar="[PUBLICATION]", help="Which candidate (default: the newest judged).")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Tell each failure of the last gate: expected, found, up to ten failing rows, the likeliest cause.

    Examples:  cvm gate explain  ·  cvm gate explain 2026-11-22T134501Z-3f2a  ·  cvm gate explain --json
    """
    from cvm_pipeline.defs.gate import report_of
    from cvm_pipeline.quality.explain import explain as told

    project = project_of(config, quiet=as_json, needs_secrets=False)
    record = _record_of(project.home, publication)
    if as_json:
        words.print_json(vars(record))
        return
    ending = _ending(project.home, record)
    words.output().print(f"Candidate {record.publication_id}, as of {record.as_of_date}: {ending}", soft_wrap=True)
    for line in told(report_of(record), record.as_of_date, words.to_type):
        words.output().print(line, markup=False, soft_wrap=True)


def _record_of(home: Home, publication: str | None) -> GateRecord:
    from cvm_pipeline.warehouse.gate_record import newest_record, read_record

    if publication is None:
        record = newest_record(home)
        if record is None:
            words.fail("No candidate has been judged yet. Start with: cvm run")
        return record
    try:
        record = read_record(home, publication)
    except ValueError as error:
        words.fail(str(error), words.USAGE)
    if record is None:
        words.fail(f"{home.gate} holds no record of {publication}: the newest hundred candidates' are kept")
    return record


def _ending(home: Home, record: GateRecord) -> str:
    """Blocked or passed, and whether readers see it."""
    from cvm_pipeline.warehouse.summary import publications
    from cvm_pipeline.warehouse.versions import standing, versions

    if not record.passed:
        return "blocked"
    folder = standing(home)
    if folder is None:
        return "passed, never published"
    if folder.name == record.publication_id:
        return "passed, and readers see it"
    if any(row["publication_id"] == record.publication_id for row in publications(home)):
        return f"passed, published, and part of what readers see now ({folder.name})"
    if any(version.publication_id == record.publication_id for version in versions(home)):
        return f"passed and published, but it no longer stands: readers were pointed back to {folder.name}"
    return f"passed, but readers don't see it: {folder.name} stands"
