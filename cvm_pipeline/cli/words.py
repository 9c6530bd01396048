"""How `cvm` speaks: messages on stderr, data on stdout, and the exit codes.

Belongs here: consoles, wording of failures, JSON. Not here: any command, any rule.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cvm_pipeline.config.errors import ConfigurationError
from cvm_pipeline.config.exit_codes import BLOCKED, DONE, FAILED, USAGE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class Stopped(Exception):
    """Somebody stopped the command when a part of it was done; the message says which."""


_project: list[str] = []


@cache
def messages() -> Console:
    """The console for words to a person: stderr, so that data can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@cache
def output() -> Console:
    """The console for tables: stdout."""
    from rich.console import Console

    # Where nobody's screen sets a width, a log or a file should not cut headings.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def say(text: str, style: str | None = None) -> None:
    """One message. Brackets in it are brackets, not markup: `sources[0]`."""
    messages().print(text, style=style, markup=False)


def next_step(command: str) -> None:
    """What to type next."""
    say(f"Next: {to_type(command)}", style="bold")


def to_type(command: str) -> str:
    """A command as it is to be typed: for the same project, and by the name under which this program was called."""
    words = command.split(" ")
    if words[0] == "cvm" and which("cvm") is None and sys.argv[0].endswith("/cvm"):
        words[0] = sys.argv[0]
    if _project:
        words.insert(3 if words[1:2] == ["gate"] else 2, f"-c {quote(_project[0])}")
    return " ".join(words)


def about_project(config: str) -> None:
    """Remember which cvm.yml was named, so that the next step names it too."""
    _project[:] = [config]


def print_json(value: Any) -> None:
    """A value as JSON on stdout; dates and paths as their text."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def table(*columns: str) -> Table:
    """A plain table for stdout; figures go to the right where a column's name ends in a space."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name.strip(), justify="right" if name.endswith(" ") else "left")
    return made


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say what went wrong, where and what to do, and end with `code`."""
    say(message, style="red")
    raise typer.Exit(code)


def fail_configuration(error: ConfigurationError, as_json: bool = False) -> NoReturn:
    """List every mistake of a configuration, one a line (`cvm.yml:12: ...`), and end with USAGE."""
    count = len(error.mistakes)
    if as_json:
        print_json({"file": error.file, "mistakes": [vars(mistake) for mistake in error.mistakes]})
    else:
        for line in error.lines():
            say(line, style="red")
        say(f"{count} mistake{'' if count == 1 else 's'} in {error.file}")
    raise typer.Exit(USAGE)


__all__ = [
    "BLOCKED",
    "DONE",
    "FAILED",
    "USAGE",
    "fail",
    "fail_configuration",
    "messages",
    "next_step",
    "output",
    "print_json",
    "say",
]
