"""`cvm init`: a commented cvm.yml in a folder, from the look of the user's own files where there are any.

Belongs here: arguments, words and exit codes. Not here: what is proposed (`config/proposal.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.config.environment import CONFIG_NAME

if TYPE_CHECKING:
    from cvm_pipeline.config.proposal import Proposal

_EXAMPLES = """Writes a commented cvm.yml into DIR; with --from, sniffs the files and proposes the mapping.

Examples:  cvm init shop  ·  cvm init shop --from exports/*.csv  ·  cvm init . --from orders.xlsx --force
"""


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project; made where it isn't there.")],
    more_files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further files of --from.")
    ] = None,
    from_files: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE...", help="Files, or a folder of them, to sniff.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a cvm.yml that is there.")] = False,
) -> None:
    from cvm_pipeline.config.template import write_config

    if more_files and not from_files:
        words.fail(f"{more_files[0]}: say --from before the files", words.USAGE)
    target = directory / CONFIG_NAME
    if target.exists() and not force:
        words.fail(f"{target} is there already. Write it anew with --force, or choose another folder", words.USAGE)
    files = sorted(set(_files([*(from_files or []), *(more_files or [])])))
    if from_files and not files:
        words.fail(f"{from_files[0]} holds no file that could be read", words.USAGE)
    proposal = _proposal(files, directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        target.write_text(write_config(directory.resolve().name or "project", proposal), encoding="utf-8")
    except OSError as error:
        words.fail(f"{target} can't be written: {error.strerror}. Choose a folder that you may write to")
    words.say(f"Wrote {target}")
    for entry in proposal.entries:
        asked = sum(len(notes) > 0 for column, notes in entry.notes.items() if column)
        look = f"; {asked} to look at, see its comments" if asked else ""
        words.say(f"  {entry.entity}: {entry.path} ({len(entry.columns)} columns{look})")
    for path in proposal.left_out:
        words.say(f"  not taken: {path}")
    words.about_project(str(target))
    words.next_step("cvm check")


init.__doc__ = _EXAMPLES


def _files(given: list[Path]) -> Iterator[Path]:
    from cvm_pipeline.config.source import format_of

    for path in given:
        if path.is_dir():
            yield from (file for file in path.iterdir() if file.is_file() and format_of(file.name))
        else:
            yield path


def _proposal(files: list[Path], directory: Path) -> Proposal:
    from cvm_pipeline.config.heads import read_head
    from cvm_pipeline.config.proposal import propose
    from cvm_pipeline.config.sniff import UnreadableSampleError

    heads = {}
    for file in files:
        try:
            heads[_as_written(file, directory)] = read_head(file)
        except UnreadableSampleError as error:
            words.fail(f"{file}: {error}")
        except OSError as error:
            words.fail(f"{file} can't be read: {error.strerror or error}")
    return propose(heads)


def _as_written(file: Path, directory: Path) -> str:
    """A file's path as cvm.yml writes it: from the project's folder, absolute only where they share no folder at all."""
    file, directory = file.parent.resolve() / file.name, directory.resolve()
    apart = Path(os.path.commonpath((file, directory))) == Path(file.anchor)
    return str(file) if apart else os.path.relpath(file, directory)
