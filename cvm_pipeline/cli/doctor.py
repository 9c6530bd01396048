"""`cvm doctor`: is this installation sound, and can this project run here?"""

from __future__ import annotations

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def doctor(config: Config = None, as_json: AsJson = False) -> None:
    """Check versions, the engine, free disk, permissions, the lock, the suites and the schedule.

    Examples:  cvm doctor  ·  cvm doctor --json
    """
    from cvm_pipeline.defs.doctor import examine

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
