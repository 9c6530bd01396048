"""Clean: the contract, the audit and the quarantine; what of the landed rows stands, in the project's currency and days."""

from collections.abc import Iterator

import dagster as dg

from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.project_sources import clean_settings, specs_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.sources.clean import build_clean_if_changed
from cvm_pipeline.sources.entities import ENTITIES
from cvm_pipeline.sources.ingest import landed
from cvm_pipeline.warehouse.work import connect

_GRAINS = {
    "orders": "One row per order or return document that stands, signed, in the project's currency.",
    "order_lines": "One row per product line of an order that stands; lines keep their digits.",
    "products": "One row per product, its newest version.",
    "customers": "One row per customer record and dated version.",
    "exchange_rates": "One row per currency and day.",
    "return_allocations": "One row per return and order that bears it.",
    "unmatched_returns": "One row per return, or part of one, that no earlier order could bear.",
    "quarantine": "One row per refused row: where it stands, its text, the rule and the detail.",
    "approximations": "One row per source and kind of row whose cancellation or return has no date of its own.",
    "ingest_audit": "One row per source and file content: what became of each row read.",
}


def clean_assets() -> dg.AssetsDefinition:
    """All tables of schema `clean`: one computation, never run in part."""

    @dg.multi_asset(
        name="clean",
        group_name="clean",
        specs=[
            dg.AssetSpec(
                ["clean", name],
                description=grain,
                deps=[["landing", entity] for entity in ENTITIES],
                kinds={"duckdb", "sql"},
                owners=["team:data-engineering"],
            )
            for name, grain in _GRAINS.items()
        ],
    )
    def clean(
        context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[dg.MaterializeResult]:
        project = workshop.project
        with plain_failures(project.engine.retries, context.retry_number):
            sources = landed(specs_of(project), project.home.landing)
            with connect(project.home, workshop.engine) as con:
                built = build_clean_if_changed(
                    con, sources, clean_settings(project, workshop.now()), project.config_hash, workshop.progress
                )
                context.log.info("clean tables were built" if built else "nothing has changed: clean tables stand")
                for name in _GRAINS:
                    # Names, addresses and raw rows of people are not for a page.
                    private = name in ("customers", "quarantine")
                    yield previewed(con, ["clean", name], f"clean.{name}", private=private)

    return clean
