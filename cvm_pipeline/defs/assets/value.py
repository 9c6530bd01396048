"""Value: models of purchasing and spend fitted on small statistics, and every customer's value scored with them."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.lifetime_value import value_model
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.work import connect, write_table


def value_assets(project: Project) -> dg.AssetsDefinition:
    """value/clv_model_card and value/customer_scores, from one fit."""

    @dg.multi_asset(
        name="value",
        group_name="value",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        specs=[
            dg.AssetSpec(
                ["value", name],
                description=grain,
                deps=[["marts", "fct_customer_snapshot"]],
                kinds={"python", "duckdb"},
                owners=["team:data-science"],
            )
            for name, grain in (
                (
                    "clv_model_card",
                    "One row per model, cut and metric: parameters, standard errors, likelihood, fallbacks.",
                ),
                ("customer_scores", "One row per customer: p_alive, expectations and discounted value."),
            )
        ],
    )
    def value(
        context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[dg.MaterializeResult]:
        workshop.progress("fitting lifetime value")
        as_of = dt.date.fromisoformat(context.partition_key)
        with (
            plain_failures(workshop.project.engine.retries, context.retry_number),
            connect(workshop.project.home, workshop.engine) as con,
        ):
            model = value_model.fit(
                marts.histories(con, as_of),
                marts.repeat_spend(con, as_of),
                marts.base_facts(con, as_of),
                settings_of(workshop.project),
            )
            card = model.card()
            write_table(con, "value.clv_model_card", card.to_batches(), card.schema)
            workshop.progress("scoring customers")
            scored = (value_model.score(batch, model) for batch in marts.snapshot_batches(con, as_of))
            write_table(con, "value.customer_scores", scored, value_model.SCORE_SCHEMA)
            yield previewed(con, ["value", "clv_model_card"], "value.clv_model_card", fallback=model.fallback or "none")
            yield previewed(con, ["value", "customer_scores"], "value.customer_scores")

    return value


def settings_of(project: Project) -> value_model.Settings:
    """Section `clv` of the configuration, for the engine."""
    return value_model.Settings(
        time_unit_days=project.clv.time_unit_days,
        horizon_months=project.clv.horizon,
        discount_rate_yearly=project.clv.discount_rate_yearly,
        margin_rate=project.clv.margin_rate,
    )
