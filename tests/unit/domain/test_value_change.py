"""Why a value changed: an independent reckoning, what each part alone can move, and exact sums."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from two_snapshots import (
    SHARED,
    Customer,
    average,
    batch_of,
    by_orderings,
    carried_forward,
    pooled,
    probability,
    random_customers,
)

from cvm_pipeline.domain import value_change
from cvm_pipeline.domain.lifetime_value.decimals import MONEY
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.lifetime_value.race.slices import Rows
from cvm_pipeline.domain.lifetime_value.value_model import Settings
from cvm_pipeline.domain.value_change import PARTS, changes

THEN, NOW = 300, 331

PAIRS = {
    "refitted": lambda: (probability(), probability(1.2, rate=0.3)),
    "the_same": lambda: (probability(),) * 2,
    "the_average_refitted_in_another_step": lambda: (average(1), average(2, 1.1, step=17)),
    "the_average_replaces_a_probability_model": lambda: (probability(1.1), average(3)),
    "a_naive_forecast_replaces_the_average": lambda: (average(3), carried_forward()),
    "the_fallback_replaced": lambda: (pooled(), probability()),
    "another_horizon_and_discount": lambda: (
        probability(), probability(settings=Settings(horizon_months=36, discount_rate_yearly=0.2)),
    ),
}  # fmt: skip


def told(customers, models, then=THEN, now=NOW) -> list[dict]:
    return changes(batch_of(customers, then, now, models), *models).to_pylist()


def moved(row: dict) -> set[str]:
    return {name for name in PARTS if row[name]}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_parts_are_those_of_all_24_orders_in_which_the_players_may_come(pair: str) -> None:
    models = PAIRS[pair]()
    customers = random_customers(60, 5, THEN, NOW)
    batch = batch_of(customers, THEN, NOW, models)
    parts, _, _ = value_change._divided(batch, *models)
    split = 0
    for n, (one, expected) in enumerate(zip(customers, by_orderings(customers, THEN, NOW, models), strict=True)):
        scale = sum(abs(part) for part in expected.values())
        for name in SHARED:
            assert parts[name][n] == pytest.approx(expected[name], rel=1e-9, abs=1e-9 * max(scale, 1.0)), (name, one)
        split += expected["recency"] != 0
    # Or the data would tell nothing of the two-player part.
    assert split > 10


@pytest.mark.parametrize("pair", PAIRS)
def test_the_parts_of_each_customer_add_up_to_the_last_digit(pair: str) -> None:
    rows = told(random_customers(400, 6, THEN, NOW), PAIRS[pair]())
    assert [row for row in rows if sum(row[name] for name in PARTS) != row["change"]] == []
    assert [row for row in rows if row["clv"] - row["clv_before"] != row["change"]] == []
    totals = {name: sum(row[name] for row in rows) for name in ("change", *PARTS)}
    assert sum(totals[name] for name in PARTS) == totals["change"]
    assert any(row["change"] for row in rows)


def test_the_remainder_goes_to_the_largest_part_and_a_tie_to_the_first() -> None:
    parts = {name: np.zeros(2) for name in value_change.SHARED}
    parts["time"], parts["spend"], parts["model"] = (
        np.array([0.00014, 0.00014]), np.array([-0.00094, 0.00014]), np.array([0.00004, 0.00014]),
    )  # fmt: skip
    found = value_change._exactly(parts, np.array([-8, 4]))
    assert [int(found[name][0]) for name in value_change.SHARED] == [0, 0, 1, -9, 0, 0]
    assert [int(found[name][1]) for name in value_change.SHARED] == [0, 0, 2, 1, 0, 1]


@pytest.mark.parametrize("model", [probability, lambda: average(1), pooled, carried_forward])
def test_silence_alone_moves_only_time(model) -> None:
    bought = [one.then for one in random_customers(200, 7, THEN, NOW)]
    models = (model(),) * 2
    rows = told([Customer(days, days) for days in bought], models)
    assert {name for row in rows for name in moved(row)} == {"time"}
    assert sum(row["time"] != 0 for row in rows) > 100


@pytest.mark.parametrize(
    "pair", ["refitted", "the_average_replaces_a_probability_model", "another_horizon_and_discount"]
)
def test_a_refit_alone_moves_only_the_model(pair: str) -> None:
    bought = [one.then for one in random_customers(200, 8, THEN, NOW)]
    rows = told([Customer(days, days) for days in bought], PAIRS[pair](), THEN, THEN)
    assert {name for row in rows for name in moved(row)} == {"model"}


@pytest.mark.parametrize("model", [probability, lambda: average(1)])
def test_one_more_order_of_the_customers_own_mean_moves_only_behaviour(model) -> None:
    alike = [dict.fromkeys(one.then, 40.0) for one in random_customers(200, 9, THEN, NOW) if 2 < len(one.then) < 30]
    rows = told([Customer(days, dict(days) | {THEN + 10: 40.0}) for days in alike], (model(),) * 2)
    assert len(rows) > 40
    assert {name for row in rows for name in moved(row)} == {"frequency", "recency", "time"}
    assert all(row["frequency"] or row["recency"] for row in rows)


def test_a_first_repeat_is_all_frequency_since_it_has_no_recency_to_move() -> None:
    (row,) = told([Customer({100: 30.0}, {100: 30.0, THEN + 10: 50.0})], (probability(),) * 2)
    assert row["recency"] == 0
    assert row["frequency"] > 0 > row["time"]
    assert row["spend"] != 0


def test_more_repeats_than_days_is_a_state_that_is_never_asked_for(monkeypatch) -> None:
    """3 purchases in 2 days, then 4 more: with the old recency there would be 6 repeats within 2 days."""
    asked = []
    model = probability()
    honest = type(model).transactions

    def transactions(self, rows):
        asked.append(rows)
        return honest(self, rows)

    few = Customer({10: 30.0, 11: 30.0, 12: 30.0}, dict.fromkeys((10, 11, 12, 302, 305, 308, 311), 30.0))
    batch = batch_of([few, *random_customers(300, 11, THEN, NOW)], THEN, NOW, (model, model))
    monkeypatch.setattr(type(model), "transactions", transactions)
    row = changes(batch, model, model).slice(0, 1).to_pylist()[0]
    assert row["recency"] == 0 < row["frequency"]
    seen = np.column_stack([np.concatenate(column) for column in zip(*(rows.history for rows in asked), strict=True)])
    x, t_x, T = seen.T
    assert len(seen) > 600
    assert ((x <= t_x) & (t_x <= T) & ((x == 0) == (t_x == 0))).all()


def test_a_row_corrected_since_moves_only_correction() -> None:
    models = (probability(),) * 2
    days = {100: 30.0, 150: 40.0}
    (told_then,) = told([Customer(days, days)], models, THEN, THEN)
    (row,) = told([Customer(days, days, clv_before=10.0)], models, THEN, THEN)
    assert moved(row) == {"correction"}
    assert row["correction"] == told_then["clv"] - Decimal(10)


def test_first_value_is_one_entry_and_value_whose_orders_never_were_is_a_correction() -> None:
    models = (probability(), probability(1.2))
    days = {310: 30.0}
    new, gone, void_since, replaced = told(
        [
            Customer({}, days),
            Customer({}, {}, clv_before=12.5),
            Customer({100: 30.0, 150: 30.0}, {}),
            Customer({}, days, clv_before=12.5),
        ],
        models,
    )
    assert (moved(new), new["entry"], new["clv_before"]) == ({"entry"}, new["clv"], 0)
    assert (moved(gone), gone["correction"], gone["clv"]) == ({"correction"}, Decimal("-12.5"), 0)
    assert (moved(void_since), void_since["frequency"]) == ({"frequency"}, -void_since["clv_before"])
    assert (replaced["correction"], replaced["entry"]) == (Decimal("-12.5"), replaced["clv"])


def test_neither_order_nor_batches_change_a_row() -> None:
    models = (average(1), average(2, 1.1, step=17))
    customers = random_customers(150, 12, THEN, NOW)
    whole = changes(batch_of(customers, THEN, NOW, models), *models)
    parts = [
        changes(batch_of(customers[start : start + 40], THEN, NOW, models, start), *models)
        for start in range(0, 150, 40)
    ]
    assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole]))
    order = np.random.default_rng(1).permutation(150)
    shuffled = changes(batch_of(customers, THEN, NOW, models).take(pa.array(order)), *models)
    assert shuffled.equals(whole.take(pa.array(order)))
    nobody = changes(batch_of(customers, THEN, NOW, models).slice(0, 0), *models)
    assert (nobody.num_rows, nobody.schema) == (0, value_change.SCHEMA)


def test_another_models_clv_is_refused() -> None:
    model = probability()
    batch = batch_of(random_customers(5, 13, THEN, NOW), THEN, NOW, (model, probability(1.3)))
    with pytest.raises(ValueError, match="does not give the clv of"):
        changes(batch, model, replace(model, judged_days=60.0))


@dataclass(frozen=True)
class ByCity:
    """A champion that is told where a customer lives, in the form of a model with covariates."""

    timing: Timing
    name: str = "by_city"
    needs: tuple[str, ...] = ("city",)

    def level(self, rows: Rows) -> np.ndarray:
        return self.timing.p_alive(*rows.history) * np.where(rows.words["city"] == "Bath", 0.5, 1.0)


def test_a_covariate_goes_with_what_was_bought_and_without_a_purchase_with_time() -> None:
    plain, settings = probability(), Settings(covariates=("city",))
    model = replace(plain, champion=ByCity(plain.champion.timing), settings=settings)
    silent = {100: 30.0, 150: 30.0}
    customers = [Customer(silent, silent), Customer(silent, silent | {310: 30.0})]
    batch = batch_of(customers, THEN, NOW, (plain, plain))
    digit = Decimal("0.0001")
    half = pa.array([(value / 2).quantize(digit) for value in batch["clv_before"].to_pylist()], MONEY)
    batch = batch.set_column(batch.schema.get_field_index("clv_before"), "clv_before", half)
    for side, city in (("then", "Bath"), ("now", "Cork")):
        batch = batch.append_column(f"{side}_city", pa.array([city] * 2))
    quiet, bought = changes(batch, model, model).to_pylist()
    # Half of a rounded value may miss the rounded half by a digit.
    assert moved(quiet) - {"correction"} == {"time"} and abs(quiet["correction"]) <= digit
    (elsewhere,) = changes(batch_of(customers[1:], THEN, NOW, (plain, plain)), plain, plain).to_pylist()
    # Half the level then: half of what time took; what the new order brought holds the move to the other city.
    assert bought["time"] == pytest.approx(elsewhere["time"] / 2, abs=digit)
    assert bought["frequency"] > elsewhere["frequency"]
    assert sum(bought[name] for name in PARTS) == bought["change"]
