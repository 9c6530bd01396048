"""What the sources' code needs to know of a project: one source as declared, and the rules that hold for all."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from cvm_pipeline.sources.formats import Reading


@dataclass(frozen=True)
class JoinSpec:
    """A look-up file beside a source: its columns are `alias.column` in the source's expressions."""

    alias: str
    path: str
    reading: Reading
    on: str


@dataclass(frozen=True)
class SourceSpec:
    """One source of `cvm.yml`. `columns`: canonical column -> a column's exact name, or an SQL expression over the file's."""

    name: str
    entity: str
    path: str
    columns: dict[str, str]
    reading: Reading = field(default_factory=Reading)
    types: dict[str, str] = field(default_factory=dict)
    where: str | None = None
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    joins: tuple[JoinSpec, ...] = ()
    append_lines: bool = False
    effective_pattern: str | None = None
    effective_format: str = "%Y-%m-%d"
    timezone: str | None = None
    constants: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CleanSettings:
    """Rules for all sources. `now` (UTC) bounds what can have happened; nothing else may depend on it."""

    currency: str
    timezone: str
    now: dt.datetime
    earliest_date: dt.date = dt.date(1970, 1, 1)
    max_quarantine_share: float = 0.05
    margin_rate: float = 1.0
