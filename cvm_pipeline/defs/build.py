"""All definitions of one project, put together."""

from __future__ import annotations

import dagster as dg

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.clean import clean_assets
from cvm_pipeline.defs.assets.facts import fact_assets
from cvm_pipeline.defs.assets.gate import gate_assets
from cvm_pipeline.defs.assets.landing import landing_assets
from cvm_pipeline.defs.assets.published import published_assets
from cvm_pipeline.defs.assets.segments import segment_assets
from cvm_pipeline.defs.assets.value import value_assets
from cvm_pipeline.defs.assets.value_change import value_change_asset
from cvm_pipeline.defs.assets.warnings import warning_assets
from cvm_pipeline.defs.jobs import customer_value_job, on_failure
from cvm_pipeline.defs.schedules import cadence_schedule, landing_sensor
from cvm_pipeline.defs.workshop import workshop_resource


def build_definitions(project: Project, workshop: dg.ResourceDefinition | None = None) -> dg.Definitions:
    """The assets in the order of the data, the job, its schedule and sensor, and the resource `workshop`.

    `workshop` replaces the one of a scheduled run: a run of the command line reports its progress.
    """
    assets = [
        *landing_assets(),
        clean_assets(),
        fact_assets(project),
        value_assets(project),
        value_change_asset(project),
        warning_assets(project),
        segment_assets(project),
        gate_assets(project),
        published_assets(project),
    ]
    # On the assets and for all jobs: the page's button "Materialize" runs a job of Dagster's own, not `customer_value`.
    told = {on_failure(project)}
    return dg.Definitions(
        assets=[asset.with_hooks(told) for asset in assets],
        # DuckDB has one writer, the run lock is taken once for the whole run, and imports dominate the rest.
        executor=dg.in_process_executor,
        jobs=[customer_value_job(project)],
        schedules=[cadence_schedule(project)],
        sensors=[landing_sensor(project)],
        resources={"workshop": workshop or workshop_resource(project)},
    )
