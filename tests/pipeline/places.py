"""A project in a folder of its own: run it, ask what it published, copy it, call `cvm` on it.

Belongs here: what every test of a whole run needs. Not here: any project's files (`small_shop.py`), any expectation.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pandas as pd

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
# What differs between two publications of the very same content.
OF_THE_PUBLICATION = ("publication_id", "landed_at", "published_at", "run_id")


@dataclass(frozen=True)
class Said:
    """How a call of `cvm` ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A folder that holds a cvm.yml and, once run, its home `.cvm`."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "cvm.yml"

    @property
    def project(self) -> Any:
        from cvm_pipeline.config.load import load_project

        return load_project(self.config)

    @property
    def home(self) -> Any:
        return self.project.home

    def run(self, as_of: dt.date | None = None, **more: Any) -> Any:
        """A run in this process."""
        from cvm_pipeline.defs.launch import run_customer_value

        return run_customer_value(self.project, as_of, **more)

    def ask(self, sql: str, *values: Any) -> list[tuple]:
        """What a reader is answered, on the fixed path that readers know."""
        with contextlib.closing(duckdb.connect(str(self.home.published_file), read_only=True)) as con:
            return con.execute(sql, list(values) or None).fetchall()

    def column(self, sql: str) -> list:
        return [row[0] for row in self.ask(sql)]

    def work(self, sql: str) -> list[tuple]:
        """Ask or change the work file, as a hand between two steps might."""
        with contextlib.closing(duckdb.connect(str(self.home.work_file))) as con:
            return con.execute(sql).fetchall()

    def table(self, name: str, where: str = "true") -> pd.DataFrame:
        """A published table by its key, money as Decimal, without what differs between publications."""
        from cvm_pipeline.domain.contracts import table as contract

        declared = contract(name)
        file = self.home.published_pii_file if declared.schema == "cvm_pii" else self.home.published_file
        names = ", ".join(f'"{n}"' for n in declared.names if n not in OF_THE_PUBLICATION)
        keys = ", ".join(f'"{n}"' for n in declared.key)
        with contextlib.closing(duckdb.connect(str(file), read_only=True)) as con:
            found = con.sql(f"select {names} from {declared.schema}.{name} where {where} order by {keys}")
            return found.to_arrow_table().to_pandas(types_mapper=pd.ArrowDtype)

    def fingerprint(self) -> dict[str, str]:
        """Everything that readers can reach, byte for byte."""
        from cvm_pipeline.warehouse.versions import standing

        folder = standing(self.home)
        files = sorted(folder.iterdir()) if folder else []
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def copy(self, to: Path) -> Place:
        shutil.copytree(self.folder, to, symlinks=True)
        return Place(to)

    def cvm(self, *arguments: str) -> Said:
        return cvm(*arguments, "-c", str(self.config))


def cvm(*arguments: str) -> Said:
    """The command line in this process, through its entry point."""
    from cvm_pipeline.cli import main

    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["cvm", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main.run()
        except SystemExit as ended:
            return Said(int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("cvm ended without an exit code")


def assert_same_tables(one: Place, other: Place, names: Sequence[str]) -> None:
    """Row for row, type for type; which publication wrote a row, and when, is left out."""
    for name in names:
        pd.testing.assert_frame_equal(one.table(name), other.table(name), obj=name, check_exact=True)
