"""Gate: the next publication, built beside what stands, with one blocking check for each critical expectation."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.gate import FACTS, Verdict, audit, complete_suites
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.quality.results import CheckResult
from cvm_pipeline.quality.suite import Suite
from cvm_pipeline.quality.tables import GATED
from cvm_pipeline.warehouse.inputs import inputs_digest
from cvm_pipeline.warehouse.marts import data_through
from cvm_pipeline.warehouse.work import connect

CANDIDATES = ("customer_value", "customer", "customer_pii", "segment_membership", "segment_summary", "segment_parameter",
         "pareto_curve", "clv_model_card", "clv_backtest", "unmatched_return", "ingest_audit",
         "customer_state_history", "value_change", "cohort_retention", "stage_transitions",
         "tier_transitions", "early_warning", "warning_test", "warning_record")  # fmt: skip


class GateConfig(dg.Config):
    """`accept`: relative checks that are accepted for this candidate alone, each with the reason that is recorded."""

    accept: dict[str, str] = Field(default_factory=dict)


def gate_assets(project: Project) -> dg.AssetsDefinition:
    """One asset per gated table, and its suite's checks; never run in part."""
    suites = complete_suites()

    @dg.multi_asset(
        name="gate",
        group_name="gate",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        specs=[
            dg.AssetSpec(
                ["gate", table.name],
                description=f"{table.grain} Judged by its suite, not yet published.",
                deps=[["candidate", name] for name in CANDIDATES],
                kinds={"duckdb", "greatexpectations"},
                owners=["team:data-engineering"],
            )
            for table in GATED
        ],
        check_specs=[spec for suite in suites.values() for spec in _check_specs(suite)],
    )
    def gate(
        context: dg.AssetExecutionContext, config: GateConfig, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[Any]:
        workshop.progress("judging the candidate")
        as_of = dt.date.fromisoformat(context.partition_key)
        with plain_failures(workshop.project.engine.retries, context.retry_number):
            with connect(workshop.project.home, workshop.engine) as con:
                through = data_through(con)
                inputs = inputs_digest(con, as_of, workshop.project.config_hash)
            verdict = audit(
                workshop.project, workshop.engine, as_of, context.run_id, workshop.now(), config.accept, through, inputs
            )
        yield from _materialised(verdict)
        for result in verdict.report.results:
            yield _check_result(result)

    return gate


def _check_specs(suite: Suite) -> Iterator[dg.AssetCheckSpec]:
    for check in suite.checks:
        yield dg.AssetCheckSpec(
            check.name, asset=["gate", suite.name], blocking=check.severity == "critical", description=check.notes
        )


def _materialised(verdict: Verdict) -> Iterator[dg.MaterializeResult]:
    failed = {
        name: sum(r.suite == name for r in verdict.report.failures())
        for name in {r.suite for r in verdict.report.results}
    }
    for table in GATED:
        metadata: dict[str, Any] = {
            "publication_id": verdict.candidate.publication_id,
            "failed checks": failed.get(table.name, 0),
        }
        if table.name != FACTS and table.name in verdict.candidate.rows:
            metadata["dagster/row_count"] = verdict.candidate.rows[table.name]
        yield dg.MaterializeResult(asset_key=["gate", table.name], metadata=metadata)


def _check_result(result: CheckResult) -> dg.AssetCheckResult:
    passed = result.success or result.accepted_reason is not None
    metadata: dict[str, Any] = {"expected": result.expected, "observed": result.observed}
    if not result.success:
        metadata["failing rows"] = dg.MetadataValue.json(json.loads(json.dumps(result.failing_rows, default=str)))
        metadata["likely cause"] = result.likely_cause
        metadata["unexpected"] = result.unexpected_count or 0
    if result.accepted_reason:
        metadata["accepted because"] = result.accepted_reason
    severity = dg.AssetCheckSeverity.ERROR if result.severity == "critical" else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=["gate", result.suite],
        check_name=result.name,
        passed=passed,
        severity=severity,
        metadata=metadata,
    )
