"""Value: models of purchasing and spend fitted on small statistics, raced on held-out windows, and every customer scored."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.pictures import pictures_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.lifetime_value import value_model, value_score
from cvm_pipeline.domain.lifetime_value.model_card import model_card, published_model, published_p_alive
from cvm_pipeline.domain.lifetime_value.race import backtest_table
from cvm_pipeline.domain.lifetime_value.race.cuts import plan
from cvm_pipeline.domain.lifetime_value.race.slices import Slices
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.warehouse import fitted_models, marts
from cvm_pipeline.warehouse.versions import read_model_card
from cvm_pipeline.warehouse.work import connect, write_table

_GRAINS = {
    "clv_model_card": "One row per model, cut and metric: parameters, standard errors, likelihood, how each was judged.",
    "clv_backtest": "One row per cut, model and customer judged: what was forecast and what came.",
    "customer_scores": "One row per customer: p_alive, expectations, discounted value and its interval.",
}
_READ = ("fct_customer_snapshot", "fct_customer_slices", "fct_slice_attributes")


def value_assets(project: Project) -> dg.AssetsDefinition:
    """value/clv_model_card, value/clv_backtest and value/customer_scores, from one fit."""

    @dg.multi_asset(
        name="value",
        group_name="value",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        specs=[
            dg.AssetSpec(
                ["value", name],
                description=grain,
                deps=[["marts", name] for name in _READ],
                kinds={"python", "duckdb"},
                owners=["team:data-science"],
            )
            for name, grain in _GRAINS.items()
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
            before = card_before(workshop.project, as_of)
            past = _past(con, workshop.project, as_of, before)
            model = value_model.fit(
                marts.histories(con, as_of),
                marts.repeat_spend(con, as_of),
                marts.base_facts(con, as_of),
                settings_of(workshop.project),
                past,
            )
            kept = fitted_models.keep(workshop.project.home, Valuation.of(model, past.plan.step_days))
            recalled = fitted_models.recall(workshop.project.home, published_model(before))
            unsplit = recalled if isinstance(recalled, str) else ""
            if before is not None and unsplit:
                workshop.progress(f"values are not compared with those before: {unsplit}")
            card = model_card(model, before, (kept.digest, kept.size), unsplit)
            write_table(con, "value.clv_model_card", card.to_batches(), card.schema)
            judged = backtest_table.backtest_rows(model.race, past.slices.customer_id) if model.race else iter(())
            write_table(con, "value.clv_backtest", judged, backtest_table.SCHEMA)
            workshop.progress("scoring customers")
            batches = marts.snapshot_batches(con, as_of, workshop.project.clv.covariates)
            scored = (value_score.score(batch, model) for batch in batches)
            write_table(con, "value.customer_scores", scored, value_score.SCORE_SCHEMA)
            workshop.progress("drawing the model card")
            said: dict[str, Any] = {"champion": model.champion.name, "p_alive": model.p_alive.model.name}
            said |= {"fallback": model.fallback or "none"}
            if known := past.slices.at(as_of):
                said |= pictures_of(model, marts.repeats_by_day(con, as_of), known.rows["T"])
            yield previewed(con, ["value", "clv_model_card"], "value.clv_model_card", **said)
            yield previewed(con, ["value", "clv_backtest"], "value.clv_backtest")
            yield previewed(con, ["value", "customer_scores"], "value.customer_scores")

    return value


def card_before(project: Project, as_of: dt.date) -> pa.Table | None:
    """The model card of the snapshot that memory is read from; None where there is none."""
    earlier = memory_date(project, as_of)
    return read_model_card(project.home, earlier) if earlier else None


def _past(
    con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date, before: pa.Table | None
) -> value_model.Past:
    dates = plan(marts.first_sale(con, as_of), as_of, project.clv.horizon_days)
    told = project.clv.covariates
    return value_model.Past(
        Slices.of(marts.slice_rows(con, dates.slice_dates, told), told), dates, published_p_alive(before)
    )


def settings_of(project: Project) -> value_model.Settings:
    """Section `clv` of the configuration, for the engine."""
    return value_model.Settings(
        time_unit_days=project.clv.time_unit_days,
        horizon_months=project.clv.horizon,
        discount_rate_yearly=project.clv.discount_rate_yearly,
        margin_rate=project.clv.margin_rate,
        models=project.clv.models,
        select_by=project.clv.select_by,
        covariates=project.clv.covariates,
    )
