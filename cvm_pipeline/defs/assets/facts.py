"""Facts: the dbt models as assets, each dbt test a check. The translation is dagster-dbt's; the run is ours, in process."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import duckdb

from cvm_pipeline.config.exit_codes import FAILED
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.dbt_runner import build, prepare_manifest
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.lifetime_value.race.cuts import plan
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.work import connect

_LAYERS = {"staging": "marts", "intermediate": "marts", "marts": "marts"}


def fact_assets(project: Project) -> dg.AssetsDefinition:
    """The assets of dbt_project/, partitioned by snapshot."""
    from dagster_dbt import DagsterDbtTranslator, dbt_assets
    from dagster_dbt.asset_utils import (
        get_asset_check_key_for_test,
        get_manifest_and_translator_from_dbt_assets,
        get_subset_selection_for_context,
    )

    class Translator(DagsterDbtTranslator):
        def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
            return _LAYERS.get(str(dbt_resource_props["fqn"][1]))

        def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str] | None:
            return ["team:analytics-engineering"]

    manifest_path = prepare_manifest(project)

    @dbt_assets(
        manifest=manifest_path,
        name="facts",
        exclude="resource_type:unit_test tag:slow",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        dagster_dbt_translator=Translator(),
    )
    def facts(context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]) -> Iterator[Any]:
        manifest, translator = get_manifest_and_translator_from_dbt_assets([context.assets_def])[:2]
        selection, _ = get_subset_selection_for_context(
            context=context,
            manifest=manifest,
            select="fqn:*",
            exclude="",
            selector="",
            dagster_dbt_translator=translator,
            current_dbt_indirect_selection_env=None,
        )
        workshop.progress("building facts")
        as_of = dt.date.fromisoformat(context.partition_key)
        with plain_failures(workshop.project.engine.retries, context.retry_number):
            with connect(workshop.project.home, workshop.engine) as con:
                dates = plan(marts.first_sale(con, as_of), as_of, workshop.project.clv.horizon_days)
            done = build(workshop.project, dates, selection, extra_slice_dates(workshop.project, as_of))
        unnamed = []
        with connect(workshop.project.home, workshop.engine) as con:
            for result in done.result.results if done.result else ():
                node, status = result.node, str(result.status)
                if str(node.resource_type) == "model" and status == "success":
                    key = translator.get_asset_spec(manifest, node.unique_id, None).key
                    yield _materialised(con, key, result)
                elif str(node.resource_type) == "test" and status != "skipped":
                    check = get_asset_check_key_for_test(manifest, translator, node.unique_id, None)
                    if check is not None:
                        yield _check(check, result)
                if status in ("error", "fail", "runtime error"):
                    unnamed.append(f"{node.name}: {result.message}")
        if not done.success:
            said = "; ".join(unnamed[:5]) or str(done.exception)
            raise dg.Failure(
                f"dbt could not build the facts: {said}. The earlier publication stands",
                metadata={"exit_code": dg.MetadataValue.int(FAILED)},
                allow_retries=False,
            )

    return facts


def extra_slice_dates(project: Project, as_of: dt.date) -> set[dt.date]:
    """Days beside the plan's at whose end everybody is looked at: the snapshot that values are compared with."""
    earlier = memory_date(project, as_of)
    return {earlier} if earlier else set()


def _materialised(con: duckdb.DuckDBPyConnection, key: dg.AssetKey, result: Any) -> dg.MaterializeResult:
    """Marts with their rows and first ones; names and addresses of people are not for a page."""
    schema, name = key.path
    seconds = round(result.execution_time, 2)
    if schema != "marts":
        return dg.MaterializeResult(asset_key=key, metadata={"seconds": seconds})
    return previewed(con, key.path, f"marts.{name}", private=name.startswith("dim_customers"), seconds=seconds)


def _check(key: dg.AssetCheckKey, result: Any) -> dg.AssetCheckResult:
    warns = str(getattr(result.node.config, "severity", "error")).lower() == "warn"
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=str(result.status) == "pass",
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        metadata=json.loads(json.dumps({"failing rows": result.failures or 0, "message": result.message or ""})),
    )
