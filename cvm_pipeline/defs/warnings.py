"""Early warning of one snapshot: models at the windows' starts, two passes over the base, alarms, and the record of past ones.

Belongs here: which statistics go to which domain function, and which result to which table. Not here: any rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.domain.contracts import EARLY_WARNING, SEGMENT_PARAMETER, WARNING_RECORD
from cvm_pipeline.domain.customer_value import arrow_schema
from cvm_pipeline.domain.early_warning import alarms, levels, record, step_up, tables, testing, windows
from cvm_pipeline.domain.early_warning.lengths import WINDOW_DAYS
from cvm_pipeline.domain.early_warning.parameters import Summary, parameters
from cvm_pipeline.domain.early_warning.windows import Start
from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.pricing import Pricing
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.base_fit import SpendSample
from cvm_pipeline.domain.lifetime_value.registry import p_alive_models
from cvm_pipeline.warehouse import marts, warning_facts, warnings_past
from cvm_pipeline.warehouse.versions import snapshots
from cvm_pipeline.warehouse.work import read_batches, write_table


def warn(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date, pricing: Pricing) -> Summary:
    """value.early_warning, value.warning_test, value.warning_record and value.warning_parameters of one snapshot."""
    earlier = _earlier(project, as_of)
    memory = warnings_past.newest_alarms(project.home, earlier)
    write_table(con, "value.warning_memory", memory.to_batches(), warnings_past.MEMORY_SCHEMA)
    starts = fit_starts(con, project, as_of)
    threshold = _test(con, project, as_of, starts)
    raised = warning_facts.mark_raised(con, threshold)
    cuts = _cuts(con, project, as_of)
    stood = _standing(con, project, as_of)
    new = alarms.raised(warning_facts.raised_rows(con, as_of), starts, threshold, pricing, cuts, as_of)
    rows = pa.concat_tables([new, stood])
    write_table(con, "value.early_warning", rows.to_batches(), alarms.SCHEMA)
    _write_record(con, project, as_of, earlier)
    family, others = _counted(con)
    without = sum(start.timing is None for start in starts)
    found = Summary(
        project.warnings.fdr, threshold, family, others, raised, stood.num_rows, without, cuts,
        tables.index_table(warning_facts.candidate_sums(con)),
    )  # fmt: skip
    told = pa.table(list(zip(*sorted(parameters(found).items()), strict=True)), schema=_PARAMETER)
    write_table(con, "value.warning_parameters", told.to_batches(), _PARAMETER)
    return found


_PARAMETER = pa.schema([("parameter", pa.string()), ("value", pa.float64())])


def fit_starts(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date) -> list[Start]:
    """The models at each window's start, oldest first: p_alive's own model, fitted on what was known there."""
    name = marts.model_that_gives_p_alive(con)
    if name not in p_alive_models():
        return [Start(days, None, (), f"{name} gives p_alive: there is no rate to be tested") for days in WINDOW_DAYS]
    found = []
    for days in WINDOW_DAYS:
        rows = warning_facts.start_histories(con, as_of, days)
        x, t_x, T, customers = (to_floats(rows[column]) for column in ("frequency", "recency", "T", "customers"))
        money, mean = warning_facts.start_spend(con, as_of, days)
        bought, sales, sharing = (to_floats(money[column]) for column in ("frequency", "repeat_sales", "customers"))
        spend = SpendSample(bought, sales, sharing, mean)
        histories = PurchaseHistories.from_days(x, t_x, T, customers, 1.0).grouped()
        found.append(windows.fit_start(days, name, project.clv.time_unit_days, histories, spend))
    return found


def warning_candidates(con: duckdb.DuckDBPyConnection) -> None:
    """candidate.early_warning, warning_test and warning_record, once candidate.customer_value knows the tiers."""
    rows = (alarms.with_tier_falls(batch) for batch in warning_facts.warnings_with_tiers(con))
    write_table(con, "candidate.early_warning", rows, arrow_schema(EARLY_WARNING))
    for name, schema in (("warning_test", tables.TEST_SCHEMA), ("warning_record", arrow_schema(WARNING_RECORD))):
        batches = (batch.cast(schema) for batch in read_batches(con, f"select * from value.{name}"))
        write_table(con, f"candidate.{name}", batches, schema)


def warning_parameters(con: duckdb.DuckDBPyConnection, as_of: dt.date) -> pa.Table:
    """segment_parameter, scheme `warning`."""
    schema = arrow_schema(SEGMENT_PARAMETER)
    rows = con.execute("select parameter, value from value.warning_parameters order by parameter").fetchall()
    told = [{"as_of_date": as_of, "scheme": "warning", "parameter": name, "value": value} for name, value in rows]
    return pa.Table.from_pylist(told, schema=schema)


def _test(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date, starts: Sequence[Start]) -> float:
    """value.warning_candidates and value.warning_test; the threshold."""
    batches = (tables.measure_batch(batch, starts) for batch in warning_facts.window_batches(con, as_of))
    write_table(con, "value.warning_candidates", batches, tables.CANDIDATES)
    found = tables.index_table(warning_facts.candidate_sums(con))
    sums = np.zeros(step_up.GRID.size)

    def rows() -> Iterator[pa.RecordBatch]:
        nonlocal sums
        for batch in warning_facts.candidate_batches(con):
            measured = tables.measured(batch, starts)
            index = tables.index_of_rows(batch, found)
            p = testing.prove(starts, measured, index)
            sums = sums + testing.under_null(starts, measured, index, p.is_testable)
            yield tables.tested_rows(batch, p, index, as_of)

    write_table(con, "value.warning_test", rows(), tables.TEST_SCHEMA)
    family = to_floats(warning_facts.testable_p(con)["p_value"])
    return testing.threshold(family, sums, project.warnings.fdr, project.warnings.dependence)


def _cuts(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date) -> levels.Cuts:
    shares = levels.WARNING_QUANTILE, levels.CRITICAL_QUANTILE
    given = project.warnings.warning_from, project.warnings.critical_from
    seen = warning_facts.clv_quantiles(con, as_of, shares)
    return levels.Cuts(*(Decimal(str(own)) if own is not None else at for own, at in zip(given, seen, strict=True)))


def _standing(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date) -> pa.Table:
    remembered = memory_date(project, as_of)
    published = warnings_past.alarms_of(project.home, remembered) if remembered else None
    return alarms.standing(published, warning_facts.unflagged_customers(con, as_of)["customer_id"], as_of)


def _write_record(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date, earlier: Sequence[dt.date]) -> None:
    since = as_of - dt.timedelta(days=record.RECORD_DAYS + max(WINDOW_DAYS))
    dates = [day for day in earlier if day >= since]
    past = warnings_past.past_tests(project.home, dates, as_of, record.RECORD_DAYS)
    write_table(con, "value.warning_past", past, warnings_past.PAST_SCHEMA)
    judged = (warning_facts.past_tests(con, day) for day in warning_facts.past_dates(con))
    found = record.record(judged, as_of)
    write_table(con, "value.warning_record", found.to_batches(), record.SCHEMA)


def _counted(con: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    rows = con.execute(
        "select count(*) filter (where is_testable), count(*) filter (where not is_testable) from value.warning_test"
    ).fetchall()
    return int(rows[0][0]), int(rows[0][1])


def _earlier(project: Project, as_of: dt.date) -> list[dt.date]:
    """Published snapshots of the grid before this one."""
    days = [snapshot.as_of_date for snapshot in snapshots(project.home)]
    return [day for day in days if day < as_of and project.is_on_grid(day)]
