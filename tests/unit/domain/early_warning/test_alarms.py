"""Rows of early_warning: value at risk, level, reasons in words, and alarms that stand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain.early_warning import alarms, levels
from cvm_pipeline.domain.early_warning.alarms import raised, standing, with_tier_falls
from cvm_pipeline.domain.early_warning.levels import Cuts
from cvm_pipeline.domain.early_warning.windows import SpendNode, Start
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.pricing import Pricing
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Probability, Timing
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend

TODAY = dt.date(2026, 6, 30)
CUTS = Cuts(Decimal("50"), Decimal("200"))
FIT = Fit({"r": 1.4, "alpha": 9.0, "s": 0.6, "beta": 30.0}, {}, None, 100.0, True, 0.0, time_unit_days=7.0)
TIMING = Timing(transaction_model("pareto_nbd"), FIT)
MONEY = Fit({"p": 6.25, "q": 3.74, "v": 15.44}, {}, None, 100.0, True, 0.0)
PRICING = Pricing(
    Probability(TIMING), TIMING, Spend(MONEY, 35.0, False), MarginParameters(0.4, 0.0, 0.0, 9, True), 12, 0.1
)
STARTS = [Start(91, TIMING, (SpendNode(1.0, MONEY.parameters),))]
SILENT = {
    "customer_id": "quiet", "window_days": 91, "expected_transactions": 6.8, "observed_transactions": 0, "base_index": 0.94,
    "p_frequency": 0.0004, "p_spend": 1.0, "p_value": 0.0008, "signals": 2.0, "frequency": 20.0, "recency": 290.0, "T": 300.0,
    "repeat_sales": 700.0, "paid": 0.0, "paid_sales": 0.0, "frequency_now": 20.0, "recency_now": 290.0, "T_now": 391.0,
    "repeat_sales_now": 700.0, "margin_total": 0.0, "revenue_total": 0.0, "p_alive": 0.06,
}  # fmt: skip
THRIFTY = SILENT | {
    "customer_id": "thrifty", "observed_transactions": 6, "p_frequency": 0.6, "p_spend": 0.0002, "p_value": 0.0004,
    "paid": 6.0, "paid_sales": 42.0, "frequency_now": 26.0, "recency_now": 385.0, "repeat_sales_now": 742.0, "p_alive": 0.97,
}  # fmt: skip


def rows(*customers: dict) -> pa.Table:
    return pa.Table.from_pylist(list(customers))


def one(customer: dict, cuts: Cuts = CUTS) -> dict:
    return raised(rows(customer), STARTS, 0.001, PRICING, cuts, TODAY).to_pylist()[0]


def test_an_alarm_says_what_fell_by_how_much_and_what_that_puts_at_risk() -> None:
    found = one(SILENT)
    assert found["reasons"].startswith(
        "0 transactions in 91 days, 6.8 expected (base x 0.94): chance 0.0004; P(alive) 0.06"
    )
    assert found["signals"] == "frequency"
    assert (found["raised_on"], found["lapses_on"], found["status"]) == (TODAY, dt.date(2026, 9, 29), "new")
    spender = one(THRIFTY)
    assert spender["signals"] == "spend"
    usual = 6.25 * (15.44 + 700) / (6.25 * 20 + 3.74 - 1)
    assert spender["reasons"].startswith(f"7.00 a transaction in 91 days after {usual:.2f}: chance 0.0002")


def test_value_at_risk_is_what_is_lost_with_who_has_gone_or_what_the_clv_has_lost_if_that_is_more() -> None:
    now = [np.array([v]) for v in (20.0, 391.0, 700.0, 0.4)]
    if_alive = PRICING.value_if_alive(*now)[0]
    before = PRICING.clv(*(np.array([v]) for v in (20.0, 290.0, 300.0, 700.0, 0.4)))[0]
    after = PRICING.clv(*(np.array([v]) for v in (20.0, 290.0, 391.0, 700.0, 0.4)))[0]
    assert before - after > if_alive * 0.94 > 0
    assert float(one(SILENT)["value_at_risk"]) == pytest.approx(before - after, abs=1e-4)
    # Who only spends less has no fall of rate: what counts is the chance of having gone.
    alive = PRICING.value_if_alive(*(np.array([v]) for v in (26.0, 391.0, 742.0, 0.4)))[0]
    assert float(one(THRIFTY)["value_at_risk"]) == pytest.approx(alive * 0.03, abs=1e-4)


def test_value_at_risk_is_finite_where_nobody_can_be_alive_and_never_below_nought() -> None:
    arrays = (np.array([v]) for v in (80.0, 0.0, 10.0, 0.0))
    assert levels.value_at_risk(*arrays, np.array([True])).tolist() == [80.0]
    arrays = (np.array([v]) for v in (80.0, 1.0, 10.0, 30.0))
    assert levels.value_at_risk(*arrays, np.array([True])).tolist() == [0.0]


def test_a_level_begins_exactly_at_its_cut() -> None:
    at_risk = pa.array([Decimal(v) for v in ("0", "49.9999", "50", "199.9999", "200")], pa.decimal128(18, 4))
    assert levels.level(at_risk, CUTS).to_pylist() == ["watch", "watch", "warning", "warning", "critical"]
    assert levels.level(at_risk, Cuts(None, None)).to_pylist() == ["watch"] * 5


def test_value_if_alive_is_clv_over_p_alive_wherever_that_has_a_value() -> None:
    x, t_x, T, sales, rate = (np.array(v, float) for v in ([3, 20], [100, 380], [400, 391], [90, 700], [0.4, 0.3]))
    alive = TIMING.p_alive(x, t_x, T)
    assert PRICING.value_if_alive(x, T, sales, rate) * alive == pytest.approx(
        PRICING.clv(x, t_x, T, sales, rate), rel=1e-12
    )


def published() -> pa.Table:
    new = raised(rows(SILENT, THRIFTY), STARTS, 0.001, PRICING, CUTS, TODAY)
    return new.append_column("publication_id", pa.repeat("p1", new.num_rows))


@pytest.mark.parametrize(("later", "stands"), [(dt.date(2026, 7, 31), True), (dt.date(2026, 9, 28), True), (dt.date(2026, 9, 29), False)])  # fmt: skip
def test_an_alarm_stands_as_it_was_raised_until_it_lapses(later: dt.date, stands: bool) -> None:
    found = standing(published(), pa.array(["quiet", "thrifty"]), later).to_pylist()
    assert len(found) == 2 * stands
    for before, now in zip(published().to_pylist(), found, strict=False):
        same = set(before) - {"as_of_date", "status", "publication_id"}
        assert {name: now[name] for name in same} == {name: before[name] for name in same}
        assert (now["as_of_date"], now["status"]) == (later, "standing")


def test_an_alarm_of_who_is_no_longer_there_or_flagged_since_does_not_stand() -> None:
    found = standing(published(), pa.array(["thrifty"]), dt.date(2026, 7, 31))
    assert found["customer_id"].to_pylist() == ["thrifty"]
    assert standing(None, pa.array(["thrifty"]), TODAY).num_rows == 0


@pytest.mark.parametrize(
    ("status", "before", "now", "is_told"),
    [("new", "A", "B", True), ("new", "B", "A", False), ("new", "B", "B", False), ("new", None, "B", False),
     ("standing", "A", "B", False)],
)  # fmt: skip
def test_a_tier_that_fell_is_a_reason_of_a_new_alarm(status: str, before: str | None, now: str, is_told: bool) -> None:
    row = raised(rows(SILENT), STARTS, 0.001, PRICING, CUTS, TODAY).to_pylist()[0]
    told = row | {"status": status, "value_tier": now, "previous_tier": before}
    types = pa.schema([*alarms.SCHEMA, ("value_tier", pa.string()), ("previous_tier", pa.string())])
    found = with_tier_falls(pa.RecordBatch.from_pylist([told], schema=types)).to_pylist()[0]["reasons"]
    assert found == row["reasons"] + "; tier fell from A to B" * is_told
