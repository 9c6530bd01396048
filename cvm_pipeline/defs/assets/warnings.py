"""Early warning: who buys or spends less than its own past explains, what that puts at risk, and how past alarms fared."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.warnings import warn
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.lifetime_value.pricing import Pricing
from cvm_pipeline.warehouse import fitted_models
from cvm_pipeline.warehouse.work import connect

_GRAINS = {
    "early_warning": "One row per customer with an alarm, newly raised or standing: level, value at risk, why.",
    "warning_test": "One row per customer with a window: what was expected of it, what came, how likely that was.",
    "warning_record": "One row per level: what became of the alarms whose next window ended in the last 365 days.",
}
_DEPS = (
    ["value", "customer_scores"], ["value", "clv_model_card"], ["marts", "fct_window_histories"],
    ["marts", "fct_transactions"], ["marts", "fct_customer_snapshot"],
)  # fmt: skip


def warning_assets(project: Project) -> dg.AssetsDefinition:
    """value/early_warning, value/warning_test and value/warning_record, from one test of the base."""

    @dg.multi_asset(
        name="warnings",
        group_name="value",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        specs=[
            dg.AssetSpec(
                ["value", name],
                description=grain,
                deps=list(_DEPS),
                kinds={"python", "duckdb"},
                owners=["team:data-science"],
            )
            for name, grain in _GRAINS.items()
        ],
    )
    def warnings(
        context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[dg.MaterializeResult]:
        workshop.progress("looking for early warnings")
        as_of = dt.date.fromisoformat(context.partition_key)
        project = workshop.project
        with (
            plain_failures(project.engine.retries, context.retry_number),
            connect(project.home, workshop.engine) as con,
        ):
            found = warn(con, project, as_of, Pricing.of(fitted_models.current(con, project.home)))
            base = ", ".join(found.base_alarms) or "as its past explains"
            for name in _GRAINS:
                yield previewed(con, ["value", name], f"value.{name}", base=base)

    return warnings
