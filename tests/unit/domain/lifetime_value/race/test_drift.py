"""Drift between two model cards, in standard errors."""

import math

import pyarrow as pa
import pytest

from cvm_pipeline.domain.lifetime_value.model_card import CARD_SCHEMA
from cvm_pipeline.domain.lifetime_value.race.drift import drift


def card(values: dict[tuple[str, str], float | None], cut: str = "all") -> pa.Table:
    rows = [
        {"model": model, "cut_date": cut, "metric": metric, "value": value, "note": None}
        for (model, metric), value in values.items()
    ]
    return pa.Table.from_pylist(rows, schema=CARD_SCHEMA)


BEFORE = {("bg_nbd", "param_r"): 0.25, ("bg_nbd", "se_r"): 0.01, ("bg_nbd", "time_unit_days"): 7.0}


def told(now: dict[tuple[str, str], float | None], before: dict[tuple[str, str], float | None]) -> dict[str, float]:
    return {metric: value for _, metric, value in drift(card(now), card(before))}


def test_a_parameter_moves_in_standard_errors_of_its_logarithm() -> None:
    now = {**BEFORE, ("bg_nbd", "param_r"): 0.30, ("bg_nbd", "se_r"): 0.012}
    expected = math.log(0.30 / 0.25) / math.hypot(0.012 / 0.30, 0.01 / 0.25)
    assert told(now, BEFORE) == {"drift_r": pytest.approx(expected)}


def test_what_did_not_move_has_no_drift() -> None:
    assert told(BEFORE, BEFORE) == {"drift_r": 0.0}


def test_another_unit_of_time_is_no_drift() -> None:
    now = {**BEFORE, ("bg_nbd", "param_r"): 0.30, ("bg_nbd", "time_unit_days"): 1.0}
    assert told(now, BEFORE) == {}


def test_what_has_no_error_or_no_past_is_not_compared() -> None:
    assert told({**BEFORE, ("bg_nbd", "se_r"): None}, BEFORE) == {}
    assert told({("pareto_nbd", "param_s"): 0.6, ("pareto_nbd", "se_s"): 0.1}, BEFORE) == {}
    assert list(drift(card(BEFORE, "2024-01-31"), card(BEFORE))) == []


def test_measures_drift_by_their_own_errors() -> None:
    before = {("average", "backtest_rmse"): 1.7, ("average", "backtest_rmse_se"): 0.03}
    now = {("average", "backtest_rmse"): 1.9, ("average", "backtest_rmse_se"): 0.04}
    assert told(now, before) == {"drift_backtest_rmse": pytest.approx(0.2 / 0.05)}


@pytest.mark.parametrize("name", ["kappa", "gamma_alpha_channel_web"])
def test_what_may_have_either_sign_moves_in_its_own_standard_errors(name: str) -> None:
    before = {("bg_nbd", f"param_{name}"): 0.3, ("bg_nbd", f"se_{name}"): 0.03}
    now = {("bg_nbd", f"param_{name}"): -0.3, ("bg_nbd", f"se_{name}"): 0.04}
    assert told(now, before) == {f"drift_{name}": pytest.approx(-12.0)}
