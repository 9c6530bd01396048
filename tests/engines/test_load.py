"""Readers under load, wherever they read: no error, no mix, and no wait beyond a bound, while publication follows publication."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from postgres_server import login
from warehouse_sample import REQUIRED, fill, judge_candidate, make_candidate

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget
from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget
from cvm_pipeline.warehouse.targets.protocol import Target

# The publication by three tables, and whether totals across tables agree.
QUESTION = """
    select (select publication_id from {current_publication}), (select min(publication_id) from {customer_value}),
           (select max(publication_id) from {customer}), (select count(*) from {customer_value}),
           (select sum(clv) from {customer_value}) = (select sum(clv) from {customer_value_history} h
            where as_of_date = (select as_of_date from {current_publication}))
"""
ASKED = ("current_publication", "customer_value", "customer", "customer_value_history")
# The longest that a reader may wait on two busy cores; alone on a machine it is a tenth of it.
LONGEST_WAIT = 5.0

Ask = Callable[[], tuple[Any, ...]]


def duckdb_reader(home: Home) -> Ask:
    """Reconnects for each question, as a BI tool's live connection does."""

    def ask() -> tuple[Any, ...]:
        with duckdb.connect(str(home.published_file.resolve()), read_only=True) as con:
            return con.execute(QUESTION.format(**{name: f"cvm.{name}" for name in ASKED})).fetchall()[0]

    return ask


def parquet_reader(root: Path) -> Ask:
    """Reads the manifest once, then the files that it names."""
    import json

    def ask() -> tuple[Any, ...]:
        tables = json.loads((root / "current.json").read_text())["tables"]
        files = {name: [str(root / file) for file in tables[name]["files"]] for name in ASKED}
        with duckdb.connect() as con:
            return con.execute(
                QUESTION.format(**{name: f"read_parquet({files[name]!r}, hive_partitioning = false)" for name in ASKED})
            ).fetchall()[0]

    return ask


def postgres_reader(dsn: str, several: bool) -> Ask:
    """Keeps its connection; with `several`, asks several statements in one transaction."""
    con = psycopg.connect(dsn, autocommit=True)
    question = QUESTION.format(**{name: f"cvm.{name}" for name in ASKED})

    def ask() -> tuple[Any, ...]:
        if not several:
            return con.execute(question).fetchall()[0]
        with con.transaction():
            con.execute("set transaction isolation level repeatable read read only")
            before = con.execute("select publication_id from cvm.current_publication").fetchall()[0]
            found = con.execute(question).fetchall()[0]
        return found if before[0] == found[0] else (*before, *found)

    return ask


@pytest.fixture(params=["duckdb", "parquet", "postgres"])
def place(request: pytest.FixtureRequest, home: Home, tmp_path: Path) -> tuple[Target | None, Callable[[int], Ask]]:
    """A target and how its n-th reader reads."""
    if request.param == "duckdb":
        return None, lambda n: duckdb_reader(home)
    if request.param == "parquet":
        return ParquetTarget(tmp_path / "files"), lambda n: parquet_reader(tmp_path / "files")
    dsn, admin = request.getfixturevalue("dsn"), request.getfixturevalue("admin_dsn")
    reader = login(admin, "bi", "cvm_reader")
    return PostgresTarget(dsn), lambda n: postgres_reader(reader, several=n % 2 == 0)


def hammer(home: Home, place: tuple[Target | None, Callable[[int], Ask]], readers: int, publications: int) -> None:
    target, reader = place
    # Distinct amounts, so that a mix of two publications can't agree by chance.
    publish(home, make_candidate(home, 1), REQUIRED, 5, target)
    over = threading.Event()
    problems: list[object] = []
    answers: list[tuple[str, float]] = []

    def read(number: int) -> None:
        try:
            ask = reader(number)
            while not over.is_set():
                started = time.monotonic()
                found = ask()
                answers.append((found[0], time.monotonic() - started))
                if len(found) != 5 or len(set(found[:3])) != 1 or found[3] != 3 or found[4] is not True:
                    problems.append(found)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2, publications + 2):
            fill(home, amount=number)
            publish(home, judge_candidate(home, number), REQUIRED, 5, target)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:3]
    seen, longest = {id_ for id_, _ in answers}, max(wait for _, wait in answers)
    assert len(seen) > publications // 3
    assert longest < LONGEST_WAIT
    print(f"{len(answers)} reads of {len(seen)} of {publications + 1} publications, the longest {longest:.2f} s")


def test_readers_are_never_disturbed(home: Home, place: tuple[Target | None, Callable[[int], Ask]]) -> None:
    hammer(home, place, readers=3, publications=3)


@pytest.mark.long
def test_eight_readers_and_fifty_publications(home: Home, place: tuple[Target | None, Callable[[int], Ask]]) -> None:
    hammer(home, place, readers=8, publications=50)
