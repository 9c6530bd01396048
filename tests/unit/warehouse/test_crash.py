"""A run that dies at any step leaves readers with one whole publication and the next run with a clean house."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from warehouse_sample import (
    REQUIRED,
    Crash,
    crash_at,
    fill,
    judge_candidate,
    make_candidate,
    publication_id,
    publish_one,
)

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.versions import versions

FIRST, SECOND, THIRD = (publication_id(number) for number in (1, 2, 3))


def steps_of(work: Callable[[], object]) -> list[str]:
    names: list[str] = []
    HOOKS[:] = [names.append]
    work()
    HOOKS.clear()
    return names


def seen(home: Home) -> str | None:
    """The one publication that readers see in every table; None where there is none yet."""
    if not home.published_file.exists():
        assert not home.published_pii_file.exists()
        return None
    found = set()
    for table in TABLES:
        if table.writing != "log":
            file = home.published_pii_file if table.schema == "cvm_pii" else home.published_file
            with duckdb.connect(str(file), read_only=True) as con:
                rows = con.execute(f"select publication_id from {table.schema}.{table.name}").fetchall()
            assert rows
            found.update(row[0] for row in rows)
    assert len(found) == 1
    return str(found.pop())


def is_clean(home: Home, kept: list[str]) -> None:
    assert [version.publication_id for version in versions(home)] == kept
    assert sorted(path.name for path in home.versions.iterdir()) == sorted(kept)
    assert sorted(path.name for path in home.warehouse.iterdir()) == [
        "current", "pii.duckdb", "versions", "warehouse.duckdb",
    ]  # fmt: skip
    for id_ in kept:
        names = sorted(path.name for path in (home.versions / id_).iterdir())
        assert names == ["candidate.json", "pii.duckdb", "published.json", "warehouse.duckdb"]


def first(home: Home) -> str | None:
    return publish_one(home, 1).publication_id


@pytest.fixture
def two_steps_in(tmp_path: Path) -> Home:
    """A home where the first publication stands and the second is judged."""
    home = Home(tmp_path / "prepared")
    first(home)
    make_candidate(home, 2)
    return home


def copy_of(home: Home, name: str) -> Home:
    return Home(Path(shutil.copytree(home.root, home.root.with_name(name), symlinks=True)))


def test_an_error_at_any_step_of_the_whole_way_leaves_what_stands(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first(home)
    reference = copy_of(home, "reference")
    fill(home)
    fill(reference)
    names = steps_of(lambda: publish(reference, judge_candidate(reference, 2), REQUIRED, keep=1))
    assert {"copy pii.duckdb", "checkpoint the candidate", "rename the candidate", f"retire {FIRST}"} <= set(names)
    # Up to the swap a crash changes nothing for readers, so that one home bears them all, as it would in life.
    # Every third: `test_a_kill_at_every_step...` takes them all.
    for position in range(0, names.index("swap link current") + 1, 3):
        crash_at(position)
        with pytest.raises(Crash):
            publish(home, judge_candidate(home, 2), REQUIRED, keep=1)
        HOOKS.clear()
        assert seen(home) == FIRST, names[position]
    publish_one(home, 2, keep=1)
    is_clean(home, [SECOND])
    assert seen(home) == SECOND


def test_a_death_at_any_step_of_the_first_publication_shows_all_or_nothing(tmp_path: Path) -> None:
    prepared = Home(tmp_path / "prepared")
    make_candidate(prepared, 1)
    names = steps_of(lambda: publish(copy_of(prepared, "reference"), FIRST, REQUIRED))
    swap = names.index("swap link current")
    for position, name in enumerate(names):
        home = copy_of(prepared, str(position))
        die(home, FIRST, position, "kill")
        assert seen(home) == (None if position <= swap else FIRST), name
        publish(home, FIRST, REQUIRED)
        is_clean(home, [FIRST])


@pytest.mark.parametrize("how", ["error", "kill"])
def test_a_death_at_any_step_of_publishing_is_healed_by_asking_again(two_steps_in: Home, how: str) -> None:
    names = steps_of(lambda: publish(copy_of(two_steps_in, "reference"), SECOND, REQUIRED, keep=1))
    swap = names.index("swap link current")
    for position, name in enumerate(names):
        home = copy_of(two_steps_in, str(position))
        die(home, SECOND, position, how)
        assert seen(home) == (FIRST if position <= swap else SECOND), name
        assert publish(home, SECOND, REQUIRED, keep=1).leftovers == ""
        is_clean(home, [SECOND])


def test_a_death_at_any_step_of_publishing_is_healed_by_the_next_run(two_steps_in: Home) -> None:
    names = steps_of(lambda: publish(copy_of(two_steps_in, "reference"), SECOND, REQUIRED, keep=1))
    swap = names.index("swap link current")
    for position in range(len(names)):
        home = copy_of(two_steps_in, str(position))
        die(home, SECOND, position, "kill")
        publish_one(home, 3, keep=2)
        is_clean(home, [THIRD, FIRST] if position <= swap else [THIRD, SECOND])
        assert seen(home) == THIRD


def die(home: Home, id_: str, position: int, how: str) -> None:
    if how == "error":
        crash_at(position)
        with pytest.raises(Crash):
            publish(home, id_, REQUIRED, keep=1)
        HOOKS.clear()
        return
    # Publishing opens no database, so that a forked child may do it: nothing of DuckDB's threads is needed.
    child = os.fork()
    if child == 0:
        left = [position]

        def kill(_: str) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        try:
            HOOKS[:] = [kill]
            publish(home, id_, REQUIRED, keep=1)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(
    "name", ["copy warehouse.duckdb", "write customer_value", "checkpoint the candidate", "seal the candidate"]
)
def test_a_kill_while_a_candidate_is_built_leaves_nothing_behind(
    home: Home, elsewhere: Callable[[str], subprocess.Popen[str]], name: str
) -> None:
    first(home)
    other = elsewhere(
        "import os, signal\nfrom cvm_pipeline.warehouse.files import HOOKS\n"
        f"HOOKS.append(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == {name!r} else None)\n"
        "publish_one(home, 2)\n"
    )
    _, errors = other.communicate(timeout=60)
    assert other.returncode == -signal.SIGKILL, errors
    assert seen(home) == FIRST
    publish_one(home, 3)
    is_clean(home, [THIRD, FIRST])
    assert seen(home) == THIRD


_WHOLE_WAY = """
import os, signal, threading
from cvm_pipeline.warehouse.files import HOOKS
left, after, number, keep = {left}, {after}, {number}, 1
def die(name=None):
    os.kill(os.getpid(), signal.SIGKILL)
def step(name):
    global left
    if left == 0: die()
    left -= 1
if left is not None:
    HOOKS.append(step)
fill(home, amount=number)
if after is not None:
    threading.Timer(after, die).start()
publish_one(home, number, keep=keep)
"""


def survives(
    home: Home, elsewhere: Callable[[str], subprocess.Popen[str]], number: int, left: object, after: object
) -> int:
    """Kill a whole publication, then publish again; returns whether the process was killed in time."""
    before = seen(home)
    other = elsewhere(_WHOLE_WAY.format(left=left, after=after, number=number))
    other.communicate(timeout=120)
    assert seen(home) in (before, publication_id(number)), (left, after)
    publish_one(home, number + 1, keep=1)
    is_clean(home, [publication_id(number + 1)])
    assert seen(home) == publication_id(number + 1)
    return other.returncode == -signal.SIGKILL


@pytest.mark.long
def test_a_kill_at_every_step_and_at_random_times_of_the_whole_way(
    home: Home, elsewhere: Callable[[str], subprocess.Popen[str]]
) -> None:
    first(home)
    names = steps_of(lambda: publish_one(home, 2, keep=1))
    number, killed = 3, 0
    for position in range(len(names)):
        assert survives(home, elsewhere, number, position, None), names[position]
        number, killed = number + 2, killed + 1
    for moment in random.Random(4).choices(range(1, 700), k=40):
        killed += survives(home, elsewhere, number, None, moment / 1000)
        number += 2
    print(f"killed {killed} times, at {len(names)} steps and at random")
    assert killed >= 50


def test_a_rest_that_cannot_be_removed_does_not_call_the_publication_failed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(home)
    id_ = make_candidate(home, 2)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("cvm_pipeline.warehouse.files.shutil.rmtree", refuse)
    published = publish(home, id_, REQUIRED, keep=1)
    assert "could not be removed" in published.leftovers
    assert seen(home) == SECOND
