"""The pair that the pipeline calls: fit(population) -> ValueModel, score(batch, model) -> batch."""

import math
import pickle
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain.lifetime_value import mbg_nbd
from cvm_pipeline.domain.lifetime_value.decimals import to_floats, to_money
from cvm_pipeline.domain.lifetime_value.discounting import discount_factors, period_ends
from cvm_pipeline.domain.lifetime_value.margin import MarginSums
from cvm_pipeline.domain.lifetime_value.model_card import model_card
from cvm_pipeline.domain.lifetime_value.value_model import BaseFacts, Settings, ValueModel, fit
from cvm_pipeline.domain.lifetime_value.value_score import SCORE_SCHEMA, score


def table_of(x, recency, T, customers) -> pa.Table:
    names = ("frequency", "recency", "T", "customers")
    return pa.table(
        {n: pa.array(np.asarray(c, dtype=np.int64)) for n, c in zip(names, (x, recency, T, customers), strict=True)}
    )


def spend_of(x, sales) -> pa.Table:
    sales = np.asarray(sales, dtype=float)
    return pa.table(
        {
            "frequency": pa.array(np.asarray(x, dtype=np.int64)),
            "repeat_sales": to_money(sales, np.full(sales.size, True)),
        }
    )


def batch_of(x, recency, T, sales, margin_total=None, revenue=None, transactions=None) -> pa.RecordBatch:
    x = np.asarray(x, dtype=np.int64)
    sales = np.asarray(sales, dtype=float)
    every = np.full(x.size, True)
    bought = x + 1 if transactions is None else np.asarray(transactions, dtype=np.int64)
    revenue = sales + 30.0 if revenue is None else np.asarray(revenue, dtype=float)
    margin_total = revenue if margin_total is None else np.asarray(margin_total, dtype=float)
    columns = {
        "customer_id": pa.array([f"c{i}" for i in range(x.size)], type=pa.string()),
        "transactions": pa.array(bought),
        "frequency": pa.array(x),
        "recency": pa.array(np.asarray(recency, dtype=np.int64), mask=bought == 0),
        "T": pa.array(np.asarray(T, dtype=np.int64), mask=bought == 0),
        "repeat_sales": to_money(sales, every),
        "net_sales": to_money(revenue, every),
        "margin_total": to_money(margin_total, every),
        "revenue_total": to_money(revenue, every),
    }
    return pa.RecordBatch.from_pydict(columns)


def model_of(x, recency, T, sales, settings: Settings | None = None) -> ValueModel:
    """The model of a base given customer by customer."""
    x, sales = np.asarray(x, dtype=float), np.asarray(sales, dtype=float)
    base = BaseFacts(float(x.size + x.sum()), float(sales.sum() + 30.0 * x.size))
    histories = table_of(x, recency, T, np.ones(x.size))
    return fit(histories, spend_of(x, sales), base, settings or Settings())


def rows_of(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    words = ("customer_id", "interval_basis", "clv_model")
    return {name: to_floats(batch.column(name), np.nan) for name in batch.schema.names if name not in words}


def card_of(model: ValueModel) -> dict[tuple[str, str], tuple[float | None, str | None]]:
    rows = model_card(model).to_pylist()
    assert len({(row["model"], row["metric"]) for row in rows}) == len(rows)
    assert {row["cut_date"] for row in rows} == {"all"}
    for row in rows:
        assert row["value"] is None or math.isfinite(row["value"])
        assert row["value"] is not None or row["note"], f"{row} is null without a reason"
    return {(row["model"], row["metric"]): (row["value"], row["note"]) for row in rows}


@pytest.fixture(scope="module")
def cdnow_model(cdnow) -> ValueModel:
    return model_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales)


@pytest.fixture(scope="module")
def cdnow_batch(cdnow) -> pa.RecordBatch:
    return batch_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales)


def test_the_card_holds_the_published_figures(cdnow_model) -> None:
    card = card_of(cdnow_model)
    assert card["bg_nbd", "param_alpha"][0] == pytest.approx(4.4136, rel=2e-3)
    assert card["bg_nbd", "log_likelihood"][0] == pytest.approx(-9582.42921, abs=1e-3)
    assert card["mbg_nbd", "log_likelihood"][0] == pytest.approx(-9582.13572, abs=1e-3)
    assert card["gamma_gamma", "param_v"][0] == pytest.approx(15.4435, rel=2e-3)
    assert card["mbg_nbd", "time_unit_days"][0] == 7.0
    flags = {
        name: {m for (m, metric), (v, _) in card.items() if metric == name and v == 1}
        for name in ("is_champion", "gives_p_alive", "fallback")
    }
    assert flags["is_champion"] == flags["gives_p_alive"] == {"mbg_nbd"}
    assert flags["fallback"] == {"margin"}
    assert all(card["mbg_nbd", f"se_{name}"][0] > 0 for name in ("r", "alpha", "a", "b"))


def test_scores_are_what_the_definition_says(cdnow_model, cdnow_batch, cdnow) -> None:
    scored = score(cdnow_batch, cdnow_model)
    assert scored.schema == SCORE_SCHEMA and scored.num_rows == 2357
    assert set(scored.column("clv_model").to_pylist()) == {"mbg_nbd"}
    found, h = rows_of(scored), cdnow.histories()
    parameters = cdnow_model.champion.timing.fit.parameters
    rows = h.frequency, h.recency, h.T
    assert found["p_alive"] == pytest.approx(mbg_nbd.MODEL.p_alive(parameters, *rows), rel=1e-12)
    path = mbg_nbd.MODEL.expected_transactions(parameters, period_ends(36, 7.0), *rows)
    assert found["expected_transactions_12m"] == pytest.approx(path[:, 11], rel=1e-12)
    steps = np.diff(path, axis=1, prepend=0.0) * discount_factors(36, 0.10)
    assert found["clv_12m"] == pytest.approx(steps[:, :12].sum(axis=1) * found["expected_spend"], rel=1e-5, abs=1e-3)
    assert found["clv_36m"] == pytest.approx(steps.sum(axis=1) * found["expected_spend"], rel=1e-5, abs=1e-3)
    assert (found["clv"] == found["clv_12m"]).all()
    assert (found["clv_36m"] >= found["clv_12m"]).all()


def test_splitting_or_shuffling_a_batch_changes_no_digit(cdnow_model, cdnow_batch) -> None:
    whole = score(cdnow_batch, cdnow_model)
    parts = [score(cdnow_batch.slice(start, 97), cdnow_model) for start in range(0, 2357, 97)]
    assert pa.Table.from_batches(parts).combine_chunks().equals(pa.Table.from_batches([whole]))
    order = pa.array(np.random.default_rng(2).permutation(2357))
    assert score(cdnow_batch.take(order), cdnow_model).equals(whole.take(order))
    empty = score(cdnow_batch.slice(0, 0), cdnow_model)
    assert empty.num_rows == 0 and empty.schema == SCORE_SCHEMA


def test_a_model_travels_to_a_worker_and_scores_the_same(cdnow_model, cdnow_batch) -> None:
    assert score(cdnow_batch, pickle.loads(pickle.dumps(cdnow_model))).equals(score(cdnow_batch, cdnow_model))


def test_prospects_get_nulls(cdnow_model) -> None:
    scored = score(batch_of([0, 2], [0, 30], [0, 90], [0.0, 50.0], transactions=[0, 3]), cdnow_model)
    prospect, buyer = scored.to_pylist()
    assert prospect.pop("customer_id") == "c0"
    assert set(prospect.values()) == {None}
    assert None not in buyer.values()


def test_a_buyer_without_history_is_refused(cdnow_model, cdnow_batch) -> None:
    column = cdnow_batch.schema.get_field_index("T")
    hollow = cdnow_batch.set_column(column, "T", pa.nulls(cdnow_batch.num_rows, pa.int64()))
    with pytest.raises(ValueError, match="needs frequency, recency and T"):
        score(hollow, cdnow_model)


def test_the_unit_of_the_model_does_not_move_the_money(cdnow, cdnow_model, cdnow_batch) -> None:
    weeks = rows_of(score(cdnow_batch, cdnow_model))
    daily = model_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales, Settings(time_unit_days=1.0))
    days = rows_of(score(cdnow_batch, daily))
    for name, values in weeks.items():
        assert days[name] == pytest.approx(values, rel=1e-7, abs=2e-4)


def test_zero_discount_equals_none_and_horizon_names_its_own_clv(cdnow, cdnow_batch) -> None:
    history = cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales
    free = rows_of(score(cdnow_batch, model_of(*history, Settings(discount_rate_yearly=0.0))))
    product = free["expected_transactions_12m"] * free["expected_spend"]
    assert free["clv_12m"] == pytest.approx(product, abs=1e-3)
    long = rows_of(score(cdnow_batch, model_of(*history, Settings(horizon_months=36, discount_rate_yearly=0.0))))
    assert (long["clv"] == long["clv_36m"]).all() and (long["clv_12m"] == free["clv_12m"]).all()


def test_own_margins_reach_the_value(cdnow, cdnow_batch) -> None:
    revenue = np.asarray(cdnow.net_sales) + 1.0
    rate = np.where(np.arange(revenue.size) % 2, 0.2, 0.6)
    sums = MarginSums.of(rate * revenue, revenue)
    base = BaseFacts(1.0, 35.0, sums.revenue, sums.revenue, sums)
    histories = table_of(cdnow.frequency, cdnow.recency, cdnow.T, np.ones(revenue.size))
    model = fit(histories, spend_of(cdnow.frequency, cdnow.repeat_sales), base, Settings(margin_rate=0.9))
    batch = batch_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales, rate * revenue, revenue)
    whole = rows_of(score(batch, model_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales)))
    found = rows_of(score(batch, model))["clv_12m"]
    assert not model.margin.fallback
    for parity, expected in ((0, 0.6), (1, 0.2)):
        rows = (np.arange(revenue.size) % 2 == parity) & (whole["clv_12m"] > 1.0)
        assert (found[rows] / whole["clv_12m"][rows]).mean() == pytest.approx(expected, abs=0.02)


BASES = {
    "nobody": ([], [], [], []),
    "one customer": ([3], [60], [100], [90.0]),
    "all bought today": ([0] * 80, [0] * 80, [0] * 80, [0.0] * 80),
    "all one-time buyers": ([0] * 500, [0] * 500, list(range(500)), [0.0] * 500),
    "identical customers": ([4] * 300, [80] * 300, [120] * 300, [100.0] * 300),
    "49 repeat customers": ([2] * 20 + [5] * 29 + [0] * 300, [30] * 49 + [0] * 300, [90] * 349, [50.0] * 49 + [0.0] * 300),
    "zero spend": ([1, 2, 5] * 30, [20, 40, 60] * 30, [100, 90, 80] * 30, [0.0] * 90),
    "negative spend": ([1, 2, 5] * 30, [20, 40, 60] * 30, [100, 90, 80] * 30, [-50.0] * 90),
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_every_base_gets_finite_numbers_and_a_card_that_says_why(name) -> None:
    x, recency, T, sales = BASES[name]
    model = model_of(x, recency, T, sales)
    card = card_of(model)
    timing = card["pooled_rate", "fallback"]
    if name not in ("zero spend", "negative spend"):
        assert timing[0] == 1.0 and timing[1]
        assert card["mbg_nbd", "converged"][0] == 0.0
        assert card["pooled_rate", "is_champion"][0] == card["pooled_rate", "gives_p_alive"][0] == 1.0
    if name != "49 repeat customers":
        assert card["gamma_gamma", "fallback"][0] == 1.0 and card["gamma_gamma", "fallback"][1]
    everyone = batch_of([0, 0, 1, 9, 4000], [0, 0, 40, 300, 9000], [0, 9000, 41, 4000, 9000], [0, 0, 30, -5, 1e9])
    scored = score(everyone, model)
    for column in rows_of(scored).values():
        assert np.isfinite(column).all() and (column >= 0).all()
    assert (rows_of(scored)["p_alive"] <= 1).all()
    assert set(scored.column("clv_model").to_pylist()) == {model.champion.name}


def test_a_base_that_spends_nothing_is_worth_nothing() -> None:
    for name in ("zero spend", "negative spend"):
        x, recency, T, sales = BASES[name]
        base = BaseFacts(float(len(x)), float(sum(sales)))
        model = fit(table_of(x, recency, T, np.ones(len(x))), spend_of(x, sales), base, Settings())
        clv = rows_of(score(batch_of(x, recency, T, sales), model))["clv_36m"]
        assert (clv == 0).all()


def test_a_pooled_one_time_buyer_can_be_lost() -> None:
    x, recency, T, sales = BASES["49 repeat customers"]
    model = model_of(x, recency, T, sales)
    assert model.fallback.startswith("49 repeat customers")
    scored = rows_of(score(batch_of([0] * 4, [0] * 4, [0, 100, 1000, 10_000], [0] * 4), model))
    assert (np.diff(scored["p_alive"]) < 0).all() and scored["p_alive"][-1] < 0.02
    assert (np.diff(scored["clv_12m"]) < 0).all()


def test_a_single_giant_leaves_the_others_their_value(cdnow, cdnow_model, cdnow_batch) -> None:
    giant = [
        np.r_[column, value]
        for column, value in ((cdnow.frequency, 10_000), (cdnow.recency, 10_950), (cdnow.T, 10_957))
    ]
    model = model_of(*giant, np.r_[cdnow.repeat_sales, 1e9])
    assert not model.fallback and model.p_alive.fit.converged
    before, after = (rows_of(score(cdnow_batch, m))["p_alive"] for m in (cdnow_model, model))
    assert np.abs(after - before).mean() < 0.05
    scored = rows_of(score(batch_of([10_000], [10_950], [10_957], [1e9]), model))
    assert scored["p_alive"][0] > 0.5 and 200 < scored["expected_transactions_12m"][0] < 400


def test_a_negative_margin_makes_a_negative_value(cdnow) -> None:
    model = model_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales, Settings(margin_rate=-0.1))
    scored = score(batch_of([3], [100], [120], [90.0]), model)
    assert scored.column("clv_12m")[0].as_py() < Decimal(0)


def test_grouped_and_ungrouped_populations_give_one_model(cdnow, cdnow_model) -> None:
    rows, counts = np.unique(np.c_[cdnow.frequency, cdnow.recency, cdnow.T], axis=0, return_counts=True)
    spend = spend_of(cdnow.frequency, cdnow.repeat_sales)
    base = BaseFacts(2357 + 2457.0, float(cdnow.repeat_sales.sum() + 30.0 * 2357))
    assert fit(table_of(*rows.T, counts), spend, base, Settings()).base.fits == cdnow_model.base.fits


def test_intervals_lie_where_they_should_and_are_marked_as_the_models_word(cdnow_model, cdnow_batch) -> None:
    scored = score(cdnow_batch, cdnow_model)
    found = rows_of(scored)
    assert set(scored.column("interval_basis").to_pylist()) == {"model"}
    assert (found["clv_low"] <= found["clv_high"]).all() and (found["clv_low"] >= 0).all()
    # The mean may lie above the 90 % quantile of who probably never comes back, never below the 10 % one by much.
    assert (found["clv_low"] <= found["clv"]).all()
    likely = found["p_alive"] > 0.5
    assert (found["clv_high"][likely] >= found["clv"][likely]).mean() > 0.99
    assert ((found["clv_low"] == 0) & (found["clv_high"] == 0)).any()
    assert (found["clv_variance"] > 0).all()


def test_a_negative_margin_turns_the_interval_round(cdnow) -> None:
    model = model_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales, Settings(margin_rate=-0.1))
    found = rows_of(score(batch_of([8], [250], [260], [290.0]), model))
    assert found["clv_low"][0] < found["clv"][0] < found["clv_high"][0] <= 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_unit_days": 0.0},
        {"horizon_months": 0},
        {"horizon_months": 1.5},
        {"discount_rate_yearly": -1.0},
        {"margin_rate": math.inf},
        {"models": ("bg_nbd",)},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_the_card_of_a_small_base_holds_intervals_of_its_parameters(cdnow_model) -> None:
    card = card_of(cdnow_model)
    for model in ("bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"):
        low, value, high = (card[model, f"{kind}_r"][0] for kind in ("low", "param", "high"))
        assert low < value < high
    # Its sample of 2,357 customers is too small for the normal approximation.
    assert "importance sampling" in card["bg_nbd", "low_r"][1]


@pytest.mark.parametrize(("at", "value"), [("frequency", 1.5), ("frequency", -1.0), ("T", -1.0), ("recency", 1e9)])
def test_a_history_that_cannot_be_is_refused(cdnow_model, cdnow_batch, at, value) -> None:
    column = cdnow_batch.column(at).to_pylist()
    column[0] = value
    place = cdnow_batch.schema.get_field_index(at)
    broken = cdnow_batch.set_column(place, at, pa.array(column, type=pa.float64()))
    with pytest.raises(ValueError, match="0 <= recency <= T"):
        score(broken, cdnow_model)


def test_a_champion_that_no_past_has_judged_says_so(cdnow_model) -> None:
    value, note = card_of(cdnow_model)[cdnow_model.champion.name, "backtest_cuts"]
    assert value == 0.0
    assert note == cdnow_model.unjudged
    assert "not judged by what came" in note
