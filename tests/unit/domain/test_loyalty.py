"""Loyalty: the upper third by midrank in frequency and tenure, and alive."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain import loyalty, rfm


def fitted(frequency: list[int], tenure: list[int]) -> loyalty.Parameters:
    return loyalty.fit(rfm.count(np.array(frequency, float)), rfm.count(np.array(tenure, float)))


def scored(frequency: float, tenure: float, p_alive: float, parameters: loyalty.Parameters) -> bool:
    return bool(loyalty.score(np.array([frequency]), np.array([tenure]), np.array([p_alive]), parameters)[0])


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_the_upper_third_is_that_of_the_midranks(values: list[int]) -> None:
    parameters = fitted(values, values)
    n = len(values)
    for value in values:
        below, ties = sum(other < value for other in values), values.count(value)
        # (midrank - 1/2) / n >= 2/3, in whole numbers.
        upper = 3 * (2 * below + ties) >= 4 * n
        assert scored(value, value, 0.9, parameters) == upper


def test_all_three_must_hold() -> None:
    parameters = loyalty.Parameters(frequency=5, tenure=400)
    assert scored(5, 400, 0.81, parameters)
    assert not scored(4, 400, 0.81, parameters)
    assert not scored(5, 399, 0.81, parameters)
    assert not scored(5, 400, 0.8, parameters)


def test_a_prospect_and_a_customer_without_p_alive_are_not_loyal() -> None:
    parameters = loyalty.Parameters(frequency=0, tenure=0)
    assert not scored(0, np.nan, 0.99, parameters)
    assert not scored(9, 999, np.nan, parameters)


def test_a_base_of_one_time_buyers_has_no_loyal_customer() -> None:
    assert not scored(0, 900, 1.0, fitted([0] * 50, list(range(50))))


def test_with_nobody_to_fit_on_nobody_is_loyal() -> None:
    assert not scored(100, 5_000, 1.0, fitted([], []))
