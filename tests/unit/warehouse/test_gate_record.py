from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from warehouse_sample import AS_OF, checks, publication_id

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.gate_record import (
    GateRecord,
    forget_old_records,
    newest_judged,
    newest_record,
    read_record,
    write_record,
)
from cvm_pipeline.warehouse.versions import new_publication_id

RECORD = GateRecord(publication_id(1), AS_OF, "hash", True, checks(), datetime(2026, 11, 22, tzinfo=UTC), "run-1")


def test_a_record_comes_back_as_it_was_written(home: Home) -> None:
    path = write_record(home, RECORD)
    assert read_record(home, publication_id(1)) == RECORD
    assert path == home.gate / f"{publication_id(1)}.json"
    assert sorted(found.name for found in home.gate.iterdir()) == [path.name, "newest"]


def test_there_is_no_record_of_a_candidate_that_was_not_judged(home: Home) -> None:
    assert read_record(home, publication_id(1)) is None
    assert newest_record(home) is None


def test_the_newest_record_is_that_of_the_candidate_judged_last_whatever_its_clock_said(home: Home) -> None:
    ahead = new_publication_id(datetime(2031, 1, 1, tzinfo=UTC))
    for id_ in (ahead, publication_id(2), publication_id(1)):
        write_record(home, replace(RECORD, publication_id=id_))
        newest = newest_record(home)
        assert newest is not None and newest.publication_id == newest_judged(home) == id_
    forget_old_records(home, keep=1)
    assert newest_judged(home) == publication_id(1) and read_record(home, publication_id(1)) is not None


def test_a_record_that_cannot_be_read_is_an_error_that_names_it(home: Home) -> None:
    path = write_record(home, RECORD)
    path.write_text('{"passed": true}')
    with pytest.raises(WarehouseError, match=rf"{path.name} is no gate record"):
        read_record(home, publication_id(1))


def test_an_instant_without_zone_and_an_id_that_is_a_path_are_refused(home: Home) -> None:
    with pytest.raises(ValueError, match="zone"):
        write_record(home, replace(RECORD, created_at=datetime(2026, 11, 22)))
    with pytest.raises(ValueError, match="not a publication id"):
        read_record(home, "../../etc/passwd")


def test_old_records_are_forgotten_and_the_newest_kept(home: Home) -> None:
    for number in (1, 2, 3):
        write_record(home, replace(RECORD, publication_id=publication_id(number)))
    forget_old_records(home, keep=2)
    assert sorted(path.stem for path in home.gate.glob("*.json")) == [publication_id(2), publication_id(3)]
