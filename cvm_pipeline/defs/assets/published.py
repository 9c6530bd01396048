"""Published: what readers see. One asset that can't be run in part and that verifies the gate's record by itself."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from cvm_pipeline.config.home import Home
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.assets.previews import previewed
from cvm_pipeline.defs.gate import complete_suites, required_checks, settings_of
from cvm_pipeline.defs.partitions import snapshots_of
from cvm_pipeline.defs.retention import forget_old_runs
from cvm_pipeline.defs.workshop import Workshop, plain_failures
from cvm_pipeline.domain.contracts import TABLES, Table
from cvm_pipeline.quality.tables import GATED
from cvm_pipeline.warehouse.attempts import Attempt, record_attempt
from cvm_pipeline.warehouse.ddl import qualified
from cvm_pipeline.warehouse.errors import PublicationRefused, WarehouseError
from cvm_pipeline.warehouse.fitted_models import prune
from cvm_pipeline.warehouse.gate_record import newest_judged, read_record
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.targets.choose import target_of
from cvm_pipeline.warehouse.versions import open_standing, read_manifest
from cvm_pipeline.warehouse.work import connect

# A snapshot is late when the next one is overdue by a few days.
_LATE_AFTER = {"daily": 2, "weekly": 9, "monthly": 35, "quarterly": 97}


def published_assets(project: Project) -> dg.AssetsDefinition:
    """One asset per published table; all become visible in one atomic step, or none does."""
    freshness = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(days=_LATE_AFTER[project.cadence]))

    @dg.multi_asset(
        name="publish",
        group_name="published",
        partitions_def=snapshots_of(project),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        can_subset=False,
        specs=[
            dg.AssetSpec(
                key_of(table),
                description=table.grain,
                deps=[["gate", gated.name] for gated in GATED],
                kinds={"duckdb"},
                owners=["team:data-engineering"],
                freshness_policy=freshness,
                metadata={"dagster/column_schema": _column_schema(table)},
            )
            for table in TABLES
        ],
    )
    def publish_all(
        context: dg.AssetExecutionContext, workshop: dg.ResourceParam[Workshop]
    ) -> Iterator[dg.MaterializeResult]:
        workshop.progress("publishing")
        home = workshop.project.home
        with plain_failures(workshop.project.engine.retries, context.retry_number):
            done = publish(
                home,
                _candidate_of(home, context.partition_key),
                required_checks(complete_suites(), settings_of(workshop.project)),
                workshop.project.publish.keep,
                target_of(workshop.project),
            )
            rows = read_manifest(done.folder)["rows"]
            written = rows if isinstance(rows, dict) else {}
            started = dt.datetime.fromtimestamp(
                context.instance.get_run_stats(context.run_id).start_time or workshop.now().timestamp(), dt.UTC
            )
            record_attempt(
                home,
                Attempt(context.run_id, done.as_of_date, started, workshop.now(), "published", done.publication_id),
            )
            forget_old_runs(context.instance, workshop.now())
            _forget_old_models(context, workshop)
        if done.leftovers:
            context.log.warning(done.leftovers)
        with open_standing(home) as con:
            for table in TABLES:
                if con is not None and table.schema == "cvm":
                    yield previewed(con, key_of(table), qualified(table), publication_id=done.publication_id)
                else:
                    # Names and addresses are not for a page, nor is the file that holds them opened for one.
                    told = {"publication_id": done.publication_id, "rows written": written.get(table.name, 0)}
                    yield dg.MaterializeResult(asset_key=key_of(table), metadata=told)

    return publish_all


def _forget_old_models(context: dg.AssetExecutionContext, workshop: Workshop) -> None:
    try:
        with connect(workshop.project.home, workshop.engine) as con:
            prune(workshop.project.home, con)
    except WarehouseError as error:
        # Readers see the publication by now: what can't be cleared away must not call it failed.
        context.log.warning(f"published, but fitted models that no card names could not be removed: {error}")


def _candidate_of(home: Home, day: str) -> str:
    """The candidate judged last, by its record's file's name: a record laid under another name opens nothing."""
    newest = newest_judged(home)
    record = read_record(home, newest) if newest else None
    if newest is None or record is None:
        raise PublicationRefused("of nothing", ["no gate has judged any candidate. Run the whole job"])
    if record.as_of_date.isoformat() != day:
        raise PublicationRefused(
            newest, [f"it is the snapshot of {record.as_of_date}, not of {day}. Run the whole job for {day}"]
        )
    return newest


def key_of(table: Table) -> list[str]:
    """Asset key = schema/table, as readers write it."""
    return [table.schema, table.name]


def _column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[dg.TableColumn(c.name, c.type, c.meaning + (f" ({c.unit})" if c.unit else "")) for c in table.columns]
    )
