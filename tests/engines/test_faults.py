"""A disk that is full, a permission that is gone: at every step of the way, in every place, readers keep what they have."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import duckdb
import pytest
from readers import DuckDBReader, ParquetReader, seen
from warehouse_sample import REQUIRED, fill, judge_candidate, make_candidate, publication_id

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget

FAULTS = {errno.ENOSPC: "the disk is full", errno.EACCES: "may not write there"}


# Where DuckDB writes, it is DuckDB's error that comes.
OF_THE_ENGINE = {"attach the work file", "checkpoint the candidate", *(f"write {table.name}" for table in TABLES)}


def fail_at(position: int, number: int) -> None:
    """Fail at the so-many-th step, and at no later one."""
    left = [position]

    def hook(name: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            said = os.strerror(number)
            raise duckdb.IOException(f"IO Error: {said}") if name in OF_THE_ENGINE else OSError(number, said)

    HOOKS[:] = [hook]


# Files have five times the steps of one database.
@pytest.mark.parametrize(("where", "every"), [("duckdb", 17), ("parquet", 61)])
def test_a_fault_at_chosen_steps_is_told_and_changes_nothing(
    home: Home, tmp_path: Path, where: str, every: int
) -> None:
    fail_at_each_step(home, tmp_path, errno.ENOSPC, where, every)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=["disk full", "permission lost"])
@pytest.mark.parametrize("where", ["duckdb", "parquet"])
def test_a_fault_at_any_step_is_told_and_changes_nothing(home: Home, tmp_path: Path, fault: int, where: str) -> None:
    fail_at_each_step(home, tmp_path, fault, where, every=1)


def fail_at_each_step(home: Home, tmp_path: Path, fault: int, where: str, every: int) -> None:
    target = ParquetTarget(tmp_path / "files") if where == "parquet" else None
    readers = [DuckDBReader(home), ParquetReader(tmp_path / "files")][: 1 if target is None else 2]
    publish(home, make_candidate(home, 1), REQUIRED, target=target)
    fill(home)
    names: list[str] = []
    HOOKS[:] = [names.append]
    publish(home, judge_candidate(home, 2), REQUIRED, keep=1, target=target)
    HOOKS.clear()
    stands, number = publication_id(2), 3
    assert len(names) > 30
    for position, name in list(enumerate(names))[::every]:
        id_ = publication_id(number)
        fail_at(position, fault)
        try:
            # What can't be cleared away after the publication does not call it failed.
            told = publish(home, judge_candidate(home, number), REQUIRED, keep=1, target=target).leftovers
        except WarehouseError as error:
            told = str(error)
        HOOKS.clear()
        assert FAULTS[fault] in told or os.strerror(fault) in told, (name, told)
        for reader in readers:
            assert seen(reader) in (stands, id_), name
        number += 1
        publish(home, judge_candidate(home, number), REQUIRED, keep=1, target=target)
        stands = publication_id(number)
        assert [seen(reader) for reader in readers] == [stands] * len(readers), name
        number += 1
    print(f"failed at {(number - 3) // 2} of {len(names)} steps")


def test_a_real_disk_without_room_is_told(home: Home, tmp_path: Path) -> None:
    """Not a fault that we raise: the kernel's own, on a small file system, where this user may mount one."""
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or os.system(f"mount -t tmpfs -o size=3m tmpfs {small} 2>/dev/null"):
        pytest.skip("only root may mount a small file system")
    try:
        target = ParquetTarget(small)
        publish(home, make_candidate(home, 1), REQUIRED, target=target)
        (small / "ballast").write_bytes(
            b"\0" * (3 * 2**20 - 200_000 - sum(p.stat().st_size for p in small.rglob("*.*") if p.is_file()))
        )
        with pytest.raises(WarehouseError, match="the disk is full"):
            for number in range(2, 40):
                publish(home, make_candidate(home, number), REQUIRED, target=target)
        stands = seen(ParquetReader(small))
        assert stands is not None
        (small / "ballast").unlink()
        publish(home, make_candidate(home, 50), REQUIRED, target=target)
        assert seen(ParquetReader(small)) == publication_id(50)
    finally:
        os.system(f"umount {small}")
