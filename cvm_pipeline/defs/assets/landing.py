"""Landing: one asset per entity; its files, known by their content, as text."""

import dagster as dg

from cvm_pipeline.defs.project_sources import specs_of, suppression_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.sources.entities import ENTITIES, Entity
from cvm_pipeline.sources.ingest import land


def landing_assets() -> list[dg.AssetsDefinition]:
    """One asset for each entity of the source contract, configured or not."""
    return [_landing_asset(entity) for entity in ENTITIES.values()]


def _landing_asset(entity: Entity) -> dg.AssetsDefinition:
    @dg.asset(
        key=["landing", entity.name],
        group_name="landing",
        kinds={"file", "parquet"},
        owners=["team:data-engineering"],
        description=f"One row per record of every landed file of `{entity.name}` ({entity.grain}), as text, with its line.",
    )
    def landed(context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]) -> dg.MaterializeResult:
        project = workshop.project
        specs = [spec for spec in specs_of(project) if spec.entity == entity.name]
        if specs:
            workshop.progress(f"landing {entity.name}")
        with plain_failures(project.engine.retries, context.retry_number):
            now = workshop.now()
            reports = land(specs, project.root, project.home.landing, now, suppression=suppression_of(project, now))
        files = [file for report in reports for file in report.files if file.standing]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(file.rows for file in files),
                "files": len(files),
                "new files": sum(report.landed for report in reports),
                "unparsable rows": sum(file.rejected for file in files),
                "empty files": dg.MetadataValue.json([name for report in reports for name in report.empty]),
                "files no longer there": dg.MetadataValue.json([name for report in reports for name in report.gone]),
            }
        )

    return landed
