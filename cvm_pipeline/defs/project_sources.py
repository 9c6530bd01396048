"""From the configuration's sources to what the sources' code takes."""

from __future__ import annotations

import datetime as dt

from cvm_pipeline.config.project import Project
from cvm_pipeline.config.source import Format, Read, Source
from cvm_pipeline.sources.formats import Reading
from cvm_pipeline.sources.ingest import Suppression
from cvm_pipeline.sources.spec import CleanSettings, JoinSpec, SourceSpec


def specs_of(project: Project) -> list[SourceSpec]:
    """Every source of the project, in the order of `cvm.yml`."""
    return [_spec(project, source) for source in project.sources]


def clean_settings(project: Project, now: dt.datetime) -> CleanSettings:
    """The rules that hold for all sources; `now` has a zone."""
    return CleanSettings(
        currency=project.currency,
        timezone=project.timezone,
        now=now.astimezone(dt.UTC).replace(tzinfo=None),
        earliest_date=project.quality.earliest_date,
        max_quarantine_share=project.quality.max_quarantine_share,
        margin_rate=project.clv.margin_rate,
    )


def suppression_of(project: Project, now: dt.datetime, keeps: bool = True) -> Suppression:
    """The project's list of forgotten people, which every landing asks."""
    return Suppression(project.home.forgotten, clean_settings(project, now), project.home.scratch, keeps)


def _spec(project: Project, source: Source) -> SourceSpec:
    limit = project.quality.max_record_bytes
    constants = {"source_system": source.source_system}
    if source.currency is not None:
        constants["currency"] = source.currency
    return SourceSpec(
        name=source.name,
        entity=source.entity,
        path=source.path,
        columns=dict(source.columns),
        reading=_reading(source.format, source.read, limit),
        types=dict(source.types),
        where=source.where,
        values={column: dict(words) for column, words in source.values.items()},
        joins=tuple(
            JoinSpec(alias, join.path, _reading(join.format, join.read, limit), join.on)
            for alias, join in source.join.items()
        ),
        append_lines=source.lines == "append",
        effective_pattern=source.effective_at.pattern if source.effective_at else None,
        effective_format=(source.effective_at.format if source.effective_at else None) or "%Y-%m-%d",
        timezone=source.timezone,
        constants=constants,
    )


def _reading(format_: Format, read: Read, max_record_bytes: int) -> Reading:
    return Reading(
        format=format_,
        encoding=read.encoding,
        delimiter=read.delimiter,
        quote=read.quote,
        header=read.header,
        names=tuple(read.names),
        skip_rows=read.skip_rows,
        sheet=read.sheet,
        max_record_bytes=max_record_bytes,
    )
