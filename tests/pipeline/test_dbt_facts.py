"""The facts that dbt builds: numbers against a plain restatement in Python, point in time, and the shape of the project."""

from __future__ import annotations

import datetime as dt
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pytest
from clean_fixture import History, order, random_history, run_dbt, write_clean

FIRST, SECOND = dt.date(2022, 6, 30), dt.date(2024, 2, 29)
PRIOR = 3
MARGIN_RATE = Decimal("0.4")
Rows = dict[str, dict[str, object]]
Build = Callable[[History, dt.date], Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Builds a history as of a date in a work file of its own, named after the history; returns the file."""
    home = tmp_path_factory.mktemp("dbt")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DBT_TARGET_PATH", str(home / "target"))
        environment.setenv("DBT_LOG_PATH", str(home / "logs"))
        environment.setenv("CVM_MARGIN_RATE", str(MARGIN_RATE))

        def run(history: History, as_of: dt.date) -> Path:
            path = home / str(id(history)) / "work.duckdb"
            if not path.exists():
                write_clean(path, history)
            environment.setenv("CVM_WORK_DB", str(path))
            environment.setenv("CVM_AS_OF_DATE", as_of.isoformat())
            result = run_dbt("build", "--exclude", "test_type:unit")
            assert result.success, [row.message for row in result.result or [] if str(row.status) in ("error", "fail")]
            return path

        yield run


@pytest.fixture(scope="module")
def history() -> History:
    return random_history()


@pytest.fixture(scope="module")
def work(build: Build, history: History) -> Path:
    """Both snapshots of the random history, the earlier one built first."""
    build(history, FIRST)
    return build(history, SECOND)


def read(path: Path, sql: str) -> list[dict[str, object]]:
    with duckdb.connect(path, read_only=True) as con:
        return con.sql(sql).to_arrow_table().to_pylist()


def snapshot(path: Path, as_of: dt.date) -> Rows:
    rows = read(path, f"select * from marts.fct_customer_snapshot where as_of_date = date '{as_of}'")
    found = {row["customer_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


# -- the restatement ------------------------------------------------------------------------------------------------------


def rounded(value: Fraction) -> Decimal:
    units = math.floor(abs(value) * 10_000 + Fraction(1, 2))
    return Decimal(units if value >= 0 else -units) / 10_000


def months_before(date: dt.date, months: int) -> dt.date:
    month = date.year * 12 + date.month - 1 - months
    for day in range(date.day, 27, -1):
        try:
            return dt.date(month // 12, month % 12 + 1, day)
        except ValueError:
            continue
    return dt.date(month // 12, month % 12 + 1, date.day)


def margin_of(row: dict) -> Decimal:
    if row.get("cost") is not None:
        return row["amount"] - row["cost"]
    return (row["amount"] * MARGIN_RATE).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def is_sale(row: dict) -> bool:
    return row["amount"] >= 0 and not (row.get("void_date") and row["void_date"] <= row["ordered_date"])


def money_events(history: History) -> dict[str, list[tuple[dt.date, Decimal, Decimal, bool]]]:
    """(day, revenue, margin, cost given) by customer: sales, then what was taken back."""
    orders = {row["order_id"]: row for row in history.orders}
    events = defaultdict(list)
    for row in filter(is_sale, history.orders):
        events[row["customer_id"]].append((row["ordered_date"], row["amount"], margin_of(row), row["cost"] is not None))
    allocations, unmatched = history.allocations()
    so_far: dict[str, Decimal] = defaultdict(Decimal)
    for part in sorted(allocations, key=lambda part: (part["returned_date"], part["return_id"])):
        sold = orders[part["order_id"]]
        before, after = so_far[part["order_id"]], so_far[part["order_id"]] + part["amount"]
        so_far[part["order_id"]] = after
        share = [rounded(Fraction(margin_of(sold)) * Fraction(x) / Fraction(sold["amount"])) for x in (before, after)]
        event = part["returned_date"], -part["amount"], share[0] - share[1], sold["cost"] is not None
        events[sold["customer_id"]].append(event)
    for part in unmatched:
        document = orders[part["order_id"]]
        share = rounded(Fraction(margin_of(document)) * Fraction(part["amount"]) / Fraction(-document["amount"]))
        events[part["customer_id"]].append(
            (part["returned_date"], -part["amount"], share, document["cost"] is not None)
        )
    return events


def transactions(history: History, as_of: dt.date) -> dict[str, dict[dt.date, Decimal]]:
    """Net value by customer and transaction day."""
    back: dict[str, Decimal] = defaultdict(Decimal)
    undone: dict[str, Decimal] = defaultdict(Decimal)
    for part in history.allocations()[0]:
        if part["returned_date"] <= as_of:
            back[part["order_id"]] += part["amount"]
        if part["kind"] == "return" and part["returned_date"] == part["ordered_date"]:
            undone[part["order_id"]] += part["amount"]
    days: dict[str, dict[dt.date, list[tuple[bool, Decimal]]]] = defaultdict(lambda: defaultdict(list))
    for row in filter(is_sale, history.orders):
        if row["ordered_date"] <= as_of:
            never_was = row["amount"] > 0 and undone[row["order_id"]] == row["amount"]
            stands = not never_was and not (row.get("void_date") and row["void_date"] <= as_of)
            days[row["customer_id"]][row["ordered_date"]].append((stands, row["amount"] - back[row["order_id"]]))
    return {
        customer: {
            day: sum((net for _, net in parts), Decimal(0))
            for day, parts in sorted(by_day.items())
            if any(stands for stands, _ in parts)
        }
        for customer, by_day in days.items()
        if customer
    }


def known(history: History, as_of: dt.date) -> dict[str, dict]:
    """Attributes last known by customer known by then."""
    found = {row["customer_id"]: {} for row in history.orders if row["customer_id"] and row["ordered_date"] <= as_of}
    for row in history.customers:
        since = row["created_date"] or row["version_date"]
        if since is None or since <= as_of:
            found.setdefault(row["customer_id"], {})
    for row in sorted(history.customers, key=lambda row: row["version_date"] or dt.date.min):
        if all(row[name] is None or row[name] <= as_of for name in ("created_date", "version_date")):
            found[row["customer_id"]] = row
    return found


def gaps_of(days: dict[dt.date, Decimal]) -> list[int]:
    dates = list(days)
    return [(later - earlier).days for earlier, later in pairwise(dates)]


def shrunk(gaps: list[int], base: float) -> float:
    if not gaps:
        return base
    own = math.log(statistics.median(gaps))
    return math.exp((len(gaps) * own + PRIOR * math.log(base)) / (len(gaps) + PRIOR))


def base_of(history: History, as_of: dt.date) -> dict[str, object]:
    customers, bought = known(history, as_of), transactions(history, as_of)
    own = [gaps_of(days) for customer, days in bought.items() if not customers[customer].get("flag")]
    gaps = [gap for gaps in own for gap in gaps]
    ratios = [gap / statistics.median(gaps) for gaps in own if len(gaps) >= 3 for gap in gaps]
    return {
        "as_of_date": as_of,
        "base_gap_median": statistics.median(gaps) if gaps else 90.0,
        "gap_k": float(np.quantile(ratios, 0.95)) if len(ratios) >= 200 else 4.0,
        "gap_count": len(gaps),
        "ratio_gaps": len(ratios),
        "gap_is_default": not gaps,
    }


def restated(history: History, as_of: dt.date) -> Rows:
    bought, events, base = transactions(history, as_of), money_events(history), base_of(history, as_of)
    year, two_years = months_before(as_of, 12), months_before(as_of, 24)
    rows: Rows = {}
    for customer, attributes in known(history, as_of).items():
        days = bought.get(customer, {})
        first, last = (min(days), max(days)) if days else (None, None)
        moved = [event for event in events[customer] if event[0] <= as_of]
        gaps = gaps_of(days)
        typical = shrunk(gaps, base["base_gap_median"]) if days else None
        ended = [
            day
            for position, day in enumerate(list(days)[1:])
            if gaps[position] > base["gap_k"] * shrunk(gaps[:position], base["base_gap_median"])
        ]

        def total(values: list[Decimal]) -> Decimal:
            return sum(values, Decimal(0))

        repeat = {day: net for day, net in days.items() if day != first}
        late = {day: net for day, net in repeat.items() if 2 * (day - first).days > (as_of - first).days}
        last_year = [net for day, net in days.items() if day > year]
        year_before = [net for day, net in days.items() if two_years < day <= year]
        rows[customer] = {
            "as_of_date": as_of, "customer_id": customer,
            "customer_type": attributes.get("customer_type"), "flag": attributes.get("flag"),
            "first_order_date": first, "last_order_date": last,
            "transactions": len(days), "frequency": max(0, len(days) - 1),
            "recency": (last - first).days if days else None,
            "T": (as_of - first).days if days else None,
            "monetary_value": rounded(Fraction(total(repeat.values())) / len(repeat)) if repeat else Decimal(0),
            "days_since_last": (as_of - last).days if days else None,
            "gap_median": typical, "gap_limit": typical * base["gap_k"] if days else None,
            "revenue_total": total([revenue for _, revenue, _, _ in moved]),
            "revenue_12m": total([revenue for day, revenue, _, _ in moved if day > year]),
            "margin_total": total([margin for _, _, margin, _ in moved]),
            "margin_12m": total([margin for day, _, margin, _ in moved if day > year]),
            "net_sales": total(days.values()), "repeat_sales": total(repeat.values()),
            "margin_prior_12m": total([margin for day, _, margin, _ in moved if two_years < day <= year]),
            "transactions_12m": len(last_year), "transactions_prior_12m": len(year_before),
            "net_sales_12m": total(last_year), "net_sales_prior_12m": total(year_before),
            "second_half_transactions": len(late), "second_half_sales": total(late.values()),
            "first_half_sales": total(repeat.values()) - total(late.values()),
            "reactivated_date": max(ended) if ended else None,
            "cost_covered_revenue": total([revenue for _, revenue, _, given in moved if given]),
            "gap_count": len(gaps),
        }  # fmt: skip
    return rows


# -- numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_of", [FIRST, SECOND])
def test_the_snapshot_agrees_with_a_plain_restatement_of_every_measure(work: Path, history: History, as_of: dt.date):
    found, expected = snapshot(work, as_of), restated(history, as_of)
    assert found.keys() == expected.keys()
    for customer, row in expected.items():
        approximate = {name: pytest.approx(row[name], rel=1e-12) for name in ("gap_median", "gap_limit") if row[name]}
        assert found[customer] == row | approximate
    assert sum(row["reactivated_date"] is not None for row in found.values()) > 20
    assert sum(row["transactions"] == 0 for row in found.values()) > 5


@pytest.mark.parametrize("as_of", [FIRST, SECOND])
def test_the_base_agrees_with_a_plain_restatement(work: Path, history: History, as_of: dt.date):
    found = read(work, f"select * from marts.fct_snapshot_base where as_of_date = date '{as_of}'")
    expected = base_of(history, as_of)
    assert found == [expected | {"gap_k": pytest.approx(expected["gap_k"], rel=1e-12)}]


@pytest.mark.parametrize("as_of", [FIRST, SECOND])
def test_a_snapshot_knows_nothing_of_later_rows(build: Build, work: Path, history: History, as_of: dt.date):
    then = build(history.known_by(as_of), as_of)
    assert snapshot(then, as_of) == snapshot(work, as_of)


def test_building_a_snapshot_again_changes_nothing(build: Build, work: Path, history: History):
    before = [snapshot(work, as_of) for as_of in (FIRST, SECOND)]
    base = read(work, "select * from marts.fct_snapshot_base order by all")
    build(history, FIRST)
    build(history, SECOND)
    assert [snapshot(work, as_of) for as_of in (FIRST, SECOND)] == before
    assert read(work, "select * from marts.fct_snapshot_base order by all") == base


def test_attributes_are_as_last_known_and_current_ones_are_in_the_dimension(work: Path, history: History):
    as_of = {row["customer_id"]: row for row in read(work, "select * from marts.dim_customers_as_of")}
    current = {row["customer_id"]: row for row in read(work, "select * from marts.dim_customers")}
    expected = known(history, SECOND)
    assert {name: row["name"] for name, row in as_of.items()} == {
        name: row.get("name") for name, row in expected.items()
    }
    assert {name: row["version_date"] for name, row in as_of.items()} == {
        name: row.get("version_date") for name, row in expected.items()
    }
    newest = {row["customer_id"]: row["customer_type"] for row in history.customers if row["is_current"]}
    assert {name: row["customer_type"] for name, row in current.items() if row["has_record"]} == newest
    everyone = {row["customer_id"] for row in history.orders + history.customers} - {None}
    assert current.keys() == everyone


def test_facts_and_products_hold_what_no_customer_table_does(build: Build):
    day = dt.date(2023, 5, 1)
    line = {"order_id": "guest", "line": 1, "product_id": "tea", "quantity": 2, "unit_price": 5, "amount": 10}
    history = History(orders=[order("guest", None, day, 10)], lines=[line], products=[{"product_id": "cup"}])
    path = build(history, day)
    assert read(path, "select order_id, is_anonymous, margin from marts.fct_orders") == [
        {"order_id": "guest", "is_anonymous": True, "margin": Decimal(4)}
    ]
    assert read(path, "select product_id, has_record from marts.dim_products order by all") == [
        {"product_id": "cup", "has_record": True},
        {"product_id": "tea", "has_record": False},
    ]
    assert read(path, "select count(*) as n from marts.fct_order_lines") == [{"n": 1}]
    assert not snapshot(path, day)


def test_a_snapshot_that_was_tampered_with_fails_its_tests(build: Build):
    day = dt.date(2023, 5, 1)
    path = build(History(orders=[order(name, name, day, 10) for name in ("anna", "bob", "carl")]), day)
    with duckdb.connect(path) as con:
        con.execute("update marts.fct_customer_snapshot set revenue_total = 11 where customer_id = 'anna'")
        con.execute("update marts.fct_customer_snapshot set gap_median = 'nan' where customer_id = 'anna'")
        con.execute("update marts.fct_customer_snapshot set customer_id = 'anna' where customer_id = 'bob'")
    result = run_dbt("test", "--select", "fct_customer_snapshot", "--exclude", "test_type:unit")
    failed = {row.node.test_metadata.name for row in result.result if str(row.status) == "fail"}
    assert failed == {"revenue_reconciles", "within", "unique_combination", "holds_same_customers"}


def test_the_projects_own_unit_tests_pass(build: Build, work: Path):
    result = run_dbt("test", "--select", "test_type:unit")
    assert result.success, [f"{row.node.name}: {row.message}" for row in result.result if str(row.status) != "pass"]
    assert len(result.result) >= 15


# -- shape ----------------------------------------------------------------------------------------------------------------

MAY_READ = {
    "staging": {"source"},
    "intermediate": {"staging", "intermediate"},
    "marts": {"intermediate", "marts"},
}


@pytest.fixture(scope="module")
def manifest(work: Path) -> dict:
    return json.loads((work.parents[1] / "target" / "manifest.json").read_text())


def models(manifest: dict) -> list[dict]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def test_each_layer_reads_only_the_layer_before_it_or_its_own(manifest: dict):
    layer = {node["unique_id"]: node["fqn"][1] for node in models(manifest)}
    for node in models(manifest):
        for parent in node["depends_on"]["nodes"]:
            read_from = "source" if parent.startswith("source.") else layer[parent]
            assert read_from in MAY_READ[layer[node["unique_id"]]], f"{node['name']} reads {parent}"
        assert node["schema"] == layer[node["unique_id"]]


def test_every_table_and_every_column_of_it_has_a_description(manifest: dict, work: Path):
    described = [*models(manifest), *manifest["sources"].values()]
    for node in described:
        assert node["description"], node["name"]
        found = read(work, f"select * from (describe {node['schema']}.{node['name']})")
        assert {row["column_name"] for row in found} == {column["name"] for column in node["columns"].values()}, node[
            "name"
        ]
        assert all(column["description"] for column in node["columns"].values()), node["name"]


def test_every_mart_has_an_enforced_contract(manifest: dict):
    marts = [node for node in models(manifest) if node["fqn"][1] == "marts"]
    assert marts
    assert all(node["config"]["contract"]["enforced"] for node in marts)


def test_direct_identifiers_are_marked(manifest: dict):
    for node in models(manifest):
        if node["name"] in ("dim_customers", "dim_customers_as_of"):
            marked = {column["name"] for column in node["columns"].values() if column["meta"].get("pii")}
            assert marked == {"name", "email", "phone", "birth_date"}
