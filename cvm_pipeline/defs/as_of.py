"""Which day a run is for when nobody says: the rule of interface.md."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.project_sources import clean_settings, specs_of, suppression_of
from cvm_pipeline.defs.workshop import Workshop
from cvm_pipeline.sources.clean import build_clean_if_changed
from cvm_pipeline.sources.errors import SourceError
from cvm_pipeline.sources.ingest import land, landed
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.work import connect


def newest_sensible_day(
    project: Project, now: dt.datetime, progress: Callable[[str], None] = lambda step: None
) -> dt.date:
    """The as-of rule: yesterday, but never later than the day of the newest accepted order.

    Lands and cleans to know it; the run that follows finds that done. What fails here fails again in the run, which
    records it and tells it: so an error is no reason to stop.
    """
    try:
        return land_and_clean(project, now, progress)
    except SourceError:
        return _yesterday(project, now)


def land_and_clean(project: Project, now: dt.datetime, progress: Callable[[str], None] = lambda step: None) -> dt.date:
    """Land and clean what was delivered; the day of the as-of rule. Raises SourceError."""
    specs = specs_of(project)
    progress("landing files")
    land(specs, project.root, project.home.landing, now, suppression=suppression_of(project, now))
    with connect(project.home, Workshop(project).engine) as con:
        sources = landed(specs, project.home.landing)
        build_clean_if_changed(con, sources, clean_settings(project, now), project.config_hash, progress)
        newest = marts.data_through(con)
    yesterday = _yesterday(project, now)
    return min(yesterday, newest) if newest is not None else yesterday


def _yesterday(project: Project, now: dt.datetime) -> dt.date:
    return now.astimezone(project.zone).date() - dt.timedelta(days=1)
