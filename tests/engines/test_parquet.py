"""A folder of Parquet files as its owner meets it: what is his stays, and what is named is on the disk."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from readers import DuckDBReader, ParquetReader
from warehouse_sample import REQUIRED, make_candidate, publication_id

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.errors import LockHeld
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget

FEBRUARY, MARCH = date(2024, 2, 29), date(2024, 3, 31)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "new" / "lake"


def put(home: Home, lake: Path, number: int, as_of: date = MARCH, keep: int = 10) -> None:
    assert publish(home, make_candidate(home, number, as_of), REQUIRED, keep, ParquetTarget(lake)).leftovers == ""


def files_of(lake: Path, name: str) -> list[Path]:
    return [lake / file for file in json.loads((lake / "current.json").read_text())["tables"][name]["files"]]


def holds_what_the_home_holds(home: Home, lake: Path) -> None:
    for table in TABLES:
        assert ParquetReader(lake).rows(table) == DuckDBReader(home).rows(table), table.name


def test_what_lies_beside_the_tables_is_never_removed(home: Home, lake: Path) -> None:
    put(home, lake, 1)
    theirs = [
        lake / folder / "publication_id=x" / "part-0.parquet"
        for folder in ("cvm_backup_of_march/customer", "cvm_other/sales/as_of_date=2024-03-31", "cvm/customer_copy",
                       "cvm/customer/backup", "cvm_pii/letters")
    ]  # fmt: skip
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    put(home, lake, 2, keep=1)
    with ParquetTarget(lake).session("test") as session:
        session.erase({"shop:1"}, Redaction(["shop:1"], []))
    assert [path for path in theirs if not path.exists()] == []
    # And ours went: of each table there are only the parts that are named.
    parts = {path for table in TABLES for path in (lake / table.schema / table.name).rglob("part-*.parquet")}
    assert parts - set(theirs) == {path for table in TABLES for path in files_of(lake, table.name)}


def test_a_table_that_left_the_contract_goes_with_the_last_version_that_named_it(home: Home, lake: Path) -> None:
    put(home, lake, 1)
    old = lake / "cvm" / "retired_table" / f"publication_id={publication_id(1)}" / "part-0.parquet"
    old.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), old)
    manifest = lake / "manifests" / f"{publication_id(1)}.json"
    content = json.loads(manifest.read_text())
    content["tables"]["retired_table"] = {"schema": "cvm", "rows": 1, "columns": {"x": "bigint"},
                                          "files": [str(old.relative_to(lake))]}  # fmt: skip
    manifest.write_text(json.dumps(content))
    put(home, lake, 2)
    assert old.exists()
    put(home, lake, 3, keep=2)
    assert not old.exists() and not manifest.exists()


def test_a_part_whose_column_was_retyped_is_written_anew_beside_the_old_one(home: Home, lake: Path) -> None:
    put(home, lake, 1, FEBRUARY)
    (path,) = files_of(lake, "customer_value_history")
    # As an earlier contract, in which clv was text, would have left it.
    rows = pq.read_table(path)
    at = rows.column_names.index("clv")
    pq.write_table(rows.set_column(at, "clv", rows["clv"].cast(pa.string())), path)
    put(home, lake, 2, MARCH)
    named = [str(file) for file in files_of(lake, "customer_value_history")]
    assert len(named) == 2 and str(path) not in named
    assert duckdb.execute("select distinct typeof(clv) from read_parquet(?)", [named]).fetchall() == [
        ("DECIMAL(18,4)",)
    ]
    holds_what_the_home_holds(home, lake)
    # The earlier version's file stays as long as that version does.
    assert path.exists()
    put(home, lake, 3, MARCH, keep=2)
    assert not path.exists()
    holds_what_the_home_holds(home, lake)


def test_a_column_that_is_new_leaves_earlier_parts_as_they_are(home: Home, lake: Path) -> None:
    put(home, lake, 1, FEBRUARY)
    (path,) = files_of(lake, "customer_value_history")
    pq.write_table(pq.read_table(path).drop_columns(["interval_basis"]), path)
    put(home, lake, 2, MARCH)
    assert path in files_of(lake, "customer_value_history")
    assert len(ParquetReader(lake).rows(next(t for t in TABLES if t.name == "customer_value_history"))) == 6


@pytest.mark.parametrize("damage", ["emptied", "cut off", "removed"])
def test_a_file_that_is_not_what_was_written_is_brought_level(home: Home, lake: Path, damage: str) -> None:
    put(home, lake, 1, FEBRUARY)
    (path,) = files_of(lake, "customer_value_history")
    if damage == "emptied":
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    put(home, lake, 2, MARCH)
    holds_what_the_home_holds(home, lake)


def test_personal_data_are_readable_by_their_owner_alone_however_often_they_are_written(home: Home, lake: Path) -> None:
    put(home, lake, 1)
    (path,) = files_of(lake, "customer_pii")
    with ParquetTarget(lake).session("test") as session:
        session.erase({"shop:1"}, Redaction(["shop:1"], []))
    put(home, lake, 2)
    (other,) = files_of(lake, "customer_pii")
    assert path != other
    for found in (lake / "cvm_pii", *(lake / "cvm_pii").rglob("*")):
        assert stat.S_IMODE(found.stat().st_mode) & 0o077 == 0, found


def test_everything_that_is_named_is_on_the_disk_before_its_name(
    home: Home, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel's calls: what each folder held when it was last synced, and which files were."""
    entries: dict[int, dict[str, int]] = {}
    contents: set[int] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        path, inode = Path(f"/proc/self/fd/{descriptor}").readlink(), os.fstat(descriptor).st_ino
        if path.is_dir():
            entries[inode] = {entry.name: entry.lstat().st_ino for entry in path.iterdir()}
        else:
            contents.add(inode)

    looked: set[str] = set()
    missing: list[str] = []

    def look(step: str) -> None:
        # The gate's records bear the same names.
        if not list((lake / "manifests").glob(f".{step.removeprefix('replace ')}.*")):
            return
        looked.add(step)
        for path in (lake.parent, *lake.parent.rglob("[!.]*")):
            inode = path.stat().st_ino
            if entries.get(path.parent.stat().st_ino, {}).get(path.name) != inode:
                missing.append(f"the name {path}")
            if path.is_file() and inode not in contents:
                missing.append(f"the content of {path}")

    monkeypatch.setattr(os, "fsync", fsync)
    HOOKS[:] = [look]
    for number in (1, 2):
        put(home, lake, number)
    HOOKS.clear()
    assert len(looked) == 2
    assert missing == []


def test_two_publishers_are_told_of_process_host_and_time(home: Home, lake: Path) -> None:
    id_ = make_candidate(home, 1)
    told = rf"`cvm the first`, process {os.getpid()} on {re.escape(socket.gethostname())} since 20..-..-.. ..:..:.. UTC"
    with ParquetTarget(lake).session("the first"), pytest.raises(LockHeld, match=told):
        publish(home, id_, REQUIRED, target=ParquetTarget(lake))
    publish(home, id_, REQUIRED, target=ParquetTarget(lake))


def test_a_forked_child_does_not_keep_the_folder_held(lake: Path) -> None:
    into, out = os.pipe()
    with ParquetTarget(lake).session("the first"):
        child = os.fork()
        if child == 0:
            os.close(out)
            os.read(into, 1)
            os._exit(0)
    os.close(into)
    with ParquetTarget(lake).session("the second"):
        pass
    os.close(out)
    os.waitpid(child, 0)
