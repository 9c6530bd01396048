"""`cvm.yml` as a whole: one frozen object that every other part of the pipeline is given.

Belongs here: the top-level keys, their defaults, and what follows from them alone (home, grid, hash). Not here: reading
the file (`load.py`), the clock, the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PrivateAttr, ValidationInfo, field_validator

from cvm_pipeline.config.home import Home
from cvm_pipeline.config.paths import glob_pattern
from cvm_pipeline.config.section import Currency, Section, Word, Zone, not_empty, wrong
from cvm_pipeline.config.settings import Clv, Engine, Lifecycle, Publish, Quality, Rfm, Tiers, Warnings
from cvm_pipeline.config.source import Source, digest
from cvm_pipeline.domain import calendar
from cvm_pipeline.domain.calendar import Cadence

# What moves no number: changing it must not look like a changed mapping.
_NOT_HASHED: dict[str, Any] = {
    "project": True, "home": True, "engine": True, "publish": True,
    "quality": {"max_quarantine_share", "min_customers_share"},
}  # fmt: skip


def _home(given: Any, info: ValidationInfo) -> Home:
    if isinstance(given, Home):
        given = str(given.root)
    if not isinstance(given, str) or "${" in given:
        raise wrong("must be the path of a folder", "home: .cvm")
    root: Path = (info.context or {}).get("root", Path())
    return Home(root / Path(given).expanduser())


class Project(Section):
    """One project. Made by `load_project`; `root` is the folder that relative paths start from."""

    project: Word = "customer value"
    home: Annotated[Home, BeforeValidator(_home), PlainSerializer(lambda home: str(home.root))] = Home(Path(".cvm"))
    currency: Currency = "USD"
    timezone: Zone = "UTC"
    cadence: Cadence = "monthly"
    history_start: date = date(1970, 1, 1)
    sources: Annotated[tuple[Source, ...], AfterValidator(not_empty)]
    clv: Clv = Clv()
    tiers: Tiers = Tiers()
    rfm: Rfm = Rfm()
    lifecycle: Lifecycle = Lifecycle()
    warnings: Warnings = Warnings()
    quality: Quality = Quality()
    publish: Publish = Publish()
    engine: Engine = Engine()

    @field_validator("clv")
    @classmethod
    def _covariates_are_mapped(cls, clv: Clv, info: ValidationInfo) -> Clv:
        people = [source for source in info.data.get("sources", ()) if source.entity == "customers"]
        for name in clv.covariates:
            mapped = [source for source in people if name in source.columns]
            if not mapped:
                raise wrong(
                    f"covariates: no source of customers maps {name}", "map it there, or leave it out of clv.covariates"
                )
            if not any("updated_at" in source.columns or source.effective_at for source in mapped):
                raise wrong(
                    f"covariates: {name} has no date: a forecast may only be told what was known when it was made",
                    "map updated_at in the source of customers",
                )
        return clv

    _file: Path = PrivateAttr(default_factory=Path)
    _root: Path = PrivateAttr(default_factory=Path)

    def model_post_init(self, context: Any) -> None:
        # Private attributes are the only ones that a frozen model lets itself be given.
        self._file = (context or {}).get("file", Path())
        self._root = (context or {}).get("root", Path())

    @property
    def file(self) -> Path:
        """The cvm.yml that this was read from."""
        return self._file

    @property
    def root(self) -> Path:
        """The folder that relative paths start from."""
        return self._root

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which days are cut."""
        return ZoneInfo(self.timezone)

    @property
    def config_hash(self) -> str:
        """Hash of every key that can change a published number. Secrets and machine settings have no part in it."""
        return digest(self.model_dump(mode="json", by_alias=True, exclude=_NOT_HASHED))

    def source(self, name: str) -> Source:
        """The source of that name. Raises KeyError."""
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(name)

    def zone_of(self, source: Source) -> str:
        """The zone of a source's instants that carry no offset."""
        return source.timezone or self.timezone

    def glob_pattern(self, path: str) -> str:
        """The absolute glob of a `path` in the configuration. Raises FileNotFoundError for a package not installed."""
        return glob_pattern(path, self.root)

    def grid_before(self, day: date) -> date:
        """The newest date of the grid that is earlier than `day`."""
        return calendar.period_end_before(day, self.cadence)

    def is_on_grid(self, day: date) -> bool:
        """Whether `day` is a date of the grid."""
        return calendar.is_period_end(day, self.cadence)

    def grid(self, first: date, last: date) -> Iterator[date]:
        """The dates of the grid from `first` to `last`, both included, none earlier than `history_start`."""
        return calendar.period_ends(max(first, self.history_start), last, self.cadence)
