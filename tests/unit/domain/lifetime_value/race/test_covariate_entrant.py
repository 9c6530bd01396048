"""Configured columns in the race: a channel that buys twice as fast is found, published, and scored row by row."""

import pickle
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from slice_builder import plan_table, simulated_days

from cvm_pipeline.domain.lifetime_value.decimals import to_floats, to_money
from cvm_pipeline.domain.lifetime_value.discounting import PERIOD_DAYS
from cvm_pipeline.domain.lifetime_value.model_card import model_card
from cvm_pipeline.domain.lifetime_value.race import backtest
from cvm_pipeline.domain.lifetime_value.race.backtest import Rules
from cvm_pipeline.domain.lifetime_value.race.base_fit import SpendSample, fit_base
from cvm_pipeline.domain.lifetime_value.race.covariate_entrant import MODELS, Effects, WithEffects, fit_effects
from cvm_pipeline.domain.lifetime_value.race.cuts import plan
from cvm_pipeline.domain.lifetime_value.race.slices import Rows, Slices
from cvm_pipeline.domain.lifetime_value.value_model import BaseFacts, Past, Settings, ValueModel, fit
from cvm_pipeline.domain.lifetime_value.value_score import score

FIRST, AS_OF = date(2022, 1, 1), date(2023, 6, 30)
PLAN = plan(FIRST, AS_OF, 365)
CHANNEL = "acquisition_channel"
WEB = f"gamma_alpha_{CHANNEL}=web"
NAMES = tuple(f"{name}_covariates" for name in MODELS)
TIMINGS = ("bg_nbd", "pareto_nbd")
YEAR = 12 * PERIOD_DAYS


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Slices of a base whose channel "web" buys twice as fast as "shop"; of a tenth no channel is known."""
    rng = np.random.Generator(np.random.PCG64(13))
    bases = []
    for channel, customers, rate in (("shop", 1_200, 0.015), ("web", 1_000, 0.03)):
        days = simulated_days(rng, customers, FIRST, AS_OF, rate=rate)
        bases.append(days.assign(customer_id=channel + days["customer_id"]))
    slices = plan_table(pd.concat(bases), PLAN)
    ids = slices["customer_id"].to_pylist()
    told = [None if name.endswith("7") else name.split("C")[0] for name in ids]
    constant = pa.array(["DE"] * len(ids))
    return slices.append_column(CHANNEL, pa.array(told)).append_column("country", constant)


@pytest.fixture(scope="module")
def slices(table) -> Slices:
    return Slices.of(table, [CHANNEL, "country"])


@pytest.fixture(scope="module")
def rows(slices) -> Rows:
    known = slices.at(AS_OF)
    assert known is not None
    return known.rows


@pytest.fixture(scope="module")
def effects(rows) -> dict[str, Effects]:
    return {found.name: found for found in fit_effects(rows, [CHANNEL, "country"], 7.0)}


@pytest.fixture(scope="module")
def model(slices, rows) -> ValueModel:
    h = rows.histories(1.0)
    histories = pa.table({"frequency": h.frequency, "recency": h.recency, "T": h.T, "customers": h.count})
    spend = pa.table({"frequency": rows["frequency"], "repeat_sales": rows["repeat_sales"]})
    base = BaseFacts(float((rows["frequency"] + 1).sum()), float(rows["net_sales"].sum()))
    return fit(histories, spend, base, Settings(models=TIMINGS, covariates=(CHANNEL,)), Past(slices, PLAN))


def with_words(rows: Rows, word: str | None) -> Rows:
    """Everybody of one channel."""
    return Rows(rows.columns, {**rows.words, CHANNEL: np.full(rows.size, word, dtype=object)})


def batch_of(rows: Rows) -> pa.RecordBatch:
    """What the pipeline would hand to scoring."""
    every = np.full(rows.size, True)
    money = {name: to_money(rows["net_sales"], every) for name in ("margin_total", "revenue_total")}
    return pa.RecordBatch.from_pydict(
        {
            "customer_id": [f"c{n}" for n in range(rows.size)],
            "transactions": rows["frequency"] + 1.0,
            **{name: rows[name] for name in ("frequency", "recency", "T")},
            "repeat_sales": to_money(rows["repeat_sales"], every),
            **money,
            CHANNEL: pa.array(rows.words[CHANNEL], type=pa.string()),
        }
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_that_buys_twice_as_fast_is_found(effects, name) -> None:
    fitted = effects[name].fit
    effect, error = fitted.per_unit()[WEB]
    assert fitted.converged and error is not None
    assert abs(effect - np.log(2.0)) < 3.0 * error and effect > 5.0 * error
    assert fitted.likelihood_ratio.p_value < 1e-6


def test_a_column_of_one_value_has_no_effect_beside_another_and_makes_no_entrant_alone(effects, rows) -> None:
    assert not [name for found in effects.values() for name in found.parameter_names if "country" in name]
    assert fit_effects(rows, ["country"], 7.0) == ()
    assert fit_effects(with_words(rows, None), [CHANNEL], 7.0) == ()


def test_without_configured_columns_there_is_no_such_entrant(rows) -> None:
    base = fit_base(rows.histories(1.0), SpendSample.of(rows), None, TIMINGS, 7.0, (rows, ()))
    assert base.effects == ()
    assert not set(base.entrants("pareto_nbd", rows, 60.0)) & set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_level_that_the_fit_has_not_seen_scores_as_one_that_is_not_known(effects, rows, name) -> None:
    seen = {word: effects[name].expected(with_words(rows, word), YEAR) for word in ("tv", None, "web", "shop")}
    np.testing.assert_array_equal(seen["tv"], seen[None])
    assert not np.allclose(seen[None], seen["shop"])
    first = rows.take(np.zeros(1, dtype=np.int64))
    newcomer = Rows({column: np.zeros(1) for column in first.columns}, first.words)
    web, shop = (effects[name].expected(with_words(newcomer, word), YEAR) for word in ("web", "shop"))
    assert 1.3 * shop < web < 2.5 * shop


def test_the_card_holds_effects_errors_and_the_likelihood_ratio(model) -> None:
    card = {(r["model"], r["metric"]): r["value"] for r in model_card(model).to_pylist() if r["cut_date"] == "all"}
    for found in model.base.effects:
        values = [card[found.name, f"{part}_{WEB}"] for part in ("param", "se", "effect", "se_effect")]
        assert values == pytest.approx(
            [found.fit.parameters[WEB], found.fit.standard_errors[WEB], *found.fit.per_unit()[WEB]], rel=1e-11
        )
        assert card[found.name, "likelihood_ratio"] == pytest.approx(found.fit.likelihood_ratio.statistic, rel=1e-11)
        assert card[found.name, "likelihood_ratio_p_value"] < 1e-6


def test_models_with_covariates_race_at_every_cut_on_what_was_known_then(model, table) -> None:
    ran = model.race
    assert ran is not None and set(NAMES) < set(ran.pooled)
    # Leakage: what a channel turned into after a cut changes no digit of what was fitted at it.
    cut = ran.cuts[0]
    later = pc.greater(table["slice_date"], pa.scalar(cut.window.start))
    changed = pc.if_else(later, pa.scalar("shop"), table[CHANNEL])
    turned = Slices.of(table.set_column(table.column_names.index(CHANNEL), CHANNEL, changed), [CHANNEL])
    again = backtest._fit_cut(turned, cut.window, Rules(TIMINGS, 7.0, "rmse", (CHANNEL,)), None)
    assert [e.fit.parameters for e in again.base.effects] == [e.fit.parameters for e in cut.base.effects]
    today = fit_effects(turned.at(AS_OF).rows, [CHANNEL], 7.0)
    assert [e.fit.parameters for e in today] != [e.fit.parameters for e in model.base.effects]


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_a_champion_with_covariates_are_its_expectations_however_the_batch_is_split(
    model, rows, name
) -> None:
    found = next(effects for effects in model.base.effects if effects.name == name)
    entrant = WithEffects(found, model.base.timings[found.model.base.name], YEAR, (CHANNEL,))
    # Published with other processes: what travels to them must say the same.
    crowned = pickle.loads(pickle.dumps(replace(model, champion=entrant)))
    batch = batch_of(rows)
    whole = score(batch, crowned)
    scored = to_floats(whole.column("expected_transactions_12m"), np.nan)
    np.testing.assert_allclose(scored, found.expected(rows, YEAR), rtol=1e-12)
    assert set(whole.column("clv_model").to_pylist()) == {name}
    parts = [score(batch.slice(0, 701), crowned), score(batch.slice(701), crowned)]
    assert pa.Table.from_batches(parts).combine_chunks() == pa.Table.from_batches([whole])
    with pytest.raises(KeyError, match=CHANNEL):
        score(batch.drop_columns([CHANNEL]), crowned)
