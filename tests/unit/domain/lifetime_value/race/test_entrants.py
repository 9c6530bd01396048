"""The naive forecasts: what they carry over is of as many days as are judged."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.race.cuts import recent_days
from cvm_pipeline.domain.lifetime_value.race.entrants import NAIVE
from cvm_pipeline.domain.lifetime_value.race.slices import Rows


@pytest.mark.parametrize("days", [28, 29, 35, 273, 365])
def test_a_steady_base_goes_on_as_it_was_by_every_forecast_that_looks_back(days: int) -> None:
    """One purchase a day by everybody, for ever: the window to come holds one a day, whatever the counts span."""
    n = 5
    counted = {f"transactions_{k}w": np.full(n, float(recent_days(days, k))) for k in (2, 6)}
    rows = Rows({"frequency": np.full(n, 4000.0), "recency": np.full(n, 4000.0), "T": np.full(n, 4000.0)} | counted, {})
    for name in ("carry_forward", "own_rate", "retention"):
        rule = NAIVE[name]
        np.testing.assert_allclose(
            rule.forecast(rows, float(days), rule.fit(rows, float(days))), float(days), rtol=1e-14
        )


def test_a_first_purchase_within_the_counted_days_is_no_repeat() -> None:
    span = float(recent_days(29, 6))
    rows = Rows(
        {"frequency": np.zeros(2), "recency": np.zeros(2), "T": np.array([span - 1.0, span]),
         "transactions_6w": np.array([1.0, 0.0])}, {},
    )  # fmt: skip
    rule = NAIVE["carry_forward"]
    np.testing.assert_array_equal(rule.forecast(rows, 29.0, rule.fit(rows, 29.0)), [0.0, 0.0])
