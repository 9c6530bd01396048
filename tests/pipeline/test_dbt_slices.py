"""The base as it was known at several days, in one run: each slice against a restatement, and against the snapshot of its day."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from clean_fixture import START, Build, History, builds_facts, order, random_history, run_dbt
from facts_restated import (
    FIRST,
    MARGIN_RATE,
    SECOND,
    Rows,
    gaps_of,
    is_sale,
    read,
    restated,
    snapshot,
    transactions,
)

from cvm_pipeline.config.settings import COVARIATES
from cvm_pipeline.domain.behaviour_states import COLUMNS, window_column
from cvm_pipeline.warehouse import change_rows, marts

SLICES = (dt.date(2021, 7, 31), FIRST, dt.date(2023, 3, 31), SECOND)
BETWEEN = dt.date(2023, 5, 16)
WINDOW = 45
SHARED = ("flag", "transactions", "frequency", "recency", "T", "days_since_last", "net_sales", "repeat_sales",
          "margin_total", "revenue_total", "cost_covered_revenue")  # fmt: skip


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    told = {"MARGIN_RATE": str(MARGIN_RATE), "SLICE_DATES": ",".join(map(str, SLICES)), "SLICE_WINDOW_DAYS": str(WINDOW),
            "SLICE_CUSTOMERS": "1000", "COVARIATES": "customer_type",
            "WARNING_WINDOWS": ",".join(str((SECOND - day).days) for day in SLICES[:-1])}  # fmt: skip
    with builds_facts(tmp_path_factory.mktemp("dbt"), {f"CVM_{name}": value for name, value in told.items()}) as build:
        yield build


@pytest.fixture(scope="module")
def history() -> History:
    return random_history()


@pytest.fixture(scope="module")
def work(build: Build, history: History) -> Path:
    """Both snapshots of the random history, the earlier one built first."""
    build(history, FIRST)
    return build(history, SECOND)


@pytest.fixture(scope="module")
def sampled(build: Build, history: History) -> Path:
    """The later snapshot with a sample of about 100 of its buyers, in a file of its own."""
    return build(replace(history), SECOND, slice_customers="100")


@pytest.fixture(scope="module")
def whole(build: Build, history: History) -> Path:
    """The same sample, in a run that looks at everybody at two days more: one of them a slice of the plan too."""
    return build(replace(history), SECOND, slice_customers="100", whole_slice_dates=f"{FIRST},{BETWEEN}")


def slice_of(path: Path, day: dt.date) -> Rows:
    rows = read(path, f"select * from marts.fct_customer_slices where slice_date = date '{day}'")
    found = {row["customer_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def restated_slice(history: History, day: dt.date) -> Rows:
    bought = transactions(history, day)
    rows: Rows = {}
    for customer, row in restated(history, day).items():
        days = bought.get(customer)
        if days:
            recent = {
                k: [net for on, net in days.items() if on > day - dt.timedelta(days=k * WINDOW)] for k in (1, 2, 4, 6)
            }
            rows[customer] = (
                {"slice_date": day, "customer_id": customer, "is_sampled": True}
                | {name: row[name] for name in SHARED}
                | {f"transactions_{k}w": len(nets) for k, nets in recent.items()}
                | {f"net_sales_{k}w": sum(nets, Decimal(0)) for k, nets in recent.items()}
                | {"last_value": days[max(days)], "gap_sum_of_squares": sum(gap * gap for gap in gaps_of(days))}
            )
    return rows


@pytest.mark.parametrize("day", SLICES)
def test_a_slice_agrees_with_a_plain_restatement_of_its_day(work: Path, history: History, day: dt.date):
    found = slice_of(work, day)
    assert len(found) > 80
    assert found == restated_slice(history, day)


def test_a_slice_of_an_earlier_day_says_what_the_snapshot_of_that_day_said(work: Path, history: History):
    then = {name: row for name, row in snapshot(work, FIRST).items() if row["transactions"]}
    found = slice_of(work, FIRST)
    assert found.keys() == then.keys()
    assert all(found[name][column] == row[column] for name, row in then.items() for column in SHARED)
    # Or the data would tell nothing: what was known by FIRST has to differ from what is known of those days since.
    since = transactions(history, SECOND)
    until = {name: {day: net for day, net in days.items() if day <= FIRST} for name, days in since.items()}
    differ = [name for name, days in transactions(history, FIRST).items() if days != until.get(name)]
    cancelled = [name for name in differ if len(transactions(history, FIRST)[name]) > len(until.get(name, {}))]
    assert len(differ) > 15
    assert len(cancelled) >= 4


@pytest.mark.parametrize("day", SLICES[:-1])
def test_the_start_of_a_warning_window_knows_of_everybody_what_a_slice_of_that_day_knows(work: Path, day: dt.date):
    columns = 'customer_id, transactions, frequency, recency, "T", net_sales, repeat_sales'
    found = read(work, f"select {columns} from marts.fct_window_histories where start_date = date '{day}' order by all")
    sliced = read(work, f"select {columns} from marts.fct_customer_slices where slice_date = date '{day}' order by all")
    assert len(found) > 80
    assert found == sliced


def test_transactions_are_those_of_the_snapshot(work: Path, history: History):
    found: dict[str, dict[dt.date, Decimal]] = {}
    for row in read(work, "select * from marts.fct_transactions"):
        found.setdefault(row["customer_id"], {})[row["ordered_date"]] = row["net_value"]
    assert found == {name: days for name, days in transactions(history, SECOND).items() if days}


def test_flags_are_as_known_then_whose_orders_were_all_cancelled_later_is_there_and_no_date_makes_no_row(build: Build):
    day, later = dt.date(2023, 5, 1), dt.date(2023, 8, 1)
    orders = [order("kept", "staff", day, 10), order("void", "gone", day, 10, status="cancelled", void_date=later)]
    customer = {"customer_id": "staff", "source_system": "default", "created_date": day}
    versions = [customer | {"version_date": day, "flag": None, "is_current": False},
                customer | {"version_date": later, "flag": "employee", "is_current": True}]  # fmt: skip
    history = History(orders=orders, customers=versions)
    path = build(history, later, slice_dates=f"{day},{later}")
    seen = read(path, "select slice_date, customer_id, flag from marts.fct_customer_slices order by all")
    assert [tuple(row.values()) for row in seen] == [
        (day, "gone", None),
        (day, "staff", None),
        (later, "staff", "employee"),
    ]
    assert read(build(history, later, slice_dates=""), "select * from marts.fct_customer_slices") == []


def test_earlier_slices_hold_a_lasting_sample_and_the_snapshots_own_holds_everybody(sampled: Path, history: History):
    buyers = {name for name, days in transactions(history, SECOND).items() if days}

    def is_sampled(name: str) -> bool:
        return int(hashlib.md5(name.encode()).hexdigest()[:12], 16) / 2**48 * len(buyers) < 100

    assert 80 < len(list(filter(is_sampled, buyers))) < 120
    for day in SLICES[:-1]:
        found, everybody = slice_of(sampled, day), restated_slice(history, day)
        assert found == {name: row for name, row in everybody.items() if is_sampled(name)}
    assert {name: row["is_sampled"] for name, row in slice_of(sampled, SECOND).items()} == {
        name: is_sampled(name) for name in buyers
    }


def test_slices_that_were_tampered_with_fail_their_test(build: Build):
    day = dt.date(2023, 5, 1)
    history = History(orders=[order(name, name, day, 10) for name in ("anna", "bob", "carl", "dora")])
    path = build(history, day, slice_dates=f"{day}")
    with duckdb.connect(path) as con:
        con.execute("update marts.fct_customer_slices set flag = 'test' where customer_id = 'anna'")
        con.execute("delete from marts.fct_customer_slices where customer_id = 'bob'")
        con.execute("delete from marts.fct_customer_snapshot where customer_id = 'carl'")
    result = run_dbt("test", "--select", "fct_customer_slices", "--exclude", "test_type:unit")
    failed = {row.node.test_metadata.name: row.failures for row in result.result if str(row.status) == "fail"}
    assert failed == {"agrees_with_snapshot": 3}


def test_python_reads_the_sample_in_order_and_scores_everybody_with_recent_behaviour(sampled: Path, history: History):
    with duckdb.connect(sampled) as con:
        rows = marts.slice_rows(con, SLICES)
        batches = list(marts.snapshot_batches(con, SECOND))
        assert marts.first_sale(con, SECOND) == min(
            row["ordered_date"] for row in history.orders if row["customer_id"] and is_sale(row)
        )
        assert marts.first_sale(con, START - dt.timedelta(days=1)) is None
    keys = list(zip(rows["slice_date"].to_pylist(), rows["customer_id"].to_pylist(), strict=True))
    expected = read(
        sampled, "select slice_date, customer_id, flag from marts.fct_customer_slices where is_sampled order by all"
    )
    assert keys == [(row["slice_date"], row["customer_id"]) for row in expected]
    assert rows["is_flagged"].to_pylist() == [row["flag"] is not None for row in expected]
    scored = {row["customer_id"]: row for batch in batches for row in batch.to_pylist()}
    recent = slice_of(sampled, SECOND)
    assert scored.keys() == snapshot(sampled, SECOND).keys()
    for name, row in scored.items():
        if row["transactions"]:
            facts = {
                column: value for column, value in recent[name].items() if column not in ("slice_date", "is_sampled")
            }
            assert facts.items() <= row.items()
        else:
            assert row["last_value"] is None


def known_types(history: History, day: dt.date) -> dict[str, str]:
    """customer_type by the newest dated record of each customer that was known on that day."""
    known = [
        row
        for row in history.customers
        if row["version_date"] and row["version_date"] <= day and (row["created_date"] or day) <= day
    ]
    return {row["customer_id"]: row["customer_type"] for row in sorted(known, key=lambda row: row["version_date"])}


def test_attributes_are_the_dated_ones_of_the_sample_and_of_everybody_at_the_snapshot(sampled: Path, history: History):
    sample = {row["customer_id"] for row in slice_of(sampled, SECOND).values() if row["is_sampled"]}
    for day in SLICES:
        rows = read(sampled, f"select * from marts.fct_slice_attributes where slice_date = date '{day}'")
        known = known_types(history, day)
        in_slice = known if day == SECOND else {name: known[name] for name in known.keys() & sample}
        assert {row["customer_id"]: row["customer_type"] for row in rows} == in_slice
        assert len(rows) == len(in_slice) > 5
        assert set(rows[0]) == {"slice_date", "customer_id", *COVARIATES}
    # Or the data would tell nothing: some have changed since.
    known, since = known_types(history, SECOND), known_types(history, dt.date.max)
    assert sum(known[name] != since[name] for name in known) > 10


def test_a_change_reaches_no_slice_before_it_and_an_undated_attribute_reaches_no_model(build: Build):
    day, later = dt.date(2023, 5, 1), dt.date(2023, 8, 1)
    change = later - dt.timedelta(days=30)
    names = ("moved", "current", "unknown")
    record = {"source_system": "default", "customer_type": "individual"}
    versions = [record | {"customer_id": "moved", "city": "Bath", "version_date": day, "is_current": False},
                record | {"customer_id": "moved", "city": "Cork", "version_date": change, "is_current": True},
                record | {"customer_id": "current", "city": "Epsom", "is_current": True}]  # fmt: skip
    history = History(orders=[order(name, name, day, 10) for name in names], customers=versions)
    told = ("city", "customer_type")
    with duckdb.connect(build(history, later, slice_dates=f"{day},{later}")) as con:
        rows = marts.slice_rows(con, (day, later), told)
        scored = [row for batch in marts.snapshot_batches(con, later, told) for row in batch.to_pylist()]
        plain = marts.slice_rows(con, (day, later))
    columns = ("slice_date", "customer_id", *told)
    assert list(zip(*(rows[name].to_pylist() for name in columns), strict=True)) == [
        (day, "current", None, None),
        (day, "moved", "Bath", "individual"),
        (day, "unknown", None, None),
        (later, "current", None, None),
        (later, "moved", "Cork", "individual"),
        (later, "unknown", None, None),
    ]
    assert {row["customer_id"]: (row["city"], row["customer_type"]) for row in scored} == {
        "moved": ("Cork", "individual"),
        "current": (None, None),
        "unknown": (None, None),
    }
    assert plain.equals(rows.drop_columns(list(told)))


def test_a_slice_that_is_asked_for_whole_holds_everybody_and_the_others_their_sample(whole: Path, history: History):
    for day in (FIRST, BETWEEN):
        found, everybody = slice_of(whole, day), restated_slice(history, day)
        assert {name: row | {"is_sampled": True} for name, row in found.items()} == everybody
        assert 0 < sum(not row["is_sampled"] for row in found.values()) < len(found)
    assert all(row["is_sampled"] for row in slice_of(whole, SLICES[0]).values())
    known = known_types(history, BETWEEN)
    told = read(whole, f"select * from marts.fct_slice_attributes where slice_date = date '{BETWEEN}'")
    assert {row["customer_id"]: row["customer_type"] for row in told} == known
    with duckdb.connect(whole) as con:
        rows = marts.slice_rows(con, SLICES)
    # The race sees the sample at its own dates, whatever else the run has looked at.
    assert set(rows["slice_date"].to_pylist()) == set(SLICES)
    at_first = rows["customer_id"].to_pylist()[: rows["slice_date"].to_pylist().count(SLICES[0])]
    assert set(at_first) == slice_of(whole, SLICES[0]).keys()


def test_both_sides_of_a_change_stand_beside_each_other_with_what_was_bought_lately_in_both_models_steps(
    whole: Path, history: History
):
    steps, gone, new = (150, 120), "gone since", "without value then"
    then, now = restated_slice(history, FIRST), restated_slice(history, SECOND)
    kept = sorted(then)
    with duckdb.connect(whole) as con:
        con.execute("create schema if not exists value")
        con.execute("create or replace table value.clv_before (customer_id varchar, clv decimal(18, 4))")
        con.execute("create or replace table value.customer_scores (customer_id varchar, clv decimal(18, 4))")
        con.executemany("insert into value.clv_before values (?, 1)", [[name] for name in [*kept[1:], gone]])
        con.executemany("insert into value.customer_scores values (?, 2)", [[name] for name in sorted(now)])
        con.execute("insert into value.customer_scores values (?, null)", [new])
        change_rows.write_windows(con, (FIRST, SECOND), steps)
        assert change_rows.has_slice(con, FIRST) and not change_rows.has_slice(con, START)
        batches = change_rows.change_batches(con, FIRST, SECOND, ("customer_type",), windows=True)
        found = {row["customer_id"]: row for batch in batches for row in batch.to_pylist()}
        change_rows.drop_scratch(con)
    assert found.keys() == {*kept[1:], *now, gone}
    assert (found[gone]["clv_before"], found[gone]["clv"], found[gone]["now_T"]) == (1, None, None)
    types = {"then": known_types(history, FIRST), "now": known_types(history, SECOND)}
    bought = {"then": transactions(history, FIRST), "now": transactions(history, SECOND)}
    counted = 0
    for name, row in found.items():
        for side, facts in (("then", then), ("now", now)):
            fact = facts.get(name, dict.fromkeys(COLUMNS))
            assert {column: row[f"{side}_{column}"] for column in COLUMNS} == {
                column: fact[column] for column in COLUMNS
            }
            assert row[f"{side}_customer_type"] == types[side].get(name)
        for model, step in zip(("then", "now"), steps, strict=True):
            for state, known, to in (("before", "then", FIRST), ("aged", "then", SECOND), ("after", "now", SECOND)):
                for k in (1, 2, 4, 6):
                    days = bought[known].get(name, {})
                    recent = [net for on, net in days.items() if on > to - dt.timedelta(days=k * step)]
                    count, sales = (
                        row[window_column(model, state, f"{what}_{k}w")] for what in ("transactions", "net_sales")
                    )
                    assert ((count or 0), (sales or 0)) == (len(recent), sum(recent))
                    counted += state == "aged" and count > 0 if count else 0
    assert counted > 20
