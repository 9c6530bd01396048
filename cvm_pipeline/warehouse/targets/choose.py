"""Which target a project publishes to beside its own files."""

from __future__ import annotations

from cvm_pipeline.config.project import Project
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget
from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget
from cvm_pipeline.warehouse.targets.protocol import Target


def target_of(project: Project) -> Target | None:
    """The target that `publish.target` names; None where readers use the home's own files."""
    publish = project.publish
    if publish.target == "postgres":
        assert publish.dsn is not None  # the section refuses to be without
        return PostgresTarget(publish.dsn.get_secret_value())
    if publish.target == "parquet":
        return ParquetTarget(project.root / publish.folder if publish.folder else project.home.root / "parquet")
    return None
