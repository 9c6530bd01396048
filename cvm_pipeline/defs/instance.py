"""The Dagster instance of a project: its own, under its home, without telemetry, one run at a time."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from cvm_pipeline.config.home import Home

_SETTINGS = """\
# Written by cvm; one instance per project home.
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  runs: {max_concurrent_runs: 1}
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
    return dg.DagsterInstance.from_config(str(instance_folder(home)))
