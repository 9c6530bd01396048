from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from warehouse_sample import storage_version

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import WarehouseError, errors_explained
from cvm_pipeline.warehouse.work import SCHEMAS, EngineSettings, connect, read_batches, read_table, write_table

SCHEMA = pa.schema([("customer_id", pa.string()), ("amount", pa.decimal128(18, 4)), ("T", pa.int64())])


def batches(count: int, rows: int = 10) -> Iterator[pa.RecordBatch]:
    for number in range(count):
        yield pa.record_batch([[f"shop:{number}"] * rows, [Decimal("0.1000")] * rows, [number] * rows], schema=SCHEMA)


def test_the_work_file_has_every_schema_and_the_old_storage_format(home: Home) -> None:
    with connect(home, EngineSettings("500MB", 2)) as con:
        found = {row[0] for row in con.execute("select schema_name from duckdb_schemas()").fetchall()}
        assert set(SCHEMAS) <= found
        assert con.execute("select current_setting('threads'), current_catalog()").fetchone() == (2, "work")
    assert storage_version(home.work_file) == 65
    assert home.work_file.parent.stat().st_mode & 0o777 == 0o700


def test_money_comes_back_as_the_decimal_that_was_written(home: Home) -> None:
    with connect(home) as con:
        assert write_table(con, "value.customer", batches(3), SCHEMA) == 30
        result = read_table(con, "select * from value.customer order by all")
        assert result.schema == SCHEMA
        assert sum(result["amount"].to_pylist()) == Decimal("3.0000")
        assert not list(home.scratch.glob("*.parquet"))


def test_a_table_can_be_rewritten_from_its_own_rows_while_the_connection_is_used(home: Home) -> None:
    with connect(home) as con:
        write_table(con, "value.customer", batches(5), SCHEMA)

        def doubled() -> Iterator[pa.RecordBatch]:
            for batch in read_batches(con, 'select * from value.customer where "T" >= ?', rows=10, params=[0]):
                con.execute("select 1").fetchall()
                yield batch
                yield batch

        assert write_table(con, "value.customer", doubled(), SCHEMA) == 100
        assert con.execute("select count(*) from value.customer").fetchone() == (100,)


def test_an_empty_table_keeps_its_columns(home: Home) -> None:
    with connect(home) as con:
        assert write_table(con, "value.customer", [], SCHEMA) == 0
        assert read_table(con, "select * from value.customer").schema == SCHEMA


def test_a_failure_while_writing_leaves_the_earlier_table(home: Home) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(1)
        raise RuntimeError("the scorer failed")

    with connect(home) as con:
        write_table(con, "value.customer", batches(2), SCHEMA)
        with pytest.raises(RuntimeError, match="the scorer failed"):
            write_table(con, "value.customer", broken(), SCHEMA)
        assert con.execute("select count(*) from value.customer").fetchone() == (20,)
        assert not list(home.scratch.glob("*.parquet"))


def test_a_full_disk_is_named_with_place_and_remedy(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with connect(home) as con:
        monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
        with pytest.raises(
            WarehouseError, match=r"writing value.customer: .*scratch.*the disk is full\. Free some space"
        ):
            write_table(con, "value.customer", batches(1), SCHEMA)


def test_the_engines_own_disk_full_error_is_explained(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="the disk is full"), errors_explained("writing", tmp_path):
        duckdb.connect().execute("copy (select range from range(1000000)) to '/dev/full' (format csv)")


def test_an_unwritable_home_is_named_with_place_and_remedy(home: Home) -> None:
    home.root.parent.mkdir(parents=True, exist_ok=True)
    with (
        pytest.raises(WarehouseError, match=r"opening: /x: this user may not write there\. Change the folder's perm"),
        errors_explained("opening", Path("/x")),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
    home.root.write_text("a file where the home should be")
    with pytest.raises(WarehouseError, match=r"opening the work warehouse: .*work.duckdb: "), connect(home):
        pass


def test_a_work_file_open_elsewhere_names_the_process(
    home: Home, elsewhere: Callable[[str], subprocess.Popen[str]]
) -> None:
    other = elsewhere(
        "import time\nfrom cvm_pipeline.warehouse.work import connect\n"
        "with connect(home):\n    print('open', flush=True)\n    time.sleep(60)\n"
    )
    assert other.stdout and other.stdout.readline() == "open\n"
    with pytest.raises(WarehouseError, match=rf"process {other.pid} has the file open"), connect(home):
        pass


def test_a_file_that_is_no_database_is_named(home: Home) -> None:
    home.work_file.parent.mkdir(parents=True)
    home.work_file.write_text("not a database" * 1000)
    with pytest.raises(WarehouseError, match="the file is no DuckDB database"), connect(home):
        pass


@pytest.mark.parametrize("name", ["customer", "value.customer; drop table x", 'value."x"', ""])
def test_a_name_that_is_no_schema_and_table_is_refused(home: Home, name: str) -> None:
    with connect(home) as con, pytest.raises(ValueError, match=r"not a `schema\.table`"):
        write_table(con, name, batches(1), SCHEMA)


def test_a_mistake_in_sql_is_not_dressed_up_as_a_disk_problem(home: Home) -> None:
    with connect(home) as con, pytest.raises(duckdb.CatalogException):
        list(read_batches(con, "select * from nothing.here"))
