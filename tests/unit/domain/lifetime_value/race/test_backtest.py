"""The race on a simulated base: nothing knows its future, the best wins, intervals hold, tables hold what was judged."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from slice_builder import plan_table, simulated_days

from cvm_pipeline.domain.lifetime_value.race import backtest, metrics
from cvm_pipeline.domain.lifetime_value.race.backtest import Race, Rules, race
from cvm_pipeline.domain.lifetime_value.race.backtest_table import SCHEMA, backtest_rows
from cvm_pipeline.domain.lifetime_value.race.cuts import Plan, plan
from cvm_pipeline.domain.lifetime_value.race.entrants import NAIVE
from cvm_pipeline.domain.lifetime_value.race.gradient_boosting import AVERAGE, NAME
from cvm_pipeline.domain.lifetime_value.race.interval_report import interval_metrics
from cvm_pipeline.domain.lifetime_value.race.slices import Slices

FIRST, AS_OF = date(2022, 1, 1), date(2023, 6, 30)
MODELS = ("bg_nbd", "mbg_nbd")
PLAN = plan(FIRST, AS_OF, 365)
RULES = Rules(MODELS, 7.0, "rmse")
FORECASTS = {*MODELS, NAME, AVERAGE, *NAIVE}


@pytest.fixture(scope="module")
def days() -> pd.DataFrame:
    return simulated_days(np.random.Generator(np.random.PCG64(42)), 2500, FIRST, AS_OF)


def run(days: pd.DataFrame, of: Plan = PLAN, **changes: Any) -> Race:
    found = race(Slices.of(plan_table(days, of)), of, replace(RULES, **changes))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def ran(days) -> Race:
    return run(days)


def test_everybody_forecasts_at_every_cut(ran) -> None:
    assert len(ran.cuts) == 2
    for cut in ran.cuts:
        assert set(cut.predicted) == FORECASTS
        assert all(np.isfinite(values).all() and (values >= 0).all() for values in cut.predicted.values())


def test_no_forecast_knows_what_came_after_its_cut(ran, days) -> None:
    """Leakage, for every entrant: other years after the cut change no digit of what was forecast at it."""
    newest = ran.cuts[0]
    cut_at = pd.Timestamp(newest.window.start)
    past = days[days["day"] <= cut_at]
    rng = np.random.Generator(np.random.PCG64(1))
    later = days[days["day"] > cut_at].sample(frac=0.4, random_state=3)
    later = later.assign(amount=later["amount"] * rng.gamma(1.0, 9.0, len(later)))
    other = run(pd.concat([past, later]).groupby(["customer_id", "day"], as_index=False)["amount"].sum())
    same = next(cut for cut in other.cuts if cut.window == newest.window)
    assert not np.array_equal(same.outcome.transactions, newest.outcome.transactions)
    for name in set(MODELS) | {NAME, "carry_forward", "own_rate", "retention"}:
        np.testing.assert_array_equal(same.predicted[name], newest.predicted[name])
    assert other.shape == ran.shape
    np.testing.assert_array_equal(same.predicted[AVERAGE], newest.predicted[AVERAGE])
    for name in MODELS:
        np.testing.assert_array_equal(same.raw[name].value_high, newest.raw[name].value_high)


def test_outcomes_are_what_the_days_say(ran, days) -> None:
    cut = ran.cuts[0]
    inside = days[(days["day"] > pd.Timestamp(cut.window.start)) & (days["day"] <= pd.Timestamp(cut.window.end))]
    known = days[days["day"] <= pd.Timestamp(cut.window.start)]["customer_id"].unique()
    came = inside[inside["customer_id"].isin(known)]
    assert cut.outcome.transactions.sum() == len(came)
    assert cut.outcome.value.sum() == pytest.approx(came["amount"].sum(), rel=1e-12)


def test_the_champion_is_the_best_by_the_chosen_measure(ran, days) -> None:
    models = {name: scores for name, scores in ran.pooled.items() if name not in NAIVE}
    assert ran.champion == min(models, key=lambda name: models[name]["rmse"])
    ranked = run(days, select_by="spearman")
    assert ranked.champion == max(models, key=lambda name: models[name]["spearman"])


def test_a_sound_race_is_not_blocked(ran) -> None:
    assert not ran.verdict.blocked
    assert ran.verdict.high["rmse"] < 0


def test_pooled_measures_are_those_of_all_cuts_together(ran) -> None:
    predicted = np.concatenate([cut.predicted["mbg_nbd"] for cut in ran.cuts])
    actual = np.concatenate([cut.outcome.transactions for cut in ran.cuts])
    assert ran.pooled["mbg_nbd"]["mae"] == metrics.mae(predicted, actual)
    assert {"log_score", "brier"} <= set(ran.pooled["mbg_nbd"]) and "log_score" not in ran.pooled[NAME]


def test_intervals_hold_what_they_promise(ran) -> None:
    found = {name: value for name, (value, _) in interval_metrics(ran).items()}
    assert found["interval_is_sound"] == 1.0
    assert found["coverage_customer"] >= 0.78
    assert 0.75 <= found["pit_share"] <= 0.85
    assert np.isnan(found["coverage_total"])


def test_a_shrunken_interval_is_called_unsound(ran) -> None:
    def shrunken(cut):
        sound = cut.corrected
        middle = (sound.value_low + sound.value_high) / 2.0
        half = (sound.value_high - sound.value_low) / 8.0
        narrow = replace(
            sound, value_low=middle - half, value_high=middle + half, pit=np.clip(4.0 * (sound.pit - 0.5) + 0.5, 0, 1)
        )
        return replace(cut, corrected=narrow)

    value, why = interval_metrics(replace(ran, cuts=tuple(map(shrunken, ran.cuts))))["interval_is_sound"]
    assert value == 0.0 and "coverage" in why and "PIT share" in why


def test_corrections_come_only_from_windows_that_had_ended(ran, days, monkeypatch) -> None:
    seen = []
    real = backtest._fit_cut
    monkeypatch.setattr(
        backtest, "_fit_cut", lambda slices, window, *rest: seen.append(window) or real(slices, window, *rest)
    )
    run(days)
    earlier = [window for window in seen if window not in PLAN.cuts]
    assert earlier
    for cut in PLAN.cuts:
        assert all(window.end <= cut.start for window in PLAN.training_windows(cut.start))
    assert set(earlier) <= {w for cut in PLAN.cuts for w in PLAN.training_windows(cut.start)}


def test_rerunning_changes_no_digit_and_neither_does_the_order_of_rows(ran, days) -> None:
    again = run(days.sample(frac=1.0, random_state=8))
    for mine, theirs in zip(ran.cuts, again.cuts, strict=True):
        for name in FORECASTS:
            np.testing.assert_array_equal(mine.predicted[name], theirs.predicted[name])
        np.testing.assert_array_equal(mine.corrected.value_low, theirs.corrected.value_low)


def test_nothing_races_without_a_cut_or_a_model(days) -> None:
    short = plan(AS_OF, AS_OF, 365)
    assert race(Slices.of(plan_table(days, short)), short, RULES) is None
    once = days.groupby("customer_id", as_index=False).first()
    assert race(Slices.of(plan_table(once, PLAN)), PLAN, RULES) is None


def test_the_backtest_table_holds_every_model_cut_and_customer(ran, days) -> None:
    slices = Slices.of(plan_table(days, PLAN))
    batches = list(backtest_rows(ran, slices.customer_id))
    assert all(batch.schema == SCHEMA for batch in batches)
    frame = pd.concat([batch.to_pandas() for batch in batches])
    assert not frame.duplicated(["cut_date", "model", "customer_id"]).any()
    assert set(frame["model"]) == {*MODELS, NAME, AVERAGE}
    first = frame[(frame["model"] == "mbg_nbd") & (frame["cut_date"] == ran.cuts[0].window.start.isoformat())]
    assert metrics.rmse(first["predicted"].to_numpy(), first["actual"].to_numpy()) == metrics.rmse(
        ran.cuts[0].predicted["mbg_nbd"], ran.cuts[0].outcome.transactions
    )
    assert (frame["low"] <= frame["high"]).all() and (frame["value_low"] <= frame["value_high"]).all()
