"""Projects that many tests read: made and run once for all of them. Who writes into one takes a copy first."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from places import REPOSITORY, SHARED, Place
from small_shop import write_config, write_orders, write_shop

APRIL, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 31)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Projects that are run once for all processes of a test session; each process gets a copy of its own."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], Place]) -> Place:
        kept = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                make(shared / f"{name}.making").folder.rename(kept)
        return Place(kept).copy(tmp_path_factory.mktemp(name) / name)

    return made


def published(place: Place, as_of: dt.date) -> Place:
    outcome = place.run(as_of)
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture(scope="session")
def shop_in_april(made_once):
    """The small shop with one published snapshot."""
    return made_once("april", lambda folder: published(Place(write_shop(folder).parent), APRIL))


@pytest.fixture(scope="session")
def shop(made_once, shop_in_april):
    """The small shop with two published snapshots of the grid."""
    return made_once("may", lambda folder: published(shop_in_april.copy(folder), MAY))


@pytest.fixture(scope="session")
def one_time_buyers(made_once):
    """A hundred customers who bought once each, published."""
    rows = [(f"k{n:03}", f"2024-0{1 + n % 4}-{1 + n % 28:02}", f"{10 + n}.50") for n in range(100)]
    return made_once("once", lambda folder: published(Place(write_orders(folder, rows).parent), APRIL))


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """A project of examples/ with a home of its own; its shared data are named by their absolute path."""

    def made(name: str) -> Place:
        text = (REPOSITORY / "examples" / f"{name}.yml").read_text(encoding="utf-8")
        if "shared/data" in text and not SHARED.is_dir():
            pytest.skip(f"{SHARED} is not here: the example {name} reads its files")
        text = text.replace("../../shared/data", str(SHARED)).replace(f"home: .cvm/{name}", "home: .cvm")
        folder = tmp_path_factory.mktemp(name)
        write_config(folder, text)
        return Place(folder)

    return made
