"""The record of past alarms, reckoned by hand."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain.early_warning.record import SCHEMA, record

TODAY = dt.date(2026, 6, 30)


def tests(rows: list[tuple]) -> pa.Table:
    names = ("expected_transactions", "is_testable", "base_index", "level", "transactions_after", "lead_days")
    types = (pa.float64(), pa.bool_(), pa.float64(), pa.string(), pa.int64(), pa.float64())
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(list(column), kind) for column, kind in zip(columns, types, strict=True)], names=list(names)
    )


tests.__test__ = False  # type: ignore[attr-defined]


def rows_of(snapshots: list[pa.Table]) -> dict[str, dict]:
    return {row["level"]: row for row in record(snapshots, TODAY).to_pylist()}


def test_without_a_past_there_are_counts_of_nothing_and_no_shares() -> None:
    found = record([], TODAY)
    assert found.schema == SCHEMA
    rows = rows_of([])
    assert list(rows) == ["all", "watch", "warning", "critical"]
    assert all((row["tested"], row["warned"], row["fell"]) == (0, 0, 0) for row in rows.values())
    assert all(
        row[name] is None for row in rows.values() for name in ("base_rate", "lift", "not_fallen_share", "base_index")
    )


def test_the_warned_are_compared_with_the_unwarned_of_their_own_decile_of_expected_count() -> None:
    # Expected 1..10, ten customers each. Among the unwarned of expected k, k of 9 fall; the tenth of 1 and of 9 is warned.
    rows = []
    for k in range(1, 11):
        rows += [(float(k), True, 1.0, None, 0 if n < min(k, 9) else 99, None) for n in range(9)]
        rows.append((float(k), True, 0.9, {1: "watch", 9: "critical"}.get(k), 0, 40.0 if k == 9 else None))
    found = rows_of([tests(rows)])
    assert found["all"]["tested"] == 100
    assert (found["all"]["warned"], found["all"]["fell"]) == (2, 2)
    # np.quantile puts 1 and 9 into the first and the ninth tenth, with nobody but their equals.
    assert found["watch"]["base_rate"] == pytest.approx(1 / 9)
    assert found["critical"]["base_rate"] == pytest.approx(9 / 9)
    assert found["all"]["base_rate"] == pytest.approx((1 / 9 + 1) / 2)
    assert found["watch"]["lift"] == pytest.approx(9.0)
    assert found["warning"]["lift"] is None
    assert found["all"]["base_index"] == pytest.approx(0.99)
    assert found["critical"]["median_lead_days"] == 40.0
    assert found["watch"]["median_lead_days"] is None


def test_to_have_fallen_is_to_have_bought_less_than_expected_and_as_much_is_not() -> None:
    rows = [(2.0, True, 1.0, "watch", 2, None), (2.0, True, 1.0, "watch", 1, None), (2.5, True, 1.0, "watch", 2, None)]
    found = rows_of([tests(rows)])["watch"]
    assert (found["warned"], found["fell"]) == (3, 2)
    assert found["not_fallen_share"] == pytest.approx(1 / 3)


def test_who_could_not_be_tested_is_counted_and_compared_with_nobody() -> None:
    rows = [(2.0, True, 1.0, "watch", 0, None), (2.0, False, 1.0, None, 0, None), (2.0, True, 1.0, None, 9, None)]
    found = rows_of([tests(rows)])["all"]
    assert (found["tested"], found["not_testable"], found["base_rate"]) == (2, 1, 0.0)
    assert found["lift"] is None


def test_lift_compares_the_very_customers_that_have_a_match() -> None:
    # Of three warned two fell, but the only one with somebody unwarned in its decile did not: he alone can be compared.
    rows = [(float(k), True, 1.0, "watch", 0 if k > 1 else 99, None) for k in (1, 5, 9)]
    rows += [(1.0, True, 1.0, None, 0, None)] * 4
    found = rows_of([tests(rows)])["watch"]
    assert (found["warned"], found["fell"]) == (3, 2)
    assert found["base_rate"] == 1.0
    assert found["lift"] == 0.0


def test_a_season_that_makes_a_whole_snapshot_fall_is_no_lift() -> None:
    # Nobody's alarm means anything: in one snapshot everybody falls, in the other nobody does.
    def snapshot(warned: int, after: int) -> pa.Table:
        return tests([(5.0, True, 1.0, "watch" if n < warned else None, after, None) for n in range(40)])

    assert rows_of([snapshot(30, 0), snapshot(5, 99)])["watch"]["lift"] == pytest.approx(1.0)


def test_snapshots_add_up_and_their_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    one, other = (
        tests(
            [
                (float(e), True, 1.0, [None, None, None, "watch"][rng.integers(4)], int(rng.poisson(e)), None)
                for e in rng.uniform(2, 9, 60)
            ]
        )
        for _ in range(2)
    )
    both = rows_of([one, other])
    assert both["all"]["warned"] == rows_of([one])["all"]["warned"] + rows_of([other])["all"]["warned"]
    again = rows_of([other, one])
    for level, row in both.items():
        # Sums of shares in another order differ in their last digit.
        assert {k: v for k, v in row.items() if k not in ("base_rate", "lift", "base_index")} == {
            k: v for k, v in again[level].items() if k not in ("base_rate", "lift", "base_index")
        }
        for share in ("base_rate", "lift", "base_index"):
            told = again[level][share]
            assert row[share] == (None if told is None else pytest.approx(told, rel=1e-12))
