"""What `cvm doctor` looks at: each finding says what was examined, what was found, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

import duckdb

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.gate import complete_suites
from cvm_pipeline.quality.suite import SuiteIncomplete
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.lock import lock_holder
from cvm_pipeline.warehouse.targets.choose import target_of
from cvm_pipeline.warehouse.versions import standing
from cvm_pipeline.warehouse.work import STORAGE_VERSION

_NEEDED = {"dagster": "1.13", "dagster-dbt": "0.29", "dbt-core": "1.11", "dbt-duckdb": "1.11", "duckdb": "2.0",
           "great-expectations": "1.24", "pandas": "3."}  # fmt: skip
_LITTLE_DISK = 2 * 10**9


class Finding(NamedTuple):
    """One thing examined."""

    level: Literal["ok", "warn", "fail"]
    what: str
    found: str


def examine(project: Project) -> list[Finding]:
    """Everything that a run needs, examined without starting one."""
    return [
        Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *_packages(),
        _engine(),
        _home(project),
        _disk(project),
        _lock(project),
        _published(project),
        *_target(project),
        _suites(),
        _sources(project),
        _schedule(project),
    ]


def _packages() -> list[Finding]:
    findings = []
    for name, wanted in _NEEDED.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            findings.append(Finding("fail", name, "not installed; install from deploy/requirements.lock"))
            continue
        fits = found.startswith(wanted)
        told = found if fits else f"{found}, but {wanted} is what this was tested with; install from the lock"
        findings.append(Finding("ok" if fits else "warn", name, told))
    return findings


def _engine() -> Finding:
    try:
        con = duckdb.connect(config={"storage_compatibility_version": STORAGE_VERSION})
        con.execute("select timezone('Europe/Rome', timestamp '2024-01-01 12:00:00')").fetchall()
        con.close()
    except duckdb.Error as error:
        return Finding("fail", "engine", f"DuckDB does not work here ({str(error).splitlines()[0]})")
    return Finding("ok", "engine", f"DuckDB works, with time zones, writing storage {STORAGE_VERSION}")


def _home(project: Project) -> Finding:
    root = project.home.root
    nearest = root
    while not nearest.exists():
        nearest = nearest.parent
    try:
        # Trying is the only proof: root may write anywhere by its permissions, and still not below /proc.
        Path(tempfile.mkdtemp(prefix=".cvm-doctor-", dir=nearest)).rmdir()
    except OSError as error:
        told = f"{nearest} can't be written ({error.strerror}); change its permissions or `home` in cvm.yml"
        return Finding("fail", "home", told)
    return Finding("ok", "home", f"{root} can be written")


def _disk(project: Project) -> Finding:
    nearest: Path = project.home.root
    while not nearest.exists():
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free
    told = f"{free / 1e9:,.1f} GB free"
    return Finding("ok", "disk", told) if free > _LITTLE_DISK else Finding("warn", "disk", f"only {told} at {nearest}")


def _lock(project: Project) -> Finding:
    holder = lock_holder(project.home)
    if holder is None:
        return Finding("ok", "lock", "no run is at work")
    return Finding("warn", "lock", f"{holder.command} runs: process {holder.pid} on {holder.host} since {holder.since}")


def _published(project: Project) -> Finding:
    try:
        folder = standing(project.home)
    except WarehouseError as error:
        return Finding("fail", "published", str(error))
    return Finding("ok", "published", f"{folder.name} stands" if folder else "nothing yet")


def _target(project: Project) -> list[Finding]:
    target = target_of(project)
    if target is None:
        return []
    try:
        # Not by holding it: a publication that comes meanwhile would be refused.
        shown = target.shown()
    except WarehouseError as error:
        return [Finding("fail", "publish", str(error))]
    folder = standing(project.home)
    if shown == (folder.name if folder else None):
        return [Finding("ok", "publish", f"{target.name} shows {shown or 'nothing yet'}")]
    return [
        Finding(
            "warn", "publish", f"{target.name} shows {shown or 'nothing yet'}; the next publication brings it level"
        )
    ]


def _suites() -> Finding:
    try:
        suites = complete_suites()
    except SuiteIncomplete as error:
        return Finding("fail", "suites", "; ".join(error.problems[:5]))
    return Finding(
        "ok", "suites", f"{len(suites)} suites, {sum(len(s.checks) for s in suites.values())} checks, complete"
    )


def _sources(project: Project) -> Finding:
    return Finding("ok", "sources", ", ".join(f"{source.name} ({source.path})" for source in project.sources))


def _schedule(project: Project) -> Finding:
    alerts = project.engine.alerts
    to = [kind for kind, given in (("webhook", alerts.webhook), ("e-mail", alerts.email)) if given is not None]
    told = (
        f"{project.cadence} at {project.engine.schedule_at} {project.timezone}, while `cvm ui` or a Dagster daemon runs"
    )
    if not to:
        return Finding("warn", "schedule", f"{told}; no alert is configured (engine.alerts)")
    return Finding("ok", "schedule", f"{told}; alerts by {' and '.join(to)}")
