"""The facts that dbt builds: numbers against a plain restatement in Python, point in time, and the shape of the project."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import yaml
from clean_fixture import PROJECT, Build, History, builds_facts, order, random_history, run_dbt
from facts_restated import FIRST, MARGIN_RATE, SECOND, base_of, cohorts_of, known, read, restated, snapshot


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    with builds_facts(tmp_path_factory.mktemp("dbt"), {"CVM_MARGIN_RATE": str(MARGIN_RATE)}) as build:
        yield build


@pytest.fixture(scope="module")
def history() -> History:
    return random_history()


@pytest.fixture(scope="module")
def work(build: Build, history: History) -> Path:
    """Both snapshots of the random history, the earlier one built first."""
    build(history, FIRST)
    return build(history, SECOND)


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
def test_cohorts_agree_with_a_plain_restatement_and_hold_all_revenue_of_their_customers(
    work: Path, history: History, as_of: dt.date
):
    rows = read(work, f"select * exclude (as_of_date) from marts.fct_cohort_periods where as_of_date = date '{as_of}'")
    found = {(row.pop("cohort"), row.pop("period")): row for row in rows}
    assert len(found) == len(rows) > 30
    assert found == cohorts_of(history, as_of)
    assert sum(row["revenue"] for row in rows) == sum(
        row["revenue_total"] for row in snapshot(work, as_of).values() if row["transactions"] and not row["flag"]
    )


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
    assert len(result.result) >= 25


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


def test_the_folder_to_spill_to_is_no_setting_since_each_model_would_set_it_and_duckdb_refuses_once_it_has_spilled():
    target = yaml.safe_load((PROJECT / "profiles.yml").read_text())["cvm"]["outputs"]["work"]
    assert "temp_directory" in target["config_options"]
    assert "temp_directory" not in target["settings"]


def test_direct_identifiers_are_marked(manifest: dict):
    for node in models(manifest):
        if node["name"] in ("dim_customers", "dim_customers_as_of"):
            marked = {column["name"] for column in node["columns"].values() if column["meta"].get("pii")}
            assert marked == {"name", "email", "phone", "birth_date"}
