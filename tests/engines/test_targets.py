"""What holds wherever readers meet publications: the same tables, all at once, whatever dies on the way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from readers import DuckDBReader, ParquetReader, PostgresReader, Reader, seen
from warehouse_sample import REQUIRED, make_candidate, publication_id

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import CUSTOMER_VALUE_HISTORY, TABLES
from cvm_pipeline.warehouse.errors import LockHeld, PublicationRefused, WarehouseError
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.rollback import roll_back
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget
from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget
from cvm_pipeline.warehouse.targets.protocol import Target

HELPERS = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit" / "warehouse")]
NOW = datetime(2026, 11, 25, tzinfo=UTC)
FEBRUARY, MARCH = date(2024, 2, 29), date(2024, 3, 31)


@dataclass
class Place:
    """A target, how it is read, and how another process makes it."""

    target: Target
    reader: Reader
    code: str


@pytest.fixture(params=["postgres", "parquet"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "parquet":
        root = tmp_path / "files"
        return Place(ParquetTarget(root), ParquetReader(root), f"ParquetTarget(Path({str(root)!r}))")
    dsn = request.getfixturevalue("dsn")
    admin = request.getfixturevalue("admin_dsn")
    return Place(PostgresTarget(dsn), PostgresReader(admin), f"PostgresTarget({dsn!r})")


def put(home: Home, number: int, place: Place, as_of: date = MARCH, keep: int = 10, amount: int = 1) -> str:
    """The whole way of one publication to a target; returns its id."""
    id_ = make_candidate(home, number, as_of, amount=amount)
    assert publish(home, id_, REQUIRED, keep, place.target).leftovers == ""
    return id_


def holds_what_the_home_holds(home: Home, place: Place) -> None:
    for table in TABLES:
        assert place.reader.rows(table) == DuckDBReader(home).rows(table), table.name


def test_a_target_holds_the_same_tables_value_for_value(home: Home, place: Place) -> None:
    put(home, 1, place, FEBRUARY)
    holds_what_the_home_holds(home, place)
    put(home, 2, place, MARCH, amount=7)
    holds_what_the_home_holds(home, place)
    # An earlier snapshot written anew replaces its rows alone.
    put(home, 3, place, FEBRUARY, amount=9)
    holds_what_the_home_holds(home, place)
    assert len(place.reader.rows(CUSTOMER_VALUE_HISTORY)) == 6


def test_versions_that_are_no_longer_kept_leave_nothing_behind(home: Home, place: Place) -> None:
    for number in range(1, 5):
        put(home, number, place, amount=number, keep=2)
    holds_what_the_home_holds(home, place)
    roll_back(home, publication_id(3), "", NOW, place.target)
    holds_what_the_home_holds(home, place)
    with place.target.session("test") as session, pytest.raises(Exception, match=r"violates|No such file"):
        session.show(publication_id(2))


def test_a_rollback_points_readers_back_and_forward_again(home: Home, place: Place) -> None:
    first, second = put(home, 1, place), put(home, 2, place, amount=5)
    roll_back(home, first, "a wrong price", NOW, place.target)
    assert seen(place.reader) == seen(DuckDBReader(home)) == first
    holds_what_the_home_holds(home, place)
    with pytest.raises(PublicationRefused, match="rolled back"):
        publish(home, second, REQUIRED, target=place.target)
    assert seen(place.reader) == first
    roll_back(home, second, "", NOW, place.target)
    assert seen(place.reader) == second
    third = put(home, 3, place)
    assert seen(place.reader) == third


def test_a_target_that_came_late_is_brought_the_whole_history(home: Home, place: Place) -> None:
    for number, day in ((1, FEBRUARY), (2, MARCH)):
        publish(home, make_candidate(home, number, day), REQUIRED)
    put(home, 3, place, MARCH, amount=4)
    holds_what_the_home_holds(home, place)


def test_a_publication_asked_for_again_changes_nothing(home: Home, place: Place) -> None:
    id_ = put(home, 1, place)
    publish(home, id_, REQUIRED, target=place.target)
    holds_what_the_home_holds(home, place)


def test_another_homes_publications_are_not_overtaken(home: Home, place: Place, tmp_path: Path) -> None:
    put(home, 1, place)
    stranger = Home(tmp_path / "stranger")
    id_ = make_candidate(stranger, 2)
    with pytest.raises(WarehouseError, match="this home never made"):
        publish(stranger, id_, REQUIRED, target=place.target)
    assert seen(place.reader) == publication_id(1)
    assert seen(DuckDBReader(stranger)) is None


def test_two_publishers_at_once_are_told_of_one_another(home: Home, place: Place) -> None:
    id_ = make_candidate(home, 1)
    with place.target.session("the first"), pytest.raises(LockHeld, match="another run publishes to"):
        publish(home, id_, REQUIRED, target=place.target)
    assert seen(place.reader) is None
    publish(home, id_, REQUIRED, target=place.target)


def test_what_is_shown_can_be_asked_while_somebody_publishes(home: Home, place: Place) -> None:
    assert place.target.shown() is None
    first = put(home, 1, place)
    with place.target.session("publish"):
        assert place.target.shown() == first


def steps_of(home: Home, id_: str, place: Place) -> list[str]:
    names: list[str] = []
    HOOKS[:] = [names.append]
    publish(home, id_, REQUIRED, keep=1, target=place.target)
    HOOKS.clear()
    return names


# Each point is a process of its own, since a connection can't be carried over a fork: 3 s a point, so that the quick run
# takes those around the publication itself.
_QUICK = ("load customer into postgres", "write customer as parquet", "swap link current",
          "commit the publication in postgres", "replace current.json")  # fmt: skip


def die_at_each_step(home: Home, place: Place, names_chosen: tuple[str, ...] | None) -> None:
    put(home, 1, place)
    names = steps_of(home, make_candidate(home, 2), place)
    number = 3
    for position, name in enumerate(names):
        if names_chosen is not None and name not in names_chosen:
            continue
        before = seen(place.reader)
        id_ = make_candidate(home, number)
        code = (
            "import os, signal\nfrom warehouse_sample import *\n"
            "from cvm_pipeline.warehouse.files import HOOKS\n"
            "from cvm_pipeline.warehouse.targets.parquet import ParquetTarget\n"
            "from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget\n"
            f"left = [{position}]\n"
            "def die(name):\n"
            "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    left[0] -= 1\n"
            f"HOOKS.append(die)\npublish(Home(Path({str(home.root)!r})), {id_!r}, REQUIRED, keep=1, target={place.code})\n"
        )
        prelude = f"import sys; sys.path[:0] = {HELPERS!r}\nfrom pathlib import Path\n"
        died = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, timeout=60)
        assert died.returncode == -9, (name, died.returncode, died.stderr)
        assert seen(place.reader) in (before, id_), name
        # The next run completes without hand work, whatever was left.
        number += 1
        put(home, number, place, keep=1)
        assert seen(place.reader) == seen(DuckDBReader(home)) == publication_id(number), name
        number += 1
    print(f"killed at {(number - 3) // 2} of {len(names)} steps")
    holds_what_the_home_holds(home, place)


def test_a_death_at_chosen_steps_leaves_readers_with_one_whole_publication(home: Home, place: Place) -> None:
    die_at_each_step(home, place, _QUICK)


@pytest.mark.long
def test_a_death_at_any_step_leaves_readers_with_one_whole_publication(home: Home, place: Place) -> None:
    die_at_each_step(home, place, None)
