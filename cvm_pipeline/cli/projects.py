"""Which project a command is about, and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cvm_pipeline.cli import words

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project

Config = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", metavar="FILE", help="The project's cvm.yml (default: CVM_CONFIG, ./cvm.yml, the demo)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


def project_of(
    config: Path | None, quiet: bool = False, may_be_demo: bool = True, needs_secrets: bool = True
) -> Project:
    """The project that is meant; a command that only reads the home needs no secret to be set. Raises ConfigurationError; ends with USAGE where only the demo could be meant and may not."""
    from cvm_pipeline.config.environment import choose_config
    from cvm_pipeline.config.load import load_choice

    choice = choose_config(config)
    if config is not None:
        words.about_project(str(config))
    if choice.is_demo and not may_be_demo:
        words.fail(
            "No cvm.yml here. Name one with -c, write one with `cvm init DIR`, or run the demo with `cvm demo`",
            words.USAGE,
        )
    if choice.is_demo and not quiet:
        words.say("No cvm.yml here: this is about the embedded demo. Write one with: cvm init DIR", style="dim")
    return load_choice(choice, secrets=needs_secrets)
