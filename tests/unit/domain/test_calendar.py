from datetime import date, timedelta

import pytest

from cvm_pipeline.domain.calendar import CADENCES, is_period_end, period_end, period_end_before, period_ends


@pytest.mark.parametrize(
    ("cadence", "end"),
    [
        ("daily", date(2024, 2, 14)),
        ("weekly", date(2024, 2, 18)),
        ("monthly", date(2024, 2, 29)),
        ("quarterly", date(2024, 3, 31)),
    ],
)
def test_a_period_ends_on_its_last_day(cadence, end):
    assert period_end(date(2024, 2, 14), cadence) == end
    assert is_period_end(end, cadence)


@pytest.mark.parametrize("cadence", CADENCES)
def test_the_day_before_on_the_grid_is_earlier_on_the_grid_and_leaves_none_between(cadence):
    day = date(2023, 11, 1)
    for _ in range(500):
        before = period_end_before(day, cadence)
        assert before < day
        assert is_period_end(before, cadence)
        assert list(period_ends(before + timedelta(days=1), day - timedelta(days=1), cadence)) == []
        day += timedelta(days=1)


def test_the_grid_includes_both_of_its_ends():
    assert list(period_ends(date(2024, 1, 31), date(2024, 3, 31), "monthly")) == [
        date(2024, 1, 31),
        date(2024, 2, 29),
        date(2024, 3, 31),
    ]


def test_a_grid_without_a_period_end_is_empty():
    assert list(period_ends(date(2024, 1, 1), date(2024, 1, 30), "monthly")) == []


def test_weeks_end_on_sunday():
    assert [day.isoweekday() for day in period_ends(date(2024, 1, 1), date(2024, 1, 31), "weekly")] == [7] * 4


def test_the_quarter_before_january_ends_in_december():
    assert period_end_before(date(2024, 2, 10), "quarterly") == date(2023, 12, 31)


def test_an_unknown_cadence_is_refused():
    with pytest.raises(KeyError):
        period_end(date(2024, 1, 1), "yearly")  # type: ignore[arg-type]
