"""The pooled rate: its stated formula, and that nothing about it is ever infinite."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories


def test_rate_and_retention_are_the_stated_sums() -> None:
    fit = POOLED_RATE.fit(PurchaseHistories([0, 2, 4], [0, 20, 90], [100, 50, 100], [3, 2, 1], 1.0))
    assert fit.parameters["rate"] == pytest.approx((8 + 0.5) / (200 + 365.25))
    assert fit.parameters["retention"] == pytest.approx((3 + 0.5) / (6 + 1))
    assert fit.log_likelihood is None and fit.converged


def test_retention_is_what_was_observed_right_after_a_purchase_and_falls_with_silence() -> None:
    parameters = {"rate": 0.05, "retention": 0.4}
    x, t_x = np.full(4, 2.0), np.full(4, 30.0)
    p = POOLED_RATE.p_alive(parameters, x, t_x, t_x + np.array([0.0, 30.0, 300.0, 1e7]))
    assert p[0] == pytest.approx(0.4)
    silent = (50.0 / 80.0) ** 3
    assert p[1] == pytest.approx(0.4 * silent / (0.4 * silent + 0.6))
    assert p[2] < p[1] and p[3] < 1e-10


def test_expected_transactions_are_shrunk_rate_times_horizon_times_p_alive() -> None:
    parameters = {"rate": 0.05, "retention": 0.4}
    rows = np.array([3.0]), np.array([40.0]), np.array([60.0])
    expected = POOLED_RATE.expected_transactions(parameters, np.array([10.0, 20.0]), *rows)
    own = (1 + 3) / (20 + 60)
    alive = POOLED_RATE.p_alive(parameters, *rows)[0]
    assert expected[0] == pytest.approx([own * 10 * alive, own * 20 * alive])


@pytest.mark.parametrize("unit", [1.0, 7.0])
def test_the_unit_of_time_changes_no_value(unit) -> None:
    x, t_x, T = np.array([0.0, 3.0]), np.array([0.0, 70.0]), np.array([210.0, 140.0])
    fit = POOLED_RATE.fit(PurchaseHistories.from_days(x, t_x, T, [50, 4], unit))
    expected = POOLED_RATE.expected_transactions(fit.parameters, np.array([365.25 / unit]), x, t_x / unit, T / unit)
    reference = POOLED_RATE.fit(PurchaseHistories(x, t_x, T, [50, 4], 1.0))
    assert expected == pytest.approx(
        POOLED_RATE.expected_transactions(reference.parameters, np.array([365.25]), x, t_x, T), rel=1e-12
    )


def test_nobody_and_one_time_buyers_only_stay_finite() -> None:
    nobody = POOLED_RATE.fit(PurchaseHistories([], [], [], [], 7.0))
    once = POOLED_RATE.fit(PurchaseHistories([0], [0], [52], [10_000], 7.0))
    for fit in (nobody, once):
        assert all(np.isfinite(value) and value > 0 for value in fit.parameters.values())
        rows = np.array([0.0, 10_000.0]), np.array([0.0, 1500.0]), np.array([0.0, 1565.0])
        expected = POOLED_RATE.expected_transactions(fit.parameters, np.array([52.0]), *rows)
        assert np.isfinite(expected).all() and (expected >= 0).all()
    assert once.parameters["retention"] < 1e-4
    assert POOLED_RATE.unconditional_expectation(once.parameters, np.array([52.0]))[0] < 1e-4


def test_a_base_of_one_time_buyers_keeps_its_own_few_repeats_in_sight() -> None:
    """5,000 customers, 6 repeats in the year that they are known: the next year brings a few, not thousands, not none."""
    once, again = np.zeros(4_994), np.ones(6)
    x, t_x = np.r_[once, again], np.r_[once, 100 * again]
    T = np.full(5_000, 365.25)
    fit = POOLED_RATE.fit(PurchaseHistories(x, t_x, T, np.ones(5_000), 1.0))
    total = POOLED_RATE.expected_transactions(fit.parameters, np.array([365.25]), x, t_x, T).sum()
    assert 1 < total < 12
