"""A person leaves the places where readers meet publications, in one step there, and later publications bring nobody back."""

from __future__ import annotations

from pathlib import Path

from postgres_server import ask
from readers import ParquetReader
from test_targets import FEBRUARY, MARCH, Place, holds_what_the_home_holds, place, put

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import CUSTOMER_PII, CUSTOMER_VALUE_HISTORY, TABLES
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.erasing import erase_from_versions
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.targets.follow import erase
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget
from cvm_pipeline.warehouse.traces import traces

__all__ = ["place"]

ID = "shop:1"
REDACTION = Redaction([ID], [])


class Crash(BaseException):
    """No Exception: nothing on the way may catch it."""


def erased(home: Home, place: Place) -> int:
    with place.target.session("test") as session:
        return erase(session, home, {ID}, REDACTION)


def customers(place: Place) -> list[set[str]]:
    """The customers that readers see, table by table."""
    tables = [table for table in TABLES if "customer_id" in table.names]
    return [{row[table.names.index("customer_id")] for row in place.reader.rows(table)} for table in tables]


def test_an_erased_person_is_in_no_table_and_does_not_come_back(home: Home, place: Place) -> None:
    put(home, 1, place, FEBRUARY)
    put(home, 2, place, MARCH)
    erase_from_versions(home, {ID}, REDACTION, None)
    assert erased(home, place) > 0
    holds_what_the_home_holds(home, place)
    assert all(ID not in seen for seen in customers(place))
    assert len(place.reader.rows(CUSTOMER_VALUE_HISTORY)) == 4
    assert erased(home, place) == 0
    put(home, 3, place, MARCH, amount=5)
    holds_what_the_home_holds(home, place)
    # The third publication's own rows hold the sample's customer again; those of February are the erased ones.
    history = [row for row in place.reader.rows(CUSTOMER_VALUE_HISTORY) if row[0] == FEBRUARY]
    assert {row[1] for row in history} == {"shop:0", "shop:2"}


def test_a_death_at_any_step_of_an_erasure_shows_all_or_nothing_of_it_and_is_healed(home: Home, place: Place) -> None:
    put(home, 1, place)
    erase_from_versions(home, {ID}, REDACTION, None)
    position = 0
    while True:
        left = [position]

        def hook(name: str, left: list[int] = left) -> None:
            if left[0] == 0:
                raise Crash(name)
            left[0] -= 1

        HOOKS[:] = [hook]
        try:
            erased(home, place)
            break
        except Crash:
            position += 1
        finally:
            HOOKS.clear()
        with_or_without = {ID in seen for seen in customers(place)}
        assert len(with_or_without) == 1, position
    assert position > 2
    holds_what_the_home_holds(home, place)
    assert all(ID not in seen for seen in customers(place))


def test_no_parquet_file_keeps_the_person(home: Home, tmp_path: Path) -> None:
    files = Home(tmp_path / "files")
    place = Place(ParquetTarget(files.root), ParquetReader(files.root), "")
    put(home, 1, place)
    assert traces(files, [ID])
    erased(home, place)
    assert traces(files, [ID]) == []
    assert not list(files.root.rglob("*.writing-*"))


def test_the_books_of_postgres_agree_with_its_rows(home: Home, admin_dsn: str, dsn: str) -> None:
    from readers import PostgresReader

    from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget

    place = Place(PostgresTarget(dsn), PostgresReader(admin_dsn), "")
    put(home, 1, place)
    erased(home, place)
    for table in (CUSTOMER_VALUE_HISTORY, CUSTOMER_PII):
        assert ask(admin_dsn, "select rows from cvm_store.part where table_name = %s", table.name) == [(2,)]
