"""Changes of value from raw files to what a reader is told of them."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal

import pytest
from small_shop import LINES, write_csv

from cvm_pipeline.domain.value_change import PARTS

APRIL, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 31)


def changes(place, as_of=MAY) -> dict[str, dict[str, Decimal]]:
    names = ("clv_before", "clv", "change", *PARTS)
    rows = place.ask(f"select customer_id, {', '.join(names)} from cvm.value_change where as_of_date = ?", as_of)
    return {customer: dict(zip(names, values, strict=True)) for customer, *values in rows}


@pytest.fixture(scope="module")
def corrected(shop, tmp_path_factory):
    """The shop of May made again with an order of early April that was not known when April was published."""
    place = shop.copy(tmp_path_factory.mktemp("corrected") / "shop")
    with (place.folder / "landing" / "lines-2-2024.csv").open(encoding="utf-8", newline="") as file:
        every = [row for row in csv.DictReader(file) if row["customer"] and not row["of"] and not row["state"]]
    known = next(row for row in every if row["at"][:7] == "2024-03")
    late = known | {"order": "late", "at": "2024-04-02 12:00:00"}
    assert not [row for row in every if row["customer"] == known["customer"] and row["at"][:10] == "2024-04-02"]
    write_csv(place.folder / "landing" / "lines-5-late.csv", LINES, [late])
    outcome = place.run(MAY)
    assert outcome.exit_code == 0, outcome.messages
    return place, known["customer"]


def test_the_first_snapshot_has_no_change_and_says_nothing_of_one(shop):
    assert changes(shop, APRIL) == {}
    told = shop.ask("select as_of_date, value from cvm.clv_model_card where metric = 'value_change_split'")
    assert told == [(MAY, 1.0)]


def test_every_customer_with_value_then_or_now_is_told_and_the_parts_add_up(shop):
    found = changes(shop)
    clv = {
        day: dict(
            shop.ask(
                "select customer_id, clv from cvm.customer_value_history where as_of_date = ? and clv is not null", day
            )
        )
        for day in (APRIL, MAY)
    }
    assert found.keys() == clv[APRIL].keys() | clv[MAY].keys()
    assert len(found) > 200
    for customer, row in found.items():
        then, now = clv[APRIL].get(customer, Decimal(0)), clv[MAY].get(customer, Decimal(0))
        assert (row["clv_before"], row["clv"], row["change"]) == (then, now, now - then)
        assert sum(row[name] for name in PARTS) == row["change"]


def test_facts_that_did_not_change_are_no_correction_and_each_cause_is_at_work(shop):
    found = changes(shop).values()
    assert {name: sum(row[name] != 0 for row in found) for name in ("correction", "identity")} == {
        "correction": 0, "identity": 0,
    }  # fmt: skip
    for name in ("frequency", "recency", "time", "model"):
        assert sum(row[name] != 0 for row in found) > 20, name
    # Time without a purchase takes value from whoever is expected back.
    assert sum(row["time"] for row in found) < 0


def test_an_order_that_was_told_too_late_is_the_correction_of_its_customer_alone(corrected):
    place, customer = corrected
    found = changes(place)
    assert {name for name, row in found.items() if row["correction"]} == {customer}
    assert all(sum(row[name] for name in PARTS) == row["change"] for row in found.values())


def test_without_the_model_before_nothing_is_divided_and_the_card_says_why(corrected, tmp_path):
    place = corrected[0].copy(tmp_path / "shop")
    ((digest,),) = place.ask(
        "select note from cvm.clv_model_card where metric = 'fitted_model' and as_of_date = ?", APRIL
    )
    path = place.home.models / f"{digest}.pickle"
    path.write_bytes(path.read_bytes() + b"\0")
    said = []
    outcome = place.run(MAY, select='key:"value/clv_model_card" or key:"value/value_change"', progress=said.append)
    assert outcome.exit_code == 0, outcome.messages
    assert place.work("select count(*) from value.value_change") == [(0,)]
    assert f"values are not compared with those before: {path} is not what was written" in said
    told = place.work("select value, note from value.clv_model_card where metric = 'value_change_split'")
    assert told == [(0.0, f"{path} is not what was written")]


def test_the_models_of_both_snapshots_are_kept_for_their_owner_alone_and_no_other(shop):
    named = shop.column("select note from cvm.clv_model_card where metric = 'fitted_model'")
    files = list(shop.home.models.iterdir())
    assert sorted(path.stem for path in files) == sorted(named)
    assert len(named) == 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
