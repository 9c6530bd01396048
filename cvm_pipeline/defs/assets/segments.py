"""Segments: RFM, tiers, lifecycle and loyalty fitted and scored, and the tables that are candidates for publication."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.gate import CANDIDATES
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.pictures import pictures_of_base
from cvm_pipeline.defs.segmentation import fit_segments, rule_versions, write_candidates
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.contracts import table
from cvm_pipeline.domain.customer_value import Memory
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.versions import read_memory, read_parameter
from cvm_pipeline.warehouse.work import connect


def segment_assets(project: Project) -> dg.AssetsDefinition:
    """Every table that a publication is made of, as candidates; one computation, never run in part."""

    @dg.multi_asset(
        name="segments",
        group_name="segments",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        specs=[
            dg.AssetSpec(
                ["candidate", name],
                description=table(name).grain,
                deps=[["value", "customer_scores"], ["value", "clv_model_card"], ["value", "clv_backtest"], ["value", "value_change"],
                      ["value", "early_warning"], ["value", "warning_test"], ["value", "warning_record"], ["marts", "dim_customers_as_of"],
                      ["marts", "fct_unmatched_returns"], ["marts", "fct_snapshot_base"], ["marts", "fct_cohort_periods"],
                      ["marts", "fct_customer_slices"], ["clean", "ingest_audit"]],
                kinds={"python", "duckdb"},
                owners=["team:data-science"],
            )
            for name in CANDIDATES
        ],
    )  # fmt: skip
    def segments(
        context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[dg.MaterializeResult]:
        workshop.progress("segmenting customers")
        as_of = dt.date.fromisoformat(context.partition_key)
        project = workshop.project
        with (
            plain_failures(project.engine.retries, context.retry_number),
            connect(project.home, workshop.engine) as con,
        ):
            write_candidates(con, project, as_of, fit_segments(con, project, as_of), _memory(con, project, as_of))
            pictures = pictures_of_base(con, as_of)
            for name in CANDIDATES:
                shown: dict[str, Any] = pictures.get(name, {})
                yield previewed(con, ["candidate", name], f"candidate.{name}", private=name == "customer_pii", **shown)

    return segments


def _memory(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date) -> Memory | None:
    earlier = memory_date(project, as_of)
    rows: pa.Table | None = read_memory(project.home, earlier) if earlier else None
    if rows is None or earlier is None:
        return None
    # Rules that have changed since are a cause of their own: the lost may leave without a transaction.
    then = read_parameter(project.home, earlier, "stage", "rule_version")
    now = rule_versions(project, marts.model_that_gives_p_alive(con))["stage"]
    return Memory(rows, keeps_stages=then is None or then == now)
