"""Value change: why each customer's clv is another than at the snapshot before."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import duckdb
import pyarrow as pa

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.assets.value import card_before
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.behaviour_states import windows_needed, words_needed
from cvm_pipeline.domain.lifetime_value.model_card import published_model
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.domain.value_change import SCHEMA, changes
from cvm_pipeline.warehouse import change_rows, fitted_models
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.work import connect, write_table

_READ = (["value", "customer_scores"], ["value", "clv_model_card"], ["marts", "fct_customer_slices"],
         ["marts", "fct_slice_transactions"], ["marts", "fct_slice_attributes"])  # fmt: skip


def value_change_asset(project: Project) -> dg.AssetsDefinition:
    """value/value_change, from both snapshots' states and models."""

    @dg.asset(
        key=["value", "value_change"],
        description="One row per customer with value then or now: the change of clv since the snapshot before, and why.",
        group_name="value",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        deps=[dg.AssetKey(key) for key in _READ],
        kinds={"python", "duckdb"},
        owners=["team:data-science"],
    )
    def value_change(
        context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[dg.MaterializeResult]:
        workshop.progress("comparing values with those before")
        as_of = dt.date.fromisoformat(context.partition_key)
        with (
            plain_failures(workshop.project.engine.retries, context.retry_number),
            connect(workshop.project.home, workshop.engine) as con,
        ):
            rows = _rows(con, workshop.project, as_of)
            write_table(con, "value.value_change", rows, SCHEMA)
            change_rows.drop_scratch(con)
            yield previewed(con, ["value", "value_change"], "value.value_change")

    return value_change


def _rows(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date) -> Iterator[pa.RecordBatch]:
    """None where there is no snapshot before, or where its model can't be had: the model card says so."""
    earlier = memory_date(project, as_of)
    before, now = _model_before(project, as_of), fitted_models.current(con, project.home)
    if earlier is None or before is None:
        return iter(())
    if not change_rows.has_slice(con, earlier):
        raise WarehouseError(
            f"the facts do not hold the base of {earlier}, which was published since. Run the whole job"
        )
    change_rows.write_clv_before(con, project.home, earlier)
    if windows := windows_needed(before, now):
        change_rows.write_windows(con, (earlier, as_of), (before.step_days, now.step_days))
    batches = change_rows.change_batches(con, earlier, as_of, words_needed(before, now), windows)
    return (changes(batch, before, now) for batch in batches)


def _model_before(project: Project, as_of: dt.date) -> Valuation | None:
    found = fitted_models.recall(project.home, published_model(card_before(project, as_of)))
    return None if isinstance(found, str) else found
