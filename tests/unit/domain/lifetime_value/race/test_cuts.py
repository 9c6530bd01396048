"""Where history is cut: the calendar of backtests."""

from datetime import date, timedelta

import pytest

from cvm_pipeline.domain.lifetime_value.race.cuts import plan

CDNOW = plan(date(1997, 1, 1), date(1998, 6, 30), 365)


def test_cdnow_is_cut_where_the_papers_cut_it() -> None:
    assert CDNOW.window_days == 273
    assert [(cut.start, cut.end) for cut in CDNOW.cuts] == [
        (date(1997, 9, 30), date(1998, 6, 30)),
        (date(1997, 7, 1), date(1998, 3, 31)),
    ]


@pytest.mark.parametrize("history", [0, 10, 55, 56, 300, 545, 1000, 4000])
@pytest.mark.parametrize("horizon", [30, 365, 1096])
def test_nothing_of_the_plan_knows_what_came_after_it(history: int, horizon: int) -> None:
    as_of = date(2024, 1, 31)
    found = plan(as_of - timedelta(days=history), as_of, horizon)
    assert found.slice_dates[-1] == as_of
    for cut in found.cuts:
        assert cut.end <= as_of and cut.days == found.window_days
        for window in found.training_windows(cut.start):
            assert window.end <= cut.start
    assert all(window.end <= as_of for window in found.training_windows(as_of))
    assert {day for cut in found.cuts for day in (cut.start, cut.end)} <= set(found.slice_dates)
    assert all(as_of - timedelta(days=history) <= day for day in found.slice_dates)


def test_too_short_a_history_is_not_cut() -> None:
    assert plan(date(2024, 1, 1), date(2024, 2, 20), 365).cuts == ()
    assert plan(None, date(2024, 2, 20), 365).slice_dates == (date(2024, 2, 20),)


def test_the_window_is_never_longer_than_the_horizon() -> None:
    assert plan(date(2010, 1, 1), date(2024, 1, 1), 90).window_days == 90


def test_a_long_history_is_cut_into_windows_that_do_not_overlap() -> None:
    found = plan(date(2015, 1, 1), date(2024, 1, 1), 365)
    assert len(found.cuts) == len(found.apart) == 6
    assert all(later.start == earlier.end for earlier, later in zip(found.cuts[1:], found.cuts, strict=False))


def test_overlapping_cuts_are_counted_apart_only_where_they_are() -> None:
    assert [cut.start for cut in CDNOW.apart] == [date(1997, 9, 30)]
