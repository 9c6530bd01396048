"""Which snapshots the chain is pooled over, and which of its forecasts are judged: the grid alone, and never what came later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pytest

from cvm_pipeline.defs import movement
from cvm_pipeline.domain import calendar
from cvm_pipeline.domain.transitions import share_name

JUNE = dt.date(2024, 6, 30)
MONTHS = list(calendar.period_ends(dt.date(2023, 1, 31), dt.date(2024, 8, 31), "monthly"))


@dataclass
class Grid:
    """As much of a project as is asked, and what was asked of the published version."""

    home: None = None
    pooled: list[dt.date] = field(default_factory=list)

    def is_on_grid(self, day: dt.date) -> bool:
        return calendar.is_period_end(day, "monthly")

    def grid_before(self, day: dt.date) -> dt.date:
        return calendar.period_end_before(day, "monthly")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A candidate of four customers, of whom one moved from new to mature, one is new here, and one is excluded."""
    with duckdb.connect() as con:
        con.execute("create schema candidate")
        con.execute("""
            create table candidate.customer_value as from (values
              ('a', 'new', 'mature', 'B', 'A', 10.5, false), ('b', 'mature', 'mature', 'A', 'A', 20, false),
              ('c', null, 'new', null, 'B', 5, false), ('x', 'new', 'lost', 'C', 'C', 99, true)
            ) t(customer_id, previous_stage, lifecycle_stage, previous_tier, value_tier, total_value, is_excluded)""")
        yield con


def run(con, monkeypatch, tmp_path, as_of: dt.date, published: list[dt.date], told: dict | None = None):
    """The rows of segment_parameter, and the dates that moves were pooled over."""
    grid = Grid()
    known = [day for day in published if day < as_of and grid.is_on_grid(day)]

    def published_moves(home: None, name: str, dates: list[dt.date]) -> pa.Table:
        grid.pooled = list(dates)
        return pa.table({"from": pa.array(["A"] * len(dates)), "to": ["B"] * len(dates), "customers": [1] * len(dates)})

    monkeypatch.setattr(movement, "memory_date", lambda project, day: max(known, default=None))
    monkeypatch.setattr(
        movement, "snapshots", lambda home: [type("S", (), {"as_of_date": day}) for day in [*published, *MONTHS[-2:]]]
    )
    monkeypatch.setattr(movement, "published_moves", published_moves)
    monkeypatch.setattr(movement, "published_parameters", lambda home, day, scheme: (told or {}).get((day, scheme), {}))
    states = pa.table({"customer_id": ["a", "b", "gone"], "state": ["B", "B", "A"]})
    monkeypatch.setattr(movement, "published_states", lambda home, day, column: states)
    con.execute(f"set temp_directory = '{tmp_path}'")
    rows = list(movement.write_transitions(con, grid, as_of))
    return {(scheme, name): value for scheme, name, value in rows}, grid.pooled


def moves(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple]:
    return con.execute(f'select "from", "to", customers from candidate.{table} order by all').fetchall()


def test_this_snapshots_moves_count_with_those_of_the_eleven_months_before(con, monkeypatch, tmp_path):
    found, pooled = run(con, monkeypatch, tmp_path, JUNE, [day for day in MONTHS if day < JUNE])
    assert pooled == [day for day in reversed(MONTHS) if day < JUNE][:11]
    assert found["tier", "transitions_pooled_count"] == 11 + 2
    assert moves(con, "stage_transitions") == [("entry", "new", 1), ("mature", "mature", 1), ("new", "mature", 1)]


def test_a_snapshot_whose_month_before_is_missing_spans_two_and_does_not_count(con, monkeypatch, tmp_path):
    days = [day for day in MONTHS if day < JUNE and day != dt.date(2024, 3, 31)]
    _, pooled = run(con, monkeypatch, tmp_path, JUNE, days)
    missing = {dt.date(2024, 3, 31), dt.date(2024, 4, 30)}
    assert pooled == [day for day in list(reversed(MONTHS))[2:] if day < JUNE and day not in missing][:9]


def test_off_the_grid_moves_are_published_but_not_counted(con, monkeypatch, tmp_path):
    found, pooled = run(con, monkeypatch, tmp_path, dt.date(2024, 6, 15), [day for day in MONTHS if day < JUNE])
    assert len(pooled) == 12 and pooled[0] == dt.date(2024, 5, 31)
    assert found["tier", "transitions_pooled_count"] == 12
    assert ("new", "mature", 1) in moves(con, "stage_transitions")
    assert not any("error" in name for _, name in found)


def test_without_memory_tables_are_empty_and_nothing_is_forecast(con, monkeypatch, tmp_path):
    found, pooled = run(con, monkeypatch, tmp_path, JUNE, [])
    assert (found, pooled) == ({}, [])
    assert moves(con, "stage_transitions") == moves(con, "tier_transitions") == []


def test_a_forecast_is_judged_exactly_so_many_periods_after_it_was_published(con, monkeypatch, tmp_path):
    even = {share_name(tier, n): 0.25 for tier in "ABCD" for n in (3, 6, 12)}
    told = {
        (dt.date(2024, 3, 31), "tier"): even,
        (dt.date(2023, 6, 30), "tier"): even,
        (dt.date(2024, 5, 31), "tier"): even,
    }
    found, _ = run(con, monkeypatch, tmp_path, JUNE, [day for day in MONTHS if day < JUNE], told)
    errors = {key: value for key, value in found.items() if "error" in key[1]}
    # a and b were both in B and are both in A; who is gone is not judged.
    assert errors == {
        ("tier", "forecast_error_3_periods"): 0.75, ("tier", "naive_error_3_periods"): 1.0,
        ("tier", "forecast_error_12_periods"): 0.75, ("tier", "naive_error_12_periods"): 1.0,
    }  # fmt: skip
