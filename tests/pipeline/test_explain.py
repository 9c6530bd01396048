"""`cvm explain`: one customer on one screen, and every figure of it the published one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

APRIL, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 31)
PARTS = ("frequency", "recency", "time", "spend", "margin", "model", "correction", "entry", "identity")


def one_of(shop, condition: str) -> str:
    """The customer of the best rank that the condition holds for."""
    return shop.column(f"select customer_id from cvm.customer_value where {condition} order by value_rank limit 1")[0]


@pytest.mark.parametrize("stage", ["prospect", "new", "mature", "declining", "lost", "reactivated"])
def test_a_customer_of_every_stage_is_told_on_one_screen(shop, stage):
    id_ = one_of(shop, f"lifecycle_stage = '{stage}'")
    ((tier, reason, clv),) = shop.ask(
        "select value_tier, stage_reason, clv from cvm.customer_value where customer_id = ?", id_
    )
    said = shop.cvm("explain", id_)
    assert said.code == 0, said.err
    for told in (f"{id_} as of {MAY}", f"{stage} since", reason, "Tier", tier, "History"):
        assert told in said.out
    assert (f"{clv:,.2f}" if clv is not None else "nothing is forecast before a first purchase") in said.out
    assert len(said.out.splitlines()) <= 45


def test_what_changed_adds_up_and_the_stays_end_in_the_present(shop):
    id_ = one_of(shop, "previous_stage is not null and transactions > 3")
    told = shop.cvm("explain", id_, "--json").json
    change = {name: Decimal(str(told["change"][name])) for name in (*PARTS, "change", "clv", "clv_before")}
    assert sum(change[part] for part in PARTS) == change["change"] == change["clv"] - change["clv_before"]
    assert [one["as_of_date"] for one in told["timeline"]] == [str(APRIL), str(MAY)]
    stands = {stay["scheme"]: stay["state"] for stay in told["stays"] if stay["valid_to"] is None}
    assert stands["stage"] == told["snapshot"]["lifecycle_stage"]
    assert stands["tier"] == told["snapshot"]["value_tier"]
    assert stands["rfm"] == told["snapshot"]["rfm_segment"]


def test_what_changed_is_told_since_the_snapshot_before_and_by_another_model_where_it_is_one(shop):
    ((before, now),) = shop.ask(
        """select any_value(clv_model) filter (as_of_date = ?), any_value(clv_model) filter (as_of_date = ?)
           from cvm.customer_value_history where clv_model is not null""", APRIL, MAY,
    )  # fmt: skip
    id_ = shop.column(f"select customer_id from cvm.value_change where model <> 0 and as_of_date = '{MAY}' limit 1")[0]
    said = shop.cvm("explain", id_).out
    assert f" since {APRIL}: " in said
    assert ("model: a new fit of the model" if before == now else f"model: another model, {now} after {before}") in said


def test_an_earlier_snapshot_is_told_as_it_was_known_then(shop):
    id_ = one_of(shop, "previous_stage is not null")
    screen = shop.cvm("explain", id_, "--as-of", str(APRIL)).out
    assert f"as of {APRIL} (the newest snapshot is of {MAY})" in screen
    assert f"still {APRIL}" in screen and "until now" not in screen
    told = shop.cvm("explain", id_, "--as-of", str(APRIL), "--json").json
    assert told["snapshot"]["as_of_date"] == str(APRIL)
    assert [one["as_of_date"] for one in told["timeline"]] == [str(APRIL)]
    assert all(stay["valid_from"] <= str(APRIL) and stay["valid_to"] is None for stay in told["stays"])
    # The golden record is kept of the newest snapshot alone.
    assert told["customer"] is None
    assert told["change"] is None


def test_a_warned_customer_is_told_why_and_since_when(shop):
    ((id_, level, reasons),) = shop.ask(
        "select customer_id, level, reasons from cvm.early_warning where as_of_date = ? order by customer_id limit 1",
        MAY,
    )
    said = shop.cvm("explain", id_)
    assert f"{level} since" in said.out and reasons in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nobody",), "no published snapshot holds customer nobody. Ids look like c"),
     (("c0001", "--as-of", "2024-05-15"), "no snapshot of 2024-05-15: the nearest are of 2024-04-30 and 2024-05-31")],
)  # fmt: skip
def test_whom_nobody_knows_is_said_so(shop, arguments, words):
    said = shop.cvm("explain", *arguments)
    assert said.code == 2
    assert words in said.err
