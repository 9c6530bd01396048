"""A history of snapshots, one for each period, oldest first: what `cvm backfill` does.

Belongs here: which days are asked for, which of them stand already, and where it stops. Not here: a run (`launch.py`).

A snapshot that is published stands, unless what it could know is another today (a corrected row, another configuration) or
an earlier snapshot that it remembers was made anew: then it is made again, and why is said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cvm_pipeline.config.exit_codes import DONE
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.as_of import land_and_clean
from cvm_pipeline.defs.launch import Outcome, started
from cvm_pipeline.defs.workshop import SelectionRefused, engine_of, utc_now
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.inputs import inputs_digest, published_inputs
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.summary import stale_snapshots
from cvm_pipeline.warehouse.work import connect


@dataclass(frozen=True)
class Step:
    """One day of a backfill. `outcome` None: the snapshot stands already, and nothing was run."""

    day: dt.date
    number: int
    of: int
    why: str
    outcome: Outcome | None = None


def backfill(
    project: Project,
    first: dt.date | None = None,
    last: dt.date | None = None,
    progress: Callable[[str], None] = lambda step: None,
    now: Callable[[], dt.datetime] = utc_now,
) -> Iterator[Step]:
    """Make the snapshots of the grid from `first` to `last`, and yield each as it is done; ends after the first that fails.

    By default from the first date of the grid that knows an order to the newest of the as-of rule. Raises
    SelectionRefused where no date of the grid lies between, SourceError, LockHeld where another run holds the home.
    """
    counted = _Counted(progress)
    with run_lock(project.home, "cvm backfill"):
        # What can't be read must be told here: where all days stand no run follows that would.
        newest = land_and_clean(project, now(), progress)
        with connect(project.home, engine_of(project)) as con:
            begin = marts.first_sale(con, last or newest)
        days = _days(project, first, last or newest, begin)
        with started(project, counted, now) as launcher:
            for number, day in enumerate(days, 1):
                counted.where = f"{day} ({number} of {len(days)}): "
                counted("looking what is there")
                why = _why(project, day)
                if not why:
                    yield Step(day, number, len(days), "stands unchanged")
                    continue
                outcome = launcher.run(day)
                yield Step(day, number, len(days), why, outcome)
                if outcome.exit_code != DONE:
                    return


@dataclass
class _Counted:
    """Progress that says of which snapshot."""

    progress: Callable[[str], None]
    where: str = ""

    def __call__(self, step: str) -> None:
        self.progress(self.where + step)


def _days(project: Project, first: dt.date | None, last: dt.date, begin: dt.date | None) -> list[dt.date]:
    if first is None and begin is None:
        raise SelectionRefused(f"no order of a known customer was accepted by {last}: there is no history to make")
    asked = max(day for day in (first, begin) if day is not None)
    days = list(project.grid(asked, last))
    if not days:
        raise SelectionRefused(
            f"no {project.cadence} period ends between {asked} and {last}. The last that ended before is"
            f" {project.grid_before(asked)} (cadence in {project.file})"
        )
    return days


def _why(project: Project, day: dt.date) -> str:
    """Why the snapshot is to be made; empty where it stands as it should."""
    published = published_inputs(project.home)
    if day not in published:
        return "new"
    if day in stale_snapshots(project.home, project.is_on_grid):
        return "made again: an earlier snapshot, which it remembers, was made since"
    with connect(project.home, engine_of(project)) as con:
        inputs = inputs_digest(con, day, project.config_hash)
    if inputs != published[day]:
        return "made again: its data or the configuration were changed since"
    return ""
