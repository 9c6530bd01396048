"""The Dagster instance of a project: its own, under its home, without telemetry, one run at a time."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from cvm_pipeline.config.environment import config_variables, environment, variables
from cvm_pipeline.config.home import Home
from cvm_pipeline.config.project import Project

_SETTINGS = """\
# Written by cvm; one instance per project home.
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  runs: {max_concurrent_runs: 1}
# Steps say what they do by events; catching their output as well would start two processes a step.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
# The library's own, with its connections kept: in DAGSTER_HOME/history, as by default.
event_log_storage:
  module: cvm_pipeline.defs.event_log
  class: EventLog
  config: {base_dir: {env: DAGSTER_HOME}}
retention:
  schedule: {purge_after_days: 90}
  sensor: {purge_after_days: {skipped: 7, failure: 90, success: 90}}
"""


def instance_folder(home: Home) -> Path:
    """DAGSTER_HOME of the project, made and configured where it is not."""
    folder = home.dagster.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_text(_SETTINGS)
    return folder


def instance_of(home: Home) -> dg.DagsterInstance:
    """The project's instance: runs started by `cvm` and by the web page stand in the same history."""
    folder = str(instance_folder(home))
    # Its settings name the variable.
    with variables({"DAGSTER_HOME": folder}):
        return dg.DagsterInstance.from_config(folder)


def ui_command(project: Project, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves the project's page with its daemon, and its environment."""
    command = [sys.executable, "-m", "dagster", "dev", "-m", "cvm_pipeline.definitions", "-h", host, "-p", str(port)]
    own = {
        "DAGSTER_HOME": str(instance_folder(project.home)),
        # The sensor lands and cleans new files to know their newest day: a large delivery takes longer than a minute.
        "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "3600",
    }
    return command, {**environment(), **own, **config_variables(project)}
