"""dbt in this process: the manifest prepared when it is missing or stale, and a build with it.

A dbt subprocess costs some ten seconds a step, the runner in this process less than one (measured: stack_facts.md,
section 1). Snapshot dates reach the models by the environment: changed `--vars` would force a full parse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from cvm_pipeline.config.environment import dbt_variables, variables
from cvm_pipeline.config.paths import dbt_project_folder
from cvm_pipeline.config.project import Project
from cvm_pipeline.domain.lifetime_value.race.cuts import Plan
from cvm_pipeline.warehouse.errors import WarehouseError

# By the fingerprint of the dbt project they were parsed from: nothing of a home is in them.
_manifests: dict[str, Any] = {}


def prepare_manifest(project: Project) -> Path:
    """The path of manifest.json, parsed anew if the dbt project has changed since. Raises WarehouseError."""
    path = project.home.dbt_target / "manifest.json"
    stamp = path.with_name("parsed_from")
    parsed_from = _fingerprint(dbt_project_folder())
    if not path.exists() or not stamp.exists() or stamp.read_text() != parsed_from:
        _manifests[parsed_from] = _parsed(project, path)
        stamp.write_text(parsed_from)
    return path


def build(project: Project, plan: Plan, arguments: Sequence[str], extra_slice_dates: Collection[date] = ()) -> Any:
    """Run `dbt build` for one snapshot, the slices of its plan and those that hold everybody, and return dbt's own result.

    Unit tests and slow tests are the test suite's, not a run's.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    manifest = _manifest(project)
    try:
        told = dbt_variables(project, plan.as_of, plan, extra_slice_dates=extra_slice_dates)
        with _environment(told, project):
            return dbtRunner(manifest=manifest).invoke(
                ["build", "--quiet", "--exclude", "resource_type:unit_test", "tag:slow", *_where(), *arguments]
            )
    finally:
        # Otherwise this process keeps the work file's lock.
        DuckDBConnectionManager.close_all_connections()


def _manifest(project: Project) -> Any:
    """dbt's own manifest object, once per process; read from the partial parse that lies beside manifest.json."""
    path, parsed_from = prepare_manifest(project), _fingerprint(dbt_project_folder())
    if parsed_from not in _manifests:
        _manifests[parsed_from] = _parsed(project, path)
    return _manifests[parsed_from]


def _parsed(project: Project, path: Path) -> Any:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _environment(dbt_variables(project, project.history_start), project):
            parsed = dbtRunner().invoke(["parse", "--quiet", *_where()])
    finally:
        DuckDBConnectionManager.close_all_connections()
    if not parsed.success:
        raise WarehouseError(
            f"preparing the facts in {path.parent}: {parsed.exception}. Check free disk and permissions there"
        )
    return parsed.result


def _where() -> list[str]:
    folder = str(dbt_project_folder())
    return ["--project-dir", folder, "--profiles-dir", folder]


def _environment(told: Mapping[str, str], project: Project) -> ExitStack:
    scratch = project.home.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    stack = ExitStack()
    stack.enter_context(
        variables(
            {
                **told,
                "CVM_MEMORY_LIMIT": project.engine.memory_limit,
                "CVM_TEMP_DIR": str(scratch),
                **({"CVM_THREADS": str(project.engine.threads)} if project.engine.threads else {}),
            }
        )
    )
    return stack


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".sql", ".yml"):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()
