"""The real data sets of examples/: what is known of each from its own files comes out of the whole pipeline."""

from __future__ import annotations

import csv
import datetime as dt
import random
import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from places import SHARED, Place, assert_same_tables

from cvm_pipeline.domain.contracts import TABLES

pytestmark = pytest.mark.shared_data

# Two giants that were taken back within minutes (12346, and 15098 by a credit note booked by hand), and days between.
RETAIL_DAYS = (
    "2010-12-01", "2010-12-02", "2010-12-09", "2011-01-04", "2011-01-18", "2011-02-07", "2011-03-10", "2011-05-18",
    "2011-06-10", "2011-08-04", "2011-09-06", "2011-09-30",
)  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _run(place: Place) -> Place:
    outcome = place.run()
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture(scope="module")
def northwind(example):
    return _run(example("northwind"))


@pytest.fixture(scope="module")
def maven(example):
    return _facts(example("maven_crm"))


@pytest.fixture(scope="module")
def olist(example):
    return _facts(example("olist"))


def _facts(place: Place) -> Place:
    """Run as far as what is known of the files themselves; that they are published is seen by a long test."""
    outcome = place.run(select='group:"landing" or group:"clean" or group:"marts"')
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.mark.long
@pytest.mark.parametrize("name", ["maven_crm", "olist"])
def test_the_others_are_published_too(example, name):
    assert _run(example(name)).column("select count(*) > 0 from cvm.customer_value") == [True]


def test_northwind_sells_1_265_793_0395_with_every_digit_of_its_lines(northwind):
    assert northwind.work("select sum(amount) from marts.fct_order_lines") == [(Decimal("1265793.0395000000"),)]
    assert northwind.column("select sum(revenue_total) from cvm.customer_value") == [Decimal("1265793.0395")]


def test_northwind_has_its_companies_those_that_never_bought_included(northwind):
    companies = {row["customer_id"] for row in _rows(SHARED / "northwind" / "customers.csv")}
    buyers = {row["customer_id"] for row in _rows(SHARED / "northwind" / "orders.csv")}
    found = dict(northwind.ask("select customer_id, value_tier from cvm.customer_value"))
    assert set(found) == companies
    assert {customer for customer, tier in found.items() if tier == "D"} == companies - buyers
    assert northwind.column("select distinct customer_type from cvm.customer") == ["company"]


def test_maven_won_4_238_deals_worth_10_005_534(maven):
    assert maven.work("select sum(revenue_total) from marts.fct_customer_snapshot") == [(Decimal(10_005_534),)]
    assert maven.work("select count(*), sum(amount) from marts.fct_orders") == [(4238, Decimal(10_005_534))]
    deals = _rows(SHARED / "maven_crm" / "sales_pipeline.csv")
    filtered = maven.work("select rows_filtered from clean.ingest_audit where entity = 'orders'")
    assert filtered == [(sum(deal["deal_stage"] != "Won" for deal in deals),)]


def test_no_deal_of_maven_closes_outside_the_months_that_its_own_plain_dates_span(maven):
    plain = [
        row["close_date"] for row in _rows(SHARED / "maven_crm" / "sales_pipeline.csv") if "/" in row["close_date"]
    ]
    dates = [dt.datetime.strptime(text, "%m/%d/%Y").date() for text in plain]
    first, last = maven.work("select min(ordered_date), max(ordered_date) from marts.fct_orders")[0]
    assert (min(dates).replace(day=1), max(dates).replace(day=1)) == (first.replace(day=1), last.replace(day=1))


def test_a_customer_of_olist_is_the_person_not_the_id_of_one_order(olist):
    customers = _rows(SHARED / "olist" / "olist_customers_dataset.csv")
    people = {row["customer_unique_id"] for row in customers}
    found = {row[0] for row in olist.work("select customer_id from marts.fct_customer_snapshot")}
    assert found <= people
    assert not found & {row["customer_id"] for row in customers}
    assert olist.work("select count(*) from marts.fct_customer_snapshot where frequency > 0")[0][0] > 0


def test_the_34_orders_of_olist_without_an_item_are_nowhere(olist):
    orders = {row["order_id"] for row in _rows(SHARED / "olist" / "olist_orders_dataset.csv")}
    items = {row["order_id"] for row in _rows(SHARED / "olist" / "olist_order_items_dataset.csv")}
    without = orders - items
    assert len(without) == 34
    found = {row[0] for row in olist.work("select order_id from marts.fct_orders")}
    assert found == items & orders
    assert found.isdisjoint(without)


@pytest.fixture(scope="module")
def retail_at_once(example):
    """Twelve of the 245 daily files, all there from the beginning."""
    place = _twelve_days(example("online_retail"))
    for day in RETAIL_DAYS:
        _deliver(place, day)
    return _run(place)


def _twelve_days(place: Place) -> Place:
    text = place.config.read_text(encoding="utf-8")
    place.config.write_text(text.replace(f"{SHARED}/online_retail/*.csv", "landing/*.csv"), encoding="utf-8")
    (place.folder / "landing").mkdir()
    return place


def _deliver(place: Place, day: str) -> None:
    shutil.copy(SHARED / "online_retail" / f"{day}.csv", place.folder / "landing" / f"{day}.csv")


def test_files_landed_in_any_order_and_one_twice_end_in_the_same_tables(retail_at_once, example):
    from cvm_pipeline.defs.launch import newest_sensible_day

    place = _twelve_days(example("online_retail"))
    days = list(RETAIL_DAYS)
    random.Random(12).shuffle(days)
    for step in range(4):
        for day in days[3 * step : 3 * step + 3]:
            _deliver(place, day)
        if step == 2:
            # One is delivered again, and one that was landed is taken away: its rows stay.
            _deliver(place, days[0])
            (place.folder / "landing" / f"{days[4]}.csv").unlink()
        if step < 3:
            newest_sensible_day(place.project, dt.datetime(2026, 1, 1 + step, tzinfo=dt.UTC))
    _run(place)
    names = [t.name for t in TABLES if t.name not in ("publication", "current_publication", "data_quality_result")]
    assert_same_tables(retail_at_once, place, names)


def test_a_giant_order_taken_back_on_its_own_day_lifts_nobody(retail_at_once):
    """12346 bought for 77,183.60 and cancelled 16 minutes later; 15098 meant 649.50 where 38,970.00 was rung up."""
    found = retail_at_once.ask("""select customer_id, transactions, revenue_total, value_tier from cvm.customer_value
                                  where customer_id in ('12346', '15098') order by 1""")
    assert found[0] == ("12346", 0, Decimal(0), "D")
    assert found[1][:3] == ("15098", 1, Decimal("649.5000"))
    spend = retail_at_once.column("select expected_spend from cvm.customer_value where customer_id = '15098'")
    assert spend[0] < 650, "what was never bought must not be expected again"
    gross = retail_at_once.work("""select customer_id, max(amount) from marts.fct_orders
                                   where customer_id in ('12346', '15098') group by 1 order by 1""")
    assert gross == [("12346", Decimal("77183.6000")), ("15098", Decimal("38970.0000"))]


def test_lines_without_a_customer_and_codes_that_are_no_product_are_accounted_for(retail_at_once):
    raw = [row for day in RETAIL_DAYS for row in _rows(SHARED / "online_retail" / f"{day}.csv")]
    read, accepted, filtered, quarantined, rest = retail_at_once.ask("""
        select sum(rows_read), sum(rows_accepted), sum(rows_filtered), sum(rows_quarantined),
               sum(rows_duplicate + rows_superseded) from cvm.ingest_audit""")[0]
    product = [
        row
        for row in raw
        if row["StockCode"][:5].isdigit()
        or row["StockCode"].startswith(("gift", "DCGS", "PADS"))
        or (row["StockCode"] == "M" and row["InvoiceNo"].startswith("C"))
    ]
    assert (read, filtered) == (len(raw), len(raw) - len(product))
    assert accepted + quarantined + rest == len(product)
    guests = {row["InvoiceNo"] for row in product if not row["CustomerID"]}
    found = retail_at_once.work("select order_id from marts.fct_orders where is_anonymous")
    assert {row[0] for row in found} == guests
    assert Counter(row[0] for row in found).most_common(1)[0][1] == 1
    known = {row["CustomerID"].removesuffix(".0") for row in product if row["CustomerID"]}
    assert set(retail_at_once.column("select customer_id from cvm.customer_value")) == known
