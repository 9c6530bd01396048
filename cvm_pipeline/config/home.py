"""Where a run writes: every path below a project's `home`, named once.

Belongs here: paths. Not here: what is written to them, nor any rule about their content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folder that holds all that a project's runs write."""

    root: Path

    @property
    def landing(self) -> Path:
        """Landed copies: `<source>/<hash>.parquet` and one manifest per source."""
        return self.root / "landing"

    @property
    def work_file(self) -> Path:
        """The work warehouse: one writer, no reader but ourselves."""
        return self.root / "work" / "work.duckdb"

    @property
    def scratch(self) -> Path:
        """Spill and spool files; safe to delete between runs."""
        return self.root / "work" / "scratch"

    @property
    def dbt_target(self) -> Path:
        return self.root / "dbt" / "target"

    @property
    def dbt_logs(self) -> Path:
        return self.root / "dbt" / "logs"

    @property
    def warehouse(self) -> Path:
        """What readers see: `warehouse.duckdb` and `pii.duckdb`, both through `current`."""
        return self.root / "warehouse"

    @property
    def versions(self) -> Path:
        return self.warehouse / "versions"

    @property
    def current(self) -> Path:
        """The one symlink whose swap is the publication."""
        return self.warehouse / "current"

    @property
    def published_file(self) -> Path:
        return self.warehouse / "warehouse.duckdb"

    @property
    def published_pii_file(self) -> Path:
        return self.warehouse / "pii.duckdb"

    @property
    def published_dictionary(self) -> Path:
        """The data dictionary as a page."""
        return self.warehouse / "data_dictionary.html"

    @property
    def models(self) -> Path:
        """Fitted models by the SHA-256 of their bytes: what each snapshot was valued with."""
        return self.root / "models"

    @property
    def gate(self) -> Path:
        """One audit record per candidate, passed or not."""
        return self.root / "gate"

    @property
    def attempts(self) -> Path:
        """One line per run: published, blocked or failed, and why."""
        return self.root / "attempts.jsonl"

    @property
    def forgotten(self) -> Path:
        """Who was forgotten, as salted hashes: what keeps a re-delivered export from bringing a person back."""
        return self.root / "forgotten.json"

    @property
    def forgetting(self) -> Path:
        """An erasure under way, in clear; it is gone once nothing else is left of the person."""
        return self.root / "forgetting.json"

    @property
    def erased_inputs(self) -> Path:
        """Digest of what a snapshot knew -> that of the same without who was forgotten since."""
        return self.root / "erased_inputs.json"

    @property
    def targets(self) -> Path:
        """Every place beside the home that was ever published to, without secrets: who is forgotten must leave them all."""
        return self.root / "targets.json"

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME of this project."""
        return self.root / "dagster"
