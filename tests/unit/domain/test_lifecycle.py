"""Lifecycle stages: each boundary of each rule, the order of the rules, reasons, and forbidden transitions."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain import lifecycle
from cvm_pipeline.domain.contracts import STAGES
from cvm_pipeline.domain.lifecycle import BaseFacts, Settings
from cvm_pipeline.domain.momentum import Prior

AS_OF = date(2011, 12, 31)
FACTS = BaseFacts(AS_OF, base_gap_median=30, gap_k=4, margin_12m=1_000, margin_prior_12m=1_000)
PRIOR = Prior(r=0.5, alpha=60, p=6, q=4, v=15)
TYPES = {
    **{name: pa.date32() for name in ("as_of_date", "reactivated_date")},
    **{
        name: pa.int64()
        for name in (
            "transactions", "frequency", "T", "days_since_last", "transactions_12m", "transactions_prior_12m",
            "second_half_transactions",
        )
    },
    "gap_limit": pa.float64(),
    **{
        name: pa.decimal128(18, 4)
        for name in (
            "margin_12m", "margin_prior_12m", "net_sales_12m", "net_sales_prior_12m", "first_half_sales",
            "second_half_sales",
        )
    },
}  # fmt: skip

# A steady customer of 20 months: nothing but `mature` holds.
STEADY: dict[str, object] = {
    "as_of_date": AS_OF, "reactivated_date": None, "transactions": 13, "frequency": 12, "T": 600, "days_since_last": 20,
    "gap_limit": 100.0, "transactions_12m": 7, "transactions_prior_12m": 6, "second_half_transactions": 6,
    "margin_12m": 300, "margin_prior_12m": 290, "net_sales_12m": 300, "net_sales_prior_12m": 290,
    "first_half_sales": 300, "second_half_sales": 300,
}  # fmt: skip
PROSPECT = {
    "transactions": 0, "frequency": 0, "T": None, "days_since_last": None, "gap_limit": None, "transactions_12m": 0,
    "transactions_prior_12m": 0, "second_half_transactions": 0, "margin_12m": 0, "margin_prior_12m": 0, "net_sales_12m": 0,
    "net_sales_prior_12m": 0, "first_half_sales": 0, "second_half_sales": 0,
}  # fmt: skip


def batch(*rows: dict[str, object]) -> pa.RecordBatch:
    def value(row: dict[str, object], name: str) -> object:
        found = {**STEADY, **row}[name]
        return Decimal(str(found)) if pa.types.is_decimal(TYPES[name]) and found is not None else found

    arrays = [pa.array([value(row, name) for row in rows], type_) for name, type_ in TYPES.items()]
    return pa.RecordBatch.from_arrays(arrays, names=list(TYPES))


def staged(
    p_alive: float = 0.9, given_settings: Settings | None = None, facts: BaseFacts = FACTS, **row: object
) -> tuple[str, str]:
    fitted = lifecycle.fit(facts, PRIOR, given_settings)
    found = lifecycle.score(batch(row), np.array([p_alive]), fitted)
    return found.lifecycle_stage[0].as_py(), found.stage_reason[0].as_py()


@pytest.mark.parametrize(("level", "stage"), [("critical", "declining"), ("warning", "declining"), ("watch", "mature"), (None, "mature")])  # fmt: skip
def test_a_standing_warning_of_level_warning_or_critical_is_decline(level: str | None, stage: str) -> None:
    fitted = lifecycle.fit(FACTS, PRIOR)
    found = lifecycle.score(batch({}), np.array([0.9]), fitted, warning_level=pa.array([level], pa.string()))
    assert found.lifecycle_stage.to_pylist() == [stage]
    told = f"an early warning ({level}) stands, silent 20 days, limit 100 days, P(alive) 0.90"
    assert (found.stage_reason[0].as_py() == told) == (stage == "declining")


def test_a_warning_does_not_take_from_the_lost_the_returned_and_the_new_their_stage() -> None:
    fitted = lifecycle.fit(FACTS, PRIOR)
    rows = [{"days_since_last": 400}, {"reactivated_date": AS_OF - timedelta(days=10)}, {"T": 20}]
    warned = pa.array(["critical"] * 3)
    found = lifecycle.score(batch(*rows), np.array([0.1, 0.9, 0.9]), fitted, warning_level=warned)
    assert found.lifecycle_stage.to_pylist() == ["lost", "reactivated", "new"]


def test_a_steady_repeat_customer_is_mature() -> None:
    assert staged() == ("mature", "13 transactions, silent 20 days, limit 100 days, P(alive) 0.90")


def test_without_a_transaction_a_customer_is_a_prospect() -> None:
    assert staged(p_alive=np.nan, **PROSPECT) == ("prospect", "no transaction yet")


@pytest.mark.parametrize(
    ("silence", "p_alive", "stage"),
    [
        (100, 0.0, "declining"),  # silence at the limit is not beyond it
        (101, 0.19, "lost"),
        (101, 0.2, "declining"),  # p_alive at the threshold is not below it
        (200, 0.9, "declining"),  # silence at twice the limit is not beyond it
        (201, 0.9, "lost"),
        (201, np.nan, "lost"),
        (101, np.nan, "declining"),
        (100, np.nan, "mature"),
    ],
)
def test_lost_needs_silence_beyond_the_limit_and_either_reason(silence: int, p_alive: float, stage: str) -> None:
    assert staged(p_alive, days_since_last=silence)[0] == stage


def test_the_reason_of_the_lost_gives_the_numbers() -> None:
    assert staged(0.119, days_since_last=212, gap_limit=188.9)[1] == "silent 212 days, limit 188 days, P(alive) 0.11"
    assert staged(np.nan, days_since_last=412, gap_limit=188.9)[1] == "silent 412 days, limit 188 days"


@pytest.mark.parametrize(("ago", "recent", "stage"), [(100, None, "reactivated"), (101, None, "mature"),
                                                      (30, 30, "reactivated"), (31, 30, "mature")])  # fmt: skip
def test_reactivated_lasts_as_long_as_the_limit_or_as_configured(ago: int, recent: float | None, stage: str) -> None:
    back = AS_OF - timedelta(days=ago)
    assert staged(given_settings=Settings(recent=recent), reactivated_date=back)[0] == stage


def test_lost_comes_before_reactivated_and_reactivated_before_new() -> None:
    assert staged(reactivated_date=AS_OF - timedelta(days=30), days_since_last=201)[0] == "lost"
    stage, reason = staged(reactivated_date=AS_OF - timedelta(days=30), T=50)
    assert (stage, reason) == ("reactivated", "back 30 days ago after a silence beyond its limit, counts for 100 days")


@pytest.mark.parametrize(("T", "new_for", "stage"), [(60, None, "new"), (61, None, "mature"), (10, 10, "new"),
                                                     (11, 10, "mature")])  # fmt: skip
def test_new_lasts_twice_the_bases_gap_or_as_configured(T: int, new_for: float | None, stage: str) -> None:
    assert staged(given_settings=Settings(new_for=new_for), T=T)[0] == stage


@pytest.mark.parametrize(("gap", "days"), [(1, 14), (7, 14), (7.5, 15), (182.5, 365), (400, 365)])
def test_the_time_of_the_new_lies_between_a_fortnight_and_a_year(gap: float, days: float) -> None:
    assert lifecycle.fit(dataclasses.replace(FACTS, base_gap_median=gap), PRIOR).new_for == days


@pytest.mark.parametrize(
    ("transactions", "silence", "stage"), [(1, 100, "new"), (1, 101, "declining"), (2, 100, "mature")]
)
def test_one_transaction_is_new_until_the_limit(transactions: int, silence: int, stage: str) -> None:
    row = {"transactions": transactions, "frequency": transactions - 1, "second_half_transactions": 0, "T": 150}
    assert staged(days_since_last=silence, **row)[0] == stage


def test_reasons_of_the_new() -> None:
    assert staged(T=60)[1] == "first transaction 60 days ago, new for 60 days"
    assert staged(transactions=1, frequency=0)[1] == "one transaction, silent 20 days, limit 100 days"


def test_new_comes_before_declining() -> None:
    assert staged(0.1, T=60)[0] == "new"


@pytest.mark.parametrize(("p_alive", "stage"), [(0.5, "mature"), (0.4999, "declining")])
def test_declining_begins_below_half(p_alive: float, stage: str) -> None:
    assert staged(p_alive)[0] == stage


def test_reasons_of_the_declining() -> None:
    assert staged(0.4999)[1] == "P(alive) 0.49 below 0.5, silent 20 days, limit 100 days"
    assert staged(0.7, days_since_last=150)[1] == "silent 150 days, limit 100 days, P(alive) 0.70"


GROWN: dict[str, object] = {
    "T": 730, "transactions": 40, "frequency": 39, "transactions_12m": 30, "transactions_prior_12m": 8,
    "margin_12m": 1_200, "margin_prior_12m": 1_000, "net_sales_12m": 1_200, "net_sales_prior_12m": 300,
    "first_half_sales": 300, "second_half_sales": 1_200, "second_half_transactions": 31,
}  # fmt: skip


def test_growing_after_24_months_needs_margin_above_by_the_growth_and_momentum() -> None:
    stage, reason = staged(**GROWN)
    assert stage == "growing"
    assert reason.startswith("margin of 12 months 1200.00 after 1000.00 (base x 1.00), P(rate x spend rose) 0.9")
    assert staged(**GROWN | {"margin_12m": "1199.9999"})[0] == "mature"
    assert staged(**GROWN | {"margin_prior_12m": 0})[0] == "mature"
    assert staged(**GROWN | {"margin_prior_12m": -1_000, "margin_12m": -1_000})[0] == "mature"
    fewer = {"transactions_12m": 8, "net_sales_12m": 300}
    assert staged(**GROWN | fewer)[0] == "mature"


def test_a_growth_of_exactly_the_share_counts() -> None:
    assert staged(given_settings=Settings(growth=0.1), **GROWN | {"margin_12m": 1_100})[0] == "growing"


def test_growth_is_net_of_the_bases_own_change() -> None:
    doubled = dataclasses.replace(FACTS, margin_12m=2_000)
    assert staged(facts=doubled, **GROWN)[0] == "mature"
    assert staged(facts=doubled, **GROWN | {"margin_12m": 2_400})[0] == "growing"


@pytest.mark.parametrize("sums", [(0, 1_000), (-5, 1_000), (1_000, 0), (1_000, -7)])
def test_a_base_without_margin_has_no_change_of_its_own(sums: tuple[float, float]) -> None:
    facts = dataclasses.replace(FACTS, margin_12m=sums[0], margin_prior_12m=sums[1])
    assert lifecycle.fit(facts, PRIOR).base_change == 1


def test_tenure_of_24_months_is_counted_by_the_calendar() -> None:
    # 2011-12-31 less 24 months is 730 days before; a day less is judged by the halves of tenure.
    no_half = {"second_half_transactions": 2, "second_half_sales": 60}
    assert staged(**GROWN | no_half)[0] == "growing"
    assert staged(**GROWN | no_half | {"T": 729})[0] == "mature"
    leap = lifecycle.fit(dataclasses.replace(FACTS, as_of_date=date(2012, 2, 29)), PRIOR)
    assert (leap.last_year, leap.year_before) == (366, 365)


def test_growing_before_24_months_needs_three_transactions_and_a_better_second_half() -> None:
    few = {"T": 729, "transactions": 3, "frequency": 2, "second_half_transactions": 2, "second_half_sales": 900,
           "first_half_sales": 0}  # fmt: skip
    stage, reason = staged(**few)
    assert stage == "growing"
    assert reason.startswith("3 transactions, second half of tenure against the first: P(rate x spend rose) 0.")
    assert staged(**few | {"transactions": 2, "frequency": 1})[0] == "mature"
    assert (
        staged(**few | {"second_half_transactions": 1, "second_half_sales": 30, "first_half_sales": 30})[0] == "mature"
    )


def test_momentum_at_its_threshold_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    for rise, stage in ((0.8, "growing"), (0.7999, "mature")):
        monkeypatch.setattr(lifecycle, "probability_of_rise", lambda *_, rise=rise: np.array([rise]))
        assert staged(**GROWN)[0] == stage


def test_declining_comes_before_growing() -> None:
    assert staged(0.3, **GROWN)[0] == "declining"


def test_without_priors_nobody_grows() -> None:
    found = lifecycle.score(batch(GROWN), np.array([0.9]), lifecycle.fit(FACTS, None))
    assert found.lifecycle_stage.to_pylist() == ["mature"]


days = st.integers(0, 900)
rows = st.fixed_dictionaries(
    {
        "transactions": st.integers(0, 12),
        "T": days,
        "days_since_last": days,
        "gap_limit": st.floats(1, 500),
        "reactivated_date": st.none() | days.map(lambda ago: AS_OF - timedelta(days=ago)),
        "second_half_transactions": st.integers(0, 5),
        "margin_12m": st.integers(-100, 900),
        "margin_prior_12m": st.integers(-100, 900),
        "p_alive": st.none() | st.floats(0, 1),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=12), st.integers(0, 12))
def test_every_customer_has_exactly_one_stage_and_the_same_in_any_batch(given_rows: list[dict], cut: int) -> None:
    alive = np.array([np.nan if row["p_alive"] is None else row["p_alive"] for row in given_rows])
    made = []
    for row in given_rows:
        count = row["transactions"]
        halves = min(row["second_half_transactions"], max(count - 1, 0))
        facts = {**row, "frequency": max(count - 1, 0), "second_half_transactions": halves}
        made.append(facts if count else {**facts, **PROSPECT, "reactivated_date": None})
    fitted = lifecycle.fit(FACTS, PRIOR)
    whole = lifecycle.score(batch(*made), alive, fitted)
    assert whole.lifecycle_stage.null_count == 0
    assert set(whole.lifecycle_stage.to_pylist()) <= set(STAGES)
    assert all(reason and reason.isascii() for reason in whole.stage_reason.to_pylist())
    order = [*range(cut % len(made), len(made)), *range(cut % len(made))]
    turned = lifecycle.score(batch(*(made[i] for i in order)), alive[order], fitted)
    assert turned.lifecycle_stage.to_pylist() == [whole.lifecycle_stage[i].as_py() for i in order]


def with_memory(previous: str | None, has_new: bool, p_alive: float = 0.9, **row: object) -> tuple[str, str]:
    found = lifecycle.score(
        batch(row),
        np.array([p_alive]),
        lifecycle.fit(FACTS, PRIOR),
        pa.array([previous], pa.string()),
        np.array([has_new]),
    )
    return found.lifecycle_stage[0].as_py(), found.stage_reason[0].as_py()


def test_the_lost_stay_lost_until_a_transaction_though_the_limit_moved() -> None:
    assert with_memory("lost", False) == ("lost", "no transaction since it was lost, silent 20 days")
    assert with_memory("lost", True)[0] == "mature"
    assert with_memory("mature", False)[0] == "mature"
    assert with_memory(None, False)[0] == "mature"


def test_nobody_becomes_new_again() -> None:
    assert with_memory("reactivated", True, T=60)[0] == "mature"
    assert with_memory("declining", False, 0.4, transactions=1, frequency=0)[0] == "declining"
    for previous in ("new", "prospect", None):
        assert with_memory(previous, True, T=60)[0] == "new"


@given(st.sampled_from((*STAGES, None)), st.booleans(), rows)
@settings(deadline=None, max_examples=60)
def test_with_memory_only_undone_orders_break_a_transition(previous: str | None, has_new: bool, row: dict) -> None:
    has_new = has_new or previous == "prospect"
    p_alive = row["p_alive"] or 0.0
    facts = {name: value for name, value in row.items() if name != "p_alive"}
    stage, _ = with_memory(previous, has_new, p_alive, **facts | {"transactions": 12, "frequency": 11})
    broken = lifecycle.check_transitions(pa.array([previous], pa.string()), pa.array([stage]), np.array([has_new]))
    assert broken.to_pylist() == [None]


@pytest.mark.parametrize(
    ("previous", "stage", "has_new", "broken"),
    [
        ("lost", "declining", False, "left lost without a transaction"),
        ("lost", "reactivated", True, None),
        ("lost", "lost", False, None),
        ("prospect", "new", False, "left prospect without a transaction"),
        ("prospect", "new", True, None),
        ("prospect", "prospect", False, None),
        ("mature", "prospect", False, "returned to prospect"),
        ("new", "prospect", True, "returned to prospect"),
        ("mature", "new", True, "returned to new"),
        ("lost", "new", True, "returned to new"),
        ("reactivated", "new", True, "returned to new"),
        ("new", "new", False, None),
        ("new", "declining", False, None),
        ("declining", "mature", False, None),
        (None, "lost", False, None),
        (None, "new", True, None),
    ],
)
def test_transitions(previous: str | None, stage: str, has_new: bool, broken: str | None) -> None:
    found = lifecycle.check_transitions(pa.array([previous], pa.string()), pa.array([stage]), np.array([has_new]))
    assert found.to_pylist() == [broken]


YOUNG: dict[str, object] = {
    "T": 700, "transactions": 3, "frequency": 2, "second_half_transactions": 2, "second_half_sales": 900, "first_half_sales": 0,
}  # fmt: skip
ONCE: dict[str, object] = {"transactions": 1, "frequency": 0, "second_half_transactions": 0, "T": 150}

# Boundary -> what varies: below, at, above; the stage of each; all else.
BOUNDARIES: dict[str, tuple[str, tuple, tuple[str, str, str], dict[str, object]]] = {
    "silence and the limit": ("days_since_last", (99, 100, 101), ("mature", "mature", "declining"), {}),
    "silence and a limit between two days": ("gap_limit", (99.5, 100, 100.5), ("declining", "mature", "mature"),
                                             {"days_since_last": 100}),
    "silence and twice the limit": ("days_since_last", (199, 200, 201), ("declining", "declining", "lost"), {}),
    "p_alive and lost_below, silent": ("p_alive", (0.1999, 0.2, 0.2001), ("lost", "declining", "declining"),
                                       {"days_since_last": 101}),
    "p_alive and lost_below, not silent": ("p_alive", (0.1999, 0.2, 0.2001), ("declining", "declining", "declining"),
                                           {"days_since_last": 100}),
    "p_alive and at_risk_below": ("p_alive", (0.4999, 0.5, 0.5001), ("declining", "mature", "mature"), {}),
    "time since the return and the limit": ("back", (99, 100, 101), ("reactivated", "reactivated", "mature"), {}),
    "tenure and new_for": ("T", (59, 60, 61), ("new", "new", "mature"), {}),
    "silence of who bought once and the limit": ("days_since_last", (99, 100, 101), ("new", "new", "declining"), ONCE),
    "tenure of 24 months": ("T", (729, 730, 731), ("mature", "growing", "growing"),
                            {"second_half_transactions": 2, "second_half_sales": 60}),
    "margin and its growth": ("margin_12m", ("1199.9999", "1200", "1200.0001"), ("mature", "growing", "growing"), {}),
    "the earlier margin and nothing": ("margin_prior_12m", ("-0.0001", "0", "0.0001"), ("mature", "mature", "growing"), {}),
    "transactions of the young": ("transactions", (2, 3, 4), ("mature", "growing", "growing"), YOUNG),
}  # fmt: skip


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_every_boundary_just_below_at_it_and_just_above(boundary: str) -> None:
    name, values, stages, given_row = BOUNDARIES[boundary]
    grows = "24 months" in boundary or "margin" in boundary
    for value, stage in zip(values, stages, strict=True):
        row = (GROWN if grows else {}) | given_row
        p_alive = 0.9
        if name == "p_alive":
            p_alive = value
        elif name == "back":
            row = row | {"reactivated_date": AS_OF - timedelta(days=value)}
        else:
            row = row | {name: value}
        if name == "transactions":
            row = row | {"frequency": value - 1}
        assert staged(p_alive, **row)[0] == stage, (boundary, value)
