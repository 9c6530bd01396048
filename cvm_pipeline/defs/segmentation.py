"""The segmentations of one snapshot: fitted on what SQL has grouped, scored batch by batch, written as candidates.

Belongs here: which statistics go to which domain function, and which result to which table. Not here: any rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cvm_pipeline.config.project import Project
from cvm_pipeline.config.source import digest
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.defs.movement import parameter_rows, write_transitions
from cvm_pipeline.defs.warnings import warning_candidates, warning_parameters
from cvm_pipeline.domain import customer_value, lifecycle, loyalty, rfm, segments, tiers
from cvm_pipeline.domain.contracts import CLV_BACKTEST, CLV_MODEL_CARD, SEGMENT_MEMBERSHIP, VALUE_CHANGE, Table
from cvm_pipeline.domain.momentum import Prior
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.records import write_records
from cvm_pipeline.warehouse.state_history import write_state_history
from cvm_pipeline.warehouse.work import read_batches, read_table, write_table


@dataclass(frozen=True)
class Fitted:
    """All small parameters of one snapshot's segmentations."""

    parameters: customer_value.Parameters
    tier_settings: tiers.Settings
    concentration: tiers.Concentration


def fit_segments(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date) -> Fitted:
    """Fit every segmentation; writes value.customer_ranks, the one measure that needs all customers in order."""
    values = marts.total_values(con, as_of)
    total = customer_value.total_value(values["clv"])
    included = np.asarray(values["included"])
    ranks = pa.table({"customer_id": values["customer_id"], "value_rank": tiers.rank(values["customer_id"], total)})
    write_table(con, "value.customer_ranks", ranks.to_batches(), ranks.schema)
    tier_settings = tiers.Settings(project.tiers.method, project.tiers.cuts, project.tiers.band)
    parameters = customer_value.Parameters(
        customers=values.num_rows,
        rfm=rfm.fit(*marts.rfm_counts(con, as_of)),
        tiers=tiers.fit(values["customer_id"], total, included, tier_settings),
        lifecycle=lifecycle.fit(marts.stage_base(con, as_of), _prior(con), _stage_settings(project)),
        loyalty=loyalty.fit(*marts.loyalty_counts(con, as_of)),
        grid=rfm.complete_grid(project.rfm.cells),
        value_matrix=marts.value_matrix_cuts(con, as_of),
    )
    return Fitted(parameters, tier_settings, tiers.concentration(total, included))


def write_candidates(
    con: duckdb.DuckDBPyConnection,
    project: Project,
    as_of: dt.date,
    fitted: Fitted,
    memory: customer_value.Memory | None,
) -> None:
    """Every `candidate.<table>` of one snapshot."""
    rows = (
        customer_value.assemble(batch, batch, fitted.parameters, memory) for batch in marts.scored_batches(con, as_of)
    )
    write_table(con, "candidate.customer_value", rows, customer_value.SCHEMA)
    schema = customer_value.arrow_schema(SEGMENT_MEMBERSHIP)
    write_table(con, "candidate.segment_membership", _memberships(con), schema)
    for name, table in (
        ("segment_summary", segments.summary(marts.summary_rows(con), marts.total_spread(con))),
        (
            "segment_parameter",
            pa.concat_tables([_parameters(con, project, as_of, fitted), warning_parameters(con, as_of)]),
        ),
        ("pareto_curve", segments.pareto_curve(as_of, fitted.concentration)),
        ("clv_model_card", _dated(read_table(con, "select * from value.clv_model_card"), as_of, CLV_MODEL_CARD)),
    ):
        write_table(con, f"candidate.{name}", table.to_batches(), table.schema)
    for contract in (CLV_BACKTEST, VALUE_CHANGE):
        # Its own rows but for the date: too many to be held at once.
        batches = _dated_batches(con, as_of, contract)
        write_table(con, f"candidate.{contract.name}", batches, customer_value.arrow_schema(contract))
    warning_candidates(con)
    write_records(con, as_of)
    write_state_history(con, project.home, as_of, memory_date(project, as_of), project.is_on_grid)


def rule_versions(project: Project, p_alive_model: str) -> dict[str, float]:
    """Scheme -> a number for its rules: another number, other rules. 48 bits, exact as a double.

    Rules are the keys of the configuration that reach the scheme and, where P(alive) does, the model that gives it.
    """
    value, rhythm = project.clv.model_dump(mode="json"), project.lifecycle.model_dump(mode="json")
    warnings = [project.warnings.model_dump(mode="json"), value, p_alive_model]
    rules: dict[str, Any] = {
        "tier": [project.tiers.model_dump(mode="json"), value],
        "stage": [rhythm, warnings],
        "rfm": project.rfm.model_dump(mode="json"),
        "warning": warnings,
        "value_matrix": value,
    }
    return {scheme: float(int(digest(told)[:12], 16)) for scheme, told in rules.items()}


def _parameters(con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date, fitted: Fitted) -> pa.Table:
    told = segments.parameters(as_of, fitted.parameters, fitted.tier_settings, fitted.concentration)
    rules = [
        {"as_of_date": as_of, "scheme": scheme, "parameter": "rule_version", "value": number}
        for scheme, number in rule_versions(project, marts.model_that_gives_p_alive(con)).items()
    ]
    moved = parameter_rows(as_of, write_transitions(con, project, as_of), told.schema)
    return pa.concat_tables([told, pa.Table.from_pylist(rules, schema=told.schema), moved])


def _memberships(con: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    for batch in read_batches(con, "select * from candidate.customer_value"):
        yield from segments.membership(batch).to_batches()


def _dated(rows: pa.Table, as_of: dt.date, contract: Table) -> pa.Table:
    dated = rows.add_column(0, "as_of_date", pa.repeat(pa.scalar(as_of, pa.date32()), rows.num_rows))
    schema = customer_value.arrow_schema(contract)
    return dated.select(schema.names).cast(schema)


def _dated_batches(con: duckdb.DuckDBPyConnection, as_of: dt.date, contract: Table) -> Iterator[pa.RecordBatch]:
    for batch in read_batches(con, f"select * from value.{contract.name}"):
        yield from _dated(pa.Table.from_batches([batch]), as_of, contract).to_batches()


def _prior(con: duckdb.DuckDBPyConnection) -> Prior | None:
    """How rates and spend vary over the base, in days; None where the base gave no such distribution."""
    rate = marts.model_parameters(con, marts.model_that_gives_p_alive(con))
    if "r" not in rate or "alpha" not in rate:
        return None
    spend = marts.model_parameters(con, "gamma_gamma")
    return Prior(
        rate["r"], rate["alpha"] * rate.get("time_unit_days", 1.0), spend.get("p"), spend.get("q"), spend.get("v")
    )


def _stage_settings(project: Project) -> lifecycle.Settings:
    stage = project.lifecycle
    return lifecycle.Settings(stage.lost_below, stage.at_risk_below, stage.growth, stage.recent, stage.new_for)
