"""The grid of snapshot dates: the last day of each day, week, month or quarter.

Belongs here: pure arithmetic of dates. Not here: time zones, the clock, which snapshots were published.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal, get_args

Cadence = Literal["daily", "weekly", "monthly", "quarterly"]
CADENCES: tuple[Cadence, ...] = get_args(Cadence)

_DAY = timedelta(days=1)
_MONTHS_IN_PERIOD = {"monthly": 1, "quarterly": 3}


def period_end(day: date, cadence: Cadence) -> date:
    """The last day of the period that holds `day`; weeks end on Sunday (ISO 8601).

    Raises KeyError for an unknown cadence.
    """
    if cadence == "daily":
        return day
    if cadence == "weekly":
        return day + timedelta(days=7 - day.isoweekday())
    months = _MONTHS_IN_PERIOD[cadence]
    month = -(-day.month // months) * months
    return date(day.year, month, monthrange(day.year, month)[1])


def is_period_end(day: date, cadence: Cadence) -> bool:
    """Whether `day` lies on the grid."""
    return period_end(day, cadence) == day


def period_end_before(day: date, cadence: Cadence) -> date:
    """The newest day of the grid that is earlier than `day`."""
    if cadence == "daily":
        return day - _DAY
    if cadence == "weekly":
        return day - timedelta(days=day.isoweekday())
    months = _MONTHS_IN_PERIOD[cadence]
    first_month = (day.month - 1) // months * months + 1
    return day.replace(month=first_month, day=1) - _DAY


def period_ends(first: date, last: date, cadence: Cadence) -> Iterator[date]:
    """All days of the grid from `first` to `last`, both included, oldest first."""
    end = period_end(first, cadence)
    while end <= last:
        yield end
        end = period_end(end + _DAY, cadence)
