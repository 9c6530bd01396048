"""Where history is cut for backtests, and where the challenger is trained: dates that follow from three facts alone.

Belongs here: the calendar of cuts, judged windows and training slices. Not here: what is fitted or judged at them.

With H days of history and a horizon of h days the judged window is w = min(h, H/2) (rounded up): the newest cut lies w
before the snapshot, so that its window has just ended. All other dates lie on the grid of w/6 before the snapshot:

- cuts: w apart, up to six, where history holds six windows (totals are then judged on windows that don't overlap); else
  w/3 apart, up to four. A cut needs w/2 of history before it, or there is little to fit and less to train on;
- training at a cut: the four dates w/3, w/2, 2w/3 and 5w/6 before it, each with a target window of w/3 that ends by the
  cut; what it learns of w/3 is carried to other horizons by a probability model's shape (gradient_boosting.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

SHORTEST_WINDOW = 28
_STEPS = 6
_TARGET_STEPS = 2
_TRAINING_SLICES = 4
_MOST_CUTS, _MOST_OVERLAPPING_CUTS = 6, 4


@dataclass(frozen=True)
class Window:
    """What is known by the end of `start` is judged by what happened from then to the end of `end`."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """Its length."""
        return (self.end - self.start).days


@dataclass(frozen=True)
class Plan:
    """The dates of one snapshot. `window_days` w is 0 where history is too short to be cut; cuts are newest first."""

    as_of: date
    window_days: int
    cuts: tuple[Window, ...]
    training: tuple[tuple[date, tuple[Window, ...]], ...]  # cut (or the snapshot) -> windows that end by it
    slice_dates: tuple[date, ...]  # every date at which the base must be known, oldest first, the snapshot included

    @property
    def step_days(self) -> int:
        """The grid's step, w/6: the unit in which recent behaviour is counted; 30 days where nothing is cut."""
        return recent_days(self.window_days, 1) if self.window_days else 30

    def training_windows(self, known_by: date) -> tuple[Window, ...]:
        """Windows that a learner may be trained on when only `known_by` and what was before it is known."""
        return dict(self.training).get(known_by, ())

    @property
    def apart(self) -> tuple[Window, ...]:
        """Cuts whose windows don't overlap, newest first."""
        chosen: list[Window] = []
        for cut in self.cuts:
            if not chosen or cut.end <= chosen[-1].start:
                chosen.append(cut)
        return tuple(chosen)


def recent_days(window_days: int, steps: int) -> int:
    """Days that the counts of the last 1..6 `steps` span, such as transactions_6w: whole ones, at most five short of w."""
    return steps * max(window_days // _STEPS, 1)


def plan(first_date: date | None, as_of: date, horizon_days: int) -> Plan:
    """The dates for a base whose first transaction was on `first_date`, with a horizon of `horizon_days` days."""
    history = (as_of - first_date).days if first_date is not None else 0
    w = min(horizon_days, math.ceil(history / 2))
    if w < SHORTEST_WINDOW:
        return Plan(as_of, 0, (), (), (as_of,))

    def at(steps: int) -> date:
        # Floors of equal steps: windows of two steps have one length wherever w/3 is whole, and differ by a day elsewhere.
        return as_of - timedelta(days=steps * w // _STEPS)

    def known(steps: int, least: float) -> bool:
        return history - steps * w // _STEPS >= least

    apart = history >= _STEPS * w
    spacing, most = (_STEPS, _MOST_CUTS) if apart else (2, _MOST_OVERLAPPING_CUTS)
    steps = [k for k in range(_STEPS, _STEPS + spacing * most, spacing) if known(k, w / 2)]
    cuts = tuple(Window(at(k), at(k - _STEPS)) for k in steps)
    training = {}
    for k in (0, *steps):
        first = k + _TARGET_STEPS
        starts = [j for j in range(first, first + _TRAINING_SLICES) if known(j, w / _STEPS)]
        training[at(k)] = tuple(Window(at(j), at(j - _TARGET_STEPS)) for j in starts)
    dates = {as_of, *_dates(cuts), *(day for windows in training.values() for day in _dates(windows))}
    return Plan(as_of, w, cuts, tuple(training.items()), tuple(sorted(dates)))


def _dates(windows: Sequence[Window]) -> list[date]:
    return [day for window in windows for day in (window.start, window.end)]
