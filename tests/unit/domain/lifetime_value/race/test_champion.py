"""The rules of the race: each with a sound model that passes and an unsound one that fails."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.champion import (
    Forecasts,
    PAliveChoice,
    best,
    choose,
    choose_p_alive,
    judge,
    published_choice,
)

RNG = np.random.Generator(np.random.PCG64(11))
N = 3000
RATE = RNG.gamma(0.5, 2.0, N)
ACTUAL = RNG.poisson(RATE).astype(float)
PAST = RNG.poisson(RATE).astype(float)
SOUND = (PAST + 0.5) / 1.5


def forecasts(predicted: np.ndarray, rows: slice = slice(None)) -> Forecasts:
    return Forecasts(predicted[rows], ACTUAL[rows], np.arange(N)[rows])


def naive(rows: slice = slice(None)) -> dict[str, Forecasts]:
    return {
        "zero": forecasts(np.zeros(N), rows),
        "carry_forward": forecasts(PAST, rows),
        "retention": forecasts(np.full(N, PAST.mean()), rows),
    }


def test_a_sound_model_passes_the_gate() -> None:
    verdict = judge(forecasts(SOUND), naive())
    assert not verdict.blocked and verdict.reason == ""
    assert verdict.high["rmse"] < 0 and verdict.high["poisson_deviance"] < 0


@pytest.mark.parametrize(
    ("unsound", "why"),
    [
        (np.zeros(N), "rmse"),
        (RNG.permutation(SOUND), "rmse"),
        (2.0 * SOUND, "total misses by"),
        (0.4 * SOUND, "total misses by"),
    ],
    ids=["zero", "shuffled", "doubled", "shrunken"],
)
def test_an_unsound_model_is_blocked_and_told_why(unsound: np.ndarray, why: str) -> None:
    verdict = judge(forecasts(unsound), naive())
    assert verdict.blocked and why in verdict.reason


def test_under_a_hundred_customers_it_only_warns() -> None:
    few = slice(0, 99)
    verdict = judge(forecasts(np.zeros(N), few), naive(few))
    assert not verdict.blocked and "only a warning" in verdict.warning


def test_a_naive_forecast_that_ranks_better_only_warns() -> None:
    level = np.full(N, ACTUAL.mean()) + 0.2 * RNG.normal(size=N)
    slightly = 0.55 * level + 0.45 * SOUND
    ranked = judge(forecasts(slightly), {"carry_forward": forecasts(PAST)})
    assert not ranked.blocked and "ranks customers better" in ranked.warning


def test_the_verdict_is_the_same_each_time_and_in_any_order() -> None:
    order = RNG.permutation(N)
    again = judge(
        Forecasts(SOUND[order], ACTUAL[order], order),
        {name: Forecasts(f.predicted[order], f.actual[order], order) for name, f in naive().items()},
    )
    assert again.low == pytest.approx(judge(forecasts(SOUND), naive()).low, rel=1e-9)


def test_customers_and_not_rows_are_resampled() -> None:
    thrice = Forecasts(np.tile(SOUND, 3), np.tile(ACTUAL, 3), np.tile(np.arange(N), 3))
    rivals = {n: Forecasts(np.tile(f.predicted, 3), thrice.actual, thrice.customer) for n, f in naive().items()}
    # Three copies of each customer say no more than one: the interval must not shrink.
    assert judge(thrice, rivals).low == pytest.approx(judge(forecasts(SOUND), naive()).low, rel=1e-9)


def scored(predicted: np.ndarray) -> dict[str, float]:
    return {name: f(predicted, ACTUAL) for name, f in metrics.OF_COUNTS.items()}


def test_the_best_by_the_chosen_measure_is_champion() -> None:
    models = {"good": scored(SOUND), "poor": scored(1.5 * SOUND)}
    baseline = {"zero": scored(np.zeros(N))}
    assert choose(models, baseline, "rmse") == "good"
    assert choose({"a": {"spearman": 0.3, **models["poor"]}, "b": models["good"]}, baseline, "rmse") == "b"
    assert best({"a": {"spearman": 0.3}, "b": {"spearman": 0.4}}, "spearman") == "b"
    with pytest.raises(ValueError, match="nobody has"):
        best({"a": {"rmse": np.nan}}, "rmse")


def test_a_naive_forecast_becomes_champion_only_if_it_wins_on_both() -> None:
    poor = {"model": scored(3.0 * SOUND)}
    assert choose(poor, {"carry_forward": scored(PAST), "zero": scored(np.zeros(N))}, "rmse") in (
        "carry_forward",
        "zero",
    )
    # Better on RMSE, worse on deviance: the model stays.
    assert choose({"model": scored(2.2 * SOUND)}, {"zero": scored(np.zeros(N))}, "rmse") == "model"


def test_p_alive_changes_hands_only_when_better_at_three_snapshots_running() -> None:
    brier = {"mbg_nbd": 0.20, "pareto_nbd": 0.19}
    choice = PAliveChoice("mbg_nbd", "", 0)
    seen = []
    for _ in range(3):
        choice = choose_p_alive(brier, choice)
        seen.append((choice.model, choice.running))
    assert seen == [("mbg_nbd", 1), ("mbg_nbd", 2), ("pareto_nbd", 0)]


def test_one_snapshot_without_the_lead_starts_the_count_anew() -> None:
    waiting = PAliveChoice("mbg_nbd", "pareto_nbd", 2)
    assert choose_p_alive({"mbg_nbd": 0.18, "pareto_nbd": 0.19}, waiting) == PAliveChoice("mbg_nbd", "", 0)


def test_the_first_choice_is_the_better_and_an_unjudged_one_is_stable() -> None:
    assert choose_p_alive({"mbg_nbd": 0.2, "pareto_nbd": 0.1}, None).model == "pareto_nbd"
    assert choose_p_alive({"mbg_nbd": np.nan, "pareto_nbd": np.nan}, None).model == "mbg_nbd"
    with pytest.raises(ValueError, match="no model"):
        choose_p_alive({}, None)


def test_the_choice_is_read_back_as_the_card_holds_it() -> None:
    card = {
        ("mbg_nbd", "gives_p_alive"): (1.0, None),
        ("pareto_nbd", "gives_p_alive"): (0.0, None),
        ("mbg_nbd", "p_alive_rival_running"): (2.0, "pareto_nbd"),
    }
    assert published_choice(card) == PAliveChoice("mbg_nbd", "pareto_nbd", 2)
    assert published_choice({}) is None
