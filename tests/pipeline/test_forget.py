"""`cvm forget` on a whole project: nothing of the person is left, nothing brings them back, and no log ever named them."""

from __future__ import annotations

import datetime as dt
import json

import dagster as dg
import pytest
from forgetful_shop import EMAIL, ID, NAME, PHONE, VALUES, deliver_again, write_forgetful_shop
from places import Place

from cvm_pipeline.config.home import Home
from cvm_pipeline.defs.as_of import land_and_clean
from cvm_pipeline.defs.forget import forget
from cvm_pipeline.defs.instance import instance_of
from cvm_pipeline.defs.project_sources import specs_of, suppression_of
from cvm_pipeline.sources.ingest import land
from cvm_pipeline.warehouse.attempts import last_attempts
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.inputs import changed_snapshots
from cvm_pipeline.warehouse.targets.follow import follow
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget
from cvm_pipeline.warehouse.targets.used import remember_target
from cvm_pipeline.warehouse.traces import traces
from cvm_pipeline.warehouse.versions import standing

JULY, AUGUST = dt.date(2023, 7, 31), dt.date(2023, 8, 31)
NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def run_once(tmp_path_factory):
    """The shop, run."""
    place = Place(write_forgetful_shop(tmp_path_factory.mktemp("forget") / "shop").parent)
    outcome = place.run(JULY)
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture
def shop(run_once, tmp_path):
    return run_once.copy(tmp_path / "shop")


@pytest.fixture(autouse=True)
def no_hook_is_left():
    yield
    HOOKS.clear()


def test_no_log_record_or_event_of_a_run_names_anybody(run_once):
    home = run_once.home
    named = {path.relative_to(home.root).parts[0] for path in traces(home, [EMAIL, PHONE, NAME])}
    # What holds people by its purpose; each readable by its owner only.
    assert named == {"landing", "warehouse", "work"}
    assert {path.name for path in traces(home, [EMAIL, PHONE, NAME]) if "warehouse" in path.parts} == {"pii.duckdb"}
    for arguments in (("status",), ("status", "--json"), ("gate", "explain"), ("versions",)):
        said = run_once.cvm(*arguments)
        assert not any(value in said.out + said.err for value in (EMAIL, PHONE, NAME)), arguments


def test_nothing_is_left_of_a_forgotten_person_and_a_new_export_does_not_bring_them_back(shop):
    home = shop.home
    assert all(traces(home, [value]) for value in VALUES)
    totals = shop.ask("select * from cvm.segment_summary order by all")
    said = shop.cvm("forget", ID, "--yes", "--reason", f"{NAME} asked us to")
    assert said.code == 0, said.err
    assert traces(home, VALUES) == []
    assert shop.ask("select * from cvm.segment_summary order by all") == totals
    erased = last_attempts(home, 1)[0]
    assert (erased.outcome, erased.reason.split(": ")[1]) == ("erased", "[forgotten] asked us to")
    assert "another customer" not in said.err
    with instance_of(home) as instance:
        # Dagster still reads its own history.
        record = instance.get_run_records()[0]
        assert len(instance.all_logs(record.dagster_run.run_id)) > 100
        assert instance.get_latest_materialization_event(dg.AssetKey(["clean", "orders"])) is not None
    # The snapshot knew nothing else than what is known today, but for the person: nobody need make it anew.
    land_and_clean(shop.project, NOW)
    assert changed_snapshots(home, shop.project.config_hash) == []
    home.erased_inputs.rename(home.root / "elsewhere")
    assert changed_snapshots(home, shop.project.config_hash) == [JULY]
    (home.root / "elsewhere").rename(home.erased_inputs)
    deliver_again(shop.folder)
    outcome = shop.run(AUGUST)
    assert outcome.exit_code == 0, outcome.messages
    assert traces(home, [*VALUES, "zq-order-3"]) == []
    assert shop.column("select count(*) from cvm.customer_value") == [40]
    assert shop.ask("select file, rows_filtered from cvm.ingest_audit where source = 'orders' order by file") == [
        ("landing/orders-2.csv", 1),
        ("landing/orders.csv", 7),
    ]
    again = shop.cvm("forget", ID, "--yes", "--json")
    assert (again.code, again.json["landed_rows"], again.json["left"]) == (0, 0, [])


def test_an_erasure_that_died_is_completed_by_asking_for_anybody(shop):
    def die(name: str) -> None:
        if name == "erase from landed customers":
            raise KeyboardInterrupt

    HOOKS.append(die)
    with pytest.raises(KeyboardInterrupt):
        forget(shop.project, ID, "", NOW)
    HOOKS.clear()
    assert shop.home.forgetting.stat().st_mode & 0o777 == 0o600
    assert traces(shop.home, [EMAIL])
    assert "an erasure was interrupted" in shop.cvm("status").out
    assert shop.cvm("forget", "nobody known", "--yes").code == 0
    assert traces(shop.home, VALUES) == []
    assert not shop.home.forgetting.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("forget", ID), "needs --yes"), (("forget", "nobody", "--yes"), "no customer 'nobody'")],
)
def test_what_cannot_be_asked_changes_nothing_and_says_so(run_once, arguments, told):
    before = run_once.fingerprint()
    said = run_once.cvm(*arguments)
    assert (said.code, told in said.err) == (2, True), said.err
    assert run_once.fingerprint() == before
    assert not run_once.home.forgotten.exists()


def land_all(place):
    project = place.project
    land(specs_of(project), project.root, project.home.landing, NOW, suppression=suppression_of(project, NOW))


def test_sources_that_were_renamed_or_removed_keep_nobody(shop):
    text = shop.config.read_text()
    orders, _ = text.split("  - entity: customers\n")
    shop.config.write_text(orders.replace("entity: orders\n", "entity: orders\n    name: sales\n"))
    land_all(shop)
    assert {path.parent.name for path in traces(shop.home, [ID]) if "landing" in path.parts} == {
        "customers", "orders", "sales",
    }  # fmt: skip
    said = shop.cvm("forget", ID, "--yes")
    assert said.code == 0, said.err
    assert traces(shop.home, VALUES) == []
    assert "still stands" not in said.err
    # Rows of others are there for the day when the source comes back.
    assert traces(shop.home, ["Person 7"])


def test_an_earlier_target_is_erased_from_where_it_is_in_reach_and_named_where_it_is_not(shop):
    lake = ParquetTarget(shop.folder / "lake")
    with lake.session("test") as session:
        follow(session, shop.home, standing(shop.home))
    remember_target(shop.home, lake)
    listed = json.loads(shop.home.targets.read_text())
    shop.home.targets.write_text(json.dumps([*listed, {"name": "PostgreSQL at db.example/w", "folder": None}]))
    files = Home(lake.root)
    assert traces(files, [EMAIL])
    said = shop.cvm("forget", ID, "--yes")
    assert said.code == 1
    assert "Not erased from an earlier target. PostgreSQL at db.example/w" in said.err
    assert traces(files, VALUES) == []


def test_an_id_that_could_be_any_number_is_erased_as_an_id_and_what_was_not_looked_for_is_said(tmp_path):
    place = Place(write_forgetful_shop(tmp_path / "shop", customers=3).parent)
    for path in (place.folder / "landing").glob("*.csv"):
        path.write_text(path.read_text().replace(ID, "9137"))
    land_all(place)
    text = place.config.read_text()
    place.config.write_text(text.split("  - entity: customers\n")[0])
    said = place.cvm("forget", "9137", "--yes")
    assert said.code == 0, said.err
    assert {path.parent.name for path in traces(place.home, ["9137"])} == {"customers"}
    assert "the id 9137 may be any number or word" in said.err
    assert "landing/customers is of no source in cvm.yml" in said.err


def test_of_several_systems_the_right_person_goes(tmp_path):
    place = Place(write_forgetful_shop(tmp_path / "shop", customers=3).parent)
    text = place.config.read_text()
    place.config.write_text(text.replace("  - entity: customers\n", "  - entity: customers\n    source_system: crm\n"))
    land_all(place)
    ambiguous = place.cvm("forget", ID, "--yes")
    assert (ambiguous.code, f"crm:{ID}, default:{ID}" in ambiguous.err) == (2, True), ambiguous.err
    done = place.cvm("forget", f"crm:{ID}", "--yes", "--json")
    # Both records, the guest's order with their address, and the torn row with their name.
    assert (done.code, done.json["landed_rows"]) == (0, 4), done.err
    assert json.loads(place.home.forgotten.read_text())["hashes"]
    assert {path.parent.name for path in traces(place.home, [ID])} == {"orders"}
