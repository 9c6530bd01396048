"""`cvm doctor`: is this installation sound, and can this project run here?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project

_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def doctor(
    config: Config = None,
    setup_warehouse: Annotated[
        bool,
        typer.Option(
            "--setup-warehouse", help="First create roles and schemas in PostgreSQL, with an administrator's DSN."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check versions, the engine, free disk, permissions, the lock, where it publishes, the suites and the schedule.

    Examples:  cvm doctor  ·  cvm doctor --json
      ·  CVM_WAREHOUSE_DSN=postgresql://admin:...@host/db cvm doctor --setup-warehouse
    """
    from cvm_pipeline.defs.doctor import examine

    if setup_warehouse:
        _set_up(project_of(config, quiet=as_json, may_be_demo=False))

    findings = examine(project_of(config, quiet=as_json))
    if as_json:
        words.print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark, style = _MARKS[finding.level]
            words.output().print(
                f"{mark}  {finding.what}: {finding.found}",
                style=None if finding.level == "ok" else style, markup=False, soft_wrap=True,
            )  # fmt: skip
    raise typer.Exit(words.FAILED if any(finding.level == "fail" for finding in findings) else words.DONE)


def _set_up(project: Project) -> None:
    from cvm_pipeline.warehouse.targets.choose import target_of
    from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget

    target = target_of(project)
    if not isinstance(target, PostgresTarget):
        words.fail(
            "--setup-warehouse is for PostgreSQL: set publish.target: postgres and publish.dsn in cvm.yml", words.USAGE
        )
    for line in target.set_up():
        words.say(line)
