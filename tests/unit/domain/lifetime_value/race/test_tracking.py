"""Tracking: what a base as a whole was expected to buy, day by day, beside what came."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain.lifetime_value import bg_nbd
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.lifetime_value.race.tracking import track

PARAMETERS = {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}
TIMING = Timing(bg_nbd.MODEL, Fit(PARAMETERS, {}, 0.0, 100.0, True, 0.0, time_unit_days=7.0))
AS_OF = date(1997, 9, 30)


def repeats_on(days: list[date], counts: list[int]) -> pa.Table:
    return pa.table({"ordered_date": pa.array(days, pa.date32()), "repeats": pa.array(counts, pa.int64())})


def test_the_expectation_is_the_sum_over_customers_by_their_birth() -> None:
    born = np.array([273.0, 273.0, 200.0, 10.0])
    found = track(TIMING, born, 4.0, repeats_on([AS_OF], [3]), AS_OF)
    assert found.days[0] == AS_OF - timedelta(days=273) and found.days[-1] == AS_OF
    exact = bg_nbd.MODEL.unconditional_expectation(PARAMETERS, born / 7.0).sum()
    assert found.expected[-1] == pytest.approx(exact, rel=1e-12)
    assert found.expected[0] == 0.0 and (np.diff(found.expected) >= 0).all()


def test_what_came_is_cumulated_to_each_day_and_nothing_later() -> None:
    days = [AS_OF - timedelta(days=5), AS_OF - timedelta(days=2), AS_OF]
    found = track(TIMING, np.array([9.0]), 1.0, repeats_on(days, [2, 3, 4]), AS_OF)
    by_day = dict(zip(found.days, found.actual, strict=True))
    assert by_day[AS_OF - timedelta(days=6)] == 0 and by_day[AS_OF - timedelta(days=5)] == 2
    assert by_day[AS_OF - timedelta(days=1)] == 5 and by_day[AS_OF] == 9


def test_a_sample_speaks_for_the_whole_base() -> None:
    born = np.array([100.0, 50.0])
    one, ten = (track(TIMING, born, n, repeats_on([], []), AS_OF).expected[-1] for n in (2.0, 20.0))
    assert ten == pytest.approx(10.0 * one)


def test_cdnow_is_tracked_within_a_hundredth_of_what_was_published(cdnow) -> None:
    found = track(TIMING, cdnow.T, 2357.0, repeats_on([], []), AS_OF)
    at_week = {20: 1312.458, 25: 1669.6}
    for week, published in at_week.items():
        day = date(1996, 12, 31) + timedelta(weeks=week)
        near = np.interp(day.toordinal(), [d.toordinal() for d in found.days], found.expected)
        assert near == pytest.approx(published, rel=0.015)
