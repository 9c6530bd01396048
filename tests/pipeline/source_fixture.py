"""A small shop's files, landed and cleaned as a run does it, in a folder of its own.

Belongs here: writing files, declaring sources shortly, landing, building and reading `clean`. Not here: expectations.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from cvm_pipeline.sources.audit import Accounts
from cvm_pipeline.sources.clean import build_clean
from cvm_pipeline.sources.ingest import land, landed
from cvm_pipeline.sources.landing import LandingReport
from cvm_pipeline.sources.spec import CleanSettings, SourceSpec

NOW = dt.datetime(2026, 6, 1, 12)
TABLES = ("orders", "order_lines", "products", "customers", "exchange_rates", "return_allocations", "unmatched_returns")


def source(entity: str, columns: dict[str, str] | str, path: str = "", name: str = "", **more: Any) -> SourceSpec:
    """A source; columns given as 'a b c' mean the file's columns of those names. It reads `<entity>*.csv`."""
    mapped = {column: column for column in columns.split()} if isinstance(columns, str) else columns
    return SourceSpec(name or entity, entity, path or f"{entity}*.csv", mapped, **more)


@dataclass
class Shop:
    """A project's folder and its work warehouse in memory. Every build allows any share of quarantine unless told."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Shop:
        self.con = duckdb.connect()
        self.con.execute("set TimeZone = 'UTC'")
        return self

    def __exit__(self, *_: object) -> None:
        self.con.close()

    @property
    def landing(self) -> Path:
        return self.root / ".cvm" / "landing"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def land(self, *specs: SourceSpec) -> list[LandingReport]:
        return land(specs, self.root, self.landing, NOW)

    def build(self, *specs: SourceSpec, **settings: Any) -> Accounts:
        """The clean state of what is landed."""
        rules = {"currency": "EUR", "timezone": "UTC", "now": NOW, "max_quarantine_share": 1.0}
        rules |= self.settings | settings
        return build_clean(self.con, landed(specs, self.landing), CleanSettings(**rules))

    def run(self, *specs: SourceSpec, **settings: Any) -> Accounts:
        self.land(*specs)
        return self.build(*specs, **settings)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()

    def column(self, sql: str) -> list[Any]:
        return [row[0] for row in self.rows(sql)]

    def quarantine(self) -> list[tuple[int, str]]:
        """(line, rule) of each refused row."""
        return self.rows("select line, rule from clean.quarantine order by source, file, line")

    def clean_tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table that later steps read, in one order."""
        return {name: self.rows(f"select * from clean.{name} order by all") for name in TABLES}
