"""Movement between snapshots: transition tables written as candidates, the chain's forecast, and how earlier ones did.

Belongs here: which snapshots of the grid are read, and which numbers go to `domain/transitions.py`. Not here: any rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import islice

import duckdb
import pyarrow as pa

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.gate import memory_date
from cvm_pipeline.domain import transitions
from cvm_pipeline.domain.contracts import STAGE_TRANSITIONS, STAGES, TIER_TRANSITIONS, TIERS
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.remembered import published_moves, published_parameters, published_states
from cvm_pipeline.warehouse.versions import snapshots
from cvm_pipeline.warehouse.work import write_table

# Scheme, where its moves are published, its states, and the columns of customer_value for then and now.
_MOVING = (
    ("stage", STAGE_TRANSITIONS, STAGES, "previous_stage", "lifecycle_stage"),
    ("tier", TIER_TRANSITIONS, TIERS, "previous_tier", "value_tier"),
)


def write_transitions(
    con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date
) -> Iterator[tuple[str, str, float]]:
    """candidate.stage_transitions and tier_transitions, empty without memory; yields rows of segment_parameter."""
    memory = memory_date(project, as_of)
    published = {snapshot.as_of_date for snapshot in snapshots(project.home)}
    # A move counts for the chain where it took one period: from one day of the grid to the next.
    is_one_period = project.is_on_grid(as_of) and memory == project.grid_before(as_of)
    earlier = [
        day
        for day in islice(_grid_before(project, as_of), transitions.POOLED - is_one_period)
        if day in published and project.grid_before(day) in published
    ]
    for scheme, contract, states, before, now in _MOVING:
        counted = marts.moves(con, before, now) if memory else marts.moves(con, before, now).slice(0, 0)
        told = transitions.table(as_of, counted, contract)
        write_table(con, f"candidate.{contract.name}", told.to_batches(), told.schema)
        pooled = transitions.matrix(published_moves(project.home, contract.name, earlier).to_pylist(), states)
        if is_one_period:
            pooled += transitions.matrix(counted.to_pylist(), states)
        found = transitions.forecast(pooled, marts.customers_by(con, now, states), states)
        found |= _errors(con, project, as_of, scheme, now, states)
        yield from ((scheme, name, value) for name, value in found.items())


def _errors(
    con: duckdb.DuckDBPyConnection, project: Project, as_of: dt.date, scheme: str, column: str, states: tuple[str, ...]
) -> dict[str, float]:
    if not project.is_on_grid(as_of):
        return {}
    found: dict[str, float] = {}
    grid = list(islice(_grid_before(project, as_of), max(transitions.HORIZONS)))
    for periods in transitions.HORIZONS:
        then = grid[periods - 1]
        forecast = published_parameters(project.home, then, scheme)
        if transitions.share_name(states[0], periods) in forecast:
            stayed = marts.moves_since(con, published_states(project.home, then, column), column)
            found |= transitions.errors(forecast, transitions.matrix(stayed.to_pylist(), states), states, periods)
    return found


def _grid_before(project: Project, day: dt.date) -> Iterator[dt.date]:
    while True:
        day = project.grid_before(day)
        yield day


def parameter_rows(as_of: dt.date, told: Iterator[tuple[str, str, float]], schema: pa.Schema) -> pa.Table:
    """Rows of segment_parameter."""
    rows = [{"as_of_date": as_of, "scheme": s, "parameter": name, "value": value} for s, name, value in told]
    return pa.Table.from_pylist(rows, schema=schema)
