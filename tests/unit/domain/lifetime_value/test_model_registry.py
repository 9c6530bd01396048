"""The transaction models are found by their files."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import Forecaster
from cvm_pipeline.domain.lifetime_value.registry import transaction_model, transaction_models


def test_the_registry_finds_the_models_by_their_files() -> None:
    names = [model.name for model in transaction_models()]
    assert names == sorted(names) and {"bg_nbd", "mbg_nbd"} <= set(names)
    assert transaction_model("mbg_nbd").name == "mbg_nbd"
    with pytest.raises(KeyError, match="no_such"):
        transaction_model("no_such")


@pytest.mark.parametrize(
    "model", [*(m for m in transaction_models() if m.own_unit_days is None), POOLED_RATE], ids=lambda m: m.name
)
def test_parameters_in_days_say_of_days_what_those_in_weeks_say_of_weeks(model: Forecaster) -> None:
    values = {"r": 0.6, "alpha": 4.4, "a": 0.8, "b": 2.4, "s": 0.7, "beta": 9.0, "rate": 0.1, "retention": 0.6}
    weeks = {name: values[name] for name in model.parameter_names}
    days = model.in_days(weeks, 7.0)
    x, t_x, T = np.array([0.0, 1.0, 12.0]), np.array([0.0, 3.0, 30.0]), np.array([2.0, 20.0, 39.0])
    horizon = np.array([1.0, 52.0])
    # A few roundings of the unit, which the largest exponent here (r + x = 13) multiplies.
    close = {"rtol": 1e-13, "atol": 0.0}
    np.testing.assert_allclose(model.p_alive(days, x, 7 * t_x, 7 * T), model.p_alive(weeks, x, t_x, T), **close)
    np.testing.assert_allclose(
        model.expected_while_alive(days, 7 * horizon, x, 7 * T),
        model.expected_while_alive(weeks, horizon, x, T),
        **close,
    )
