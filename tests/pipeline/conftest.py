"""Projects that many tests read: made and run once for all of them. Who writes into one takes a copy first."""

from __future__ import annotations

import datetime as dt

import pytest
from places import REPOSITORY, SHARED, Place
from small_shop import write_config, write_orders, write_shop

APRIL, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 31)


@pytest.fixture(scope="session")
def shop_in_april(tmp_path_factory):
    """The small shop with one published snapshot."""
    place = Place(write_shop(tmp_path_factory.mktemp("april") / "shop").parent)
    outcome = place.run(APRIL)
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture(scope="session")
def shop(shop_in_april, tmp_path_factory):
    """The small shop with two published snapshots of the grid."""
    place = shop_in_april.copy(tmp_path_factory.mktemp("may") / "shop")
    outcome = place.run(MAY)
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture(scope="session")
def one_time_buyers(tmp_path_factory):
    """A hundred customers who bought once each, published."""
    rows = [(f"k{n:03}", f"2024-0{1 + n % 4}-{1 + n % 28:02}", f"{10 + n}.50") for n in range(100)]
    place = Place(write_orders(tmp_path_factory.mktemp("once") / "base", rows).parent)
    outcome = place.run(APRIL)
    assert outcome.exit_code == 0, outcome.messages
    return place


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
