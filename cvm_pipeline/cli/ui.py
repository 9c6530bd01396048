"""`cvm ui`: the Dagster page of the project, with its schedule and sensor running."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import Config, project_of


def ui(
    config: Config = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the page.")] = 3000,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the Dagster page: assets, checks, runs, the schedule and the landing sensor. Ends with Ctrl-C.

    Examples:  cvm ui  ·  cvm ui -c shop/cvm.yml --port 3001
    """
    from cvm_pipeline.defs.instance import ui_command

    project = project_of(config)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            words.fail(f"{host}:{port} can't be served ({error.strerror}). Name another port with --port")
    command, environment = ui_command(project, host, port)
    words.say(f"Serving {project.project} on http://{host}:{port} (home {project.home.root})")
    sys.stderr.flush()
    os.execvpe(command[0], command, environment)
