from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from warehouse_sample import AS_OF, BEGIN, publication_id, publish_one

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.versions import (
    Snapshot,
    new_publication_id,
    open_standing,
    read_memory,
    snapshots,
    standing,
    versions,
)

EARLIER = date(2024, 2, 29)


def test_ids_are_readable_and_sort_by_time() -> None:
    assert new_publication_id(datetime(2026, 11, 22, 13, 45, 1, tzinfo=UTC), "3f2a") == "2026-11-22T134501Z-3f2a"
    tokyo = datetime(2026, 11, 22, 22, 45, 1, tzinfo=timezone(timedelta(hours=9)))
    assert new_publication_id(tokyo, "3f2a") == "2026-11-22T134501Z-3f2a"
    made = [new_publication_id(BEGIN + timedelta(seconds=7 * number)) for number in range(20)]
    assert made == sorted(made)
    with pytest.raises(ValueError, match="zone"):
        new_publication_id(datetime(2026, 11, 22))
    with pytest.raises(ValueError, match="not a publication id"):
        new_publication_id(BEGIN, "../x")


def test_a_new_home_has_nothing_to_read(home: Home) -> None:
    assert standing(home) is None
    assert versions(home) == [] and snapshots(home) == []
    assert read_memory(home, AS_OF) is None
    with open_standing(home) as con:
        assert con is None


def test_versions_tell_what_was_published_newest_first(home: Home) -> None:
    publish_one(home, 1, EARLIER)
    publish_one(home, 2, AS_OF)
    newest, oldest = versions(home)
    assert (newest.publication_id, newest.as_of_date, newest.is_current) == (publication_id(2), AS_OF, True)
    assert (oldest.publication_id, oldest.as_of_date, oldest.is_current) == (publication_id(1), EARLIER, False)
    assert newest.published_at == BEGIN + timedelta(seconds=2)
    assert newest.size > 100_000


def test_memory_and_snapshots_come_from_the_standing_history(home: Home) -> None:
    publish_one(home, 1, AS_OF, customers=3)
    publish_one(home, 2, EARLIER, customers=2)
    assert snapshots(home) == [Snapshot(EARLIER, publication_id(2), 2), Snapshot(AS_OF, publication_id(1), 3)]
    memory = read_memory(home, EARLIER)
    assert memory is not None
    assert memory.to_pylist() == [
        {"customer_id": f"shop:{n}", "value_tier": "A", "lifecycle_stage": "prospect"}
        | {"stage_since": EARLIER, "last_order_date": EARLIER}
        for n in range(2)
    ]
    assert read_memory(home, date(2020, 1, 31)) is None


def test_a_current_that_points_at_nothing_is_an_error_and_not_a_new_beginning(home: Home) -> None:
    published = publish_one(home, 1)
    published.folder.rename(published.folder.with_name("moved"))
    with pytest.raises(WarehouseError, match="holds no published version"):
        standing(home)
    home.current.unlink()
    home.current.mkdir()
    with pytest.raises(WarehouseError, match="is no symlink"):
        standing(home)


def test_a_home_can_be_moved_whole(home: Home) -> None:
    publish_one(home, 1)
    moved = Home(home.root.with_name("moved"))
    home.root.rename(moved.root)
    folder = standing(moved)
    assert folder is not None and folder.is_relative_to(moved.root)
    assert moved.published_file.is_file()
