"""A person leaves every kept version, whole, whatever dies on the way; and a scan that could find them finds nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from warehouse_sample import (
    BEGIN,
    REQUIRED,
    Crash,
    crash_at,
    fill,
    judge_candidate,
    publication_id,
    publish_one,
    storage_version,
)

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.attempts import Attempt, last_attempts, record_attempt
from cvm_pipeline.warehouse.erasing import erase_from_versions, known_customers, personal_values, settle
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.gate_record import read_record
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.redacting import redact_records, redact_sqlite, redacted_document
from cvm_pipeline.warehouse.seal import changed_since_published, mark_stood
from cvm_pipeline.warehouse.traces import traces
from cvm_pipeline.warehouse.versions import tidy, versions
from cvm_pipeline.warehouse.work import connect

ID, EMAIL, NAME = "shop:1", "zebulon.quagmire@example.org", "Zebulon Quagmire"
REDACTION = Redaction([ID], [EMAIL, NAME])


def publish_with_person(home: Home, number: int) -> None:
    fill(home)
    with connect(home) as con:
        con.execute(f"update candidate.customer_pii set email = '{EMAIL}', name = '{NAME}' where customer_id = '{ID}'")
    publish(home, judge_candidate(home, number), REQUIRED)


def erase(home: Home) -> list[str]:
    return erase_from_versions(home, {ID}, REDACTION, None)


def customers_seen(home: Home) -> frozenset[str]:
    """The customers that readers see, the same in every table that has any."""
    seen = set()
    for table in (table for table in TABLES if "customer_id" in table.names):
        file = home.published_pii_file if table.schema == "cvm_pii" else home.published_file
        with duckdb.connect(str(file.resolve()), read_only=True) as con:
            rows = con.execute(f"select customer_id from {table.schema}.{table.name}").fetchall()
        seen.add(frozenset(row[0] for row in rows))
    assert len(seen) == 1, seen
    return seen.pop()


@pytest.fixture
def two_versions(home: Home) -> Home:
    for number in (1, 2):
        publish_with_person(home, number)
    shutil.rmtree(home.work_file.parent)
    return home


def test_no_byte_of_the_person_is_left_in_any_version(two_versions: Home) -> None:
    home = two_versions
    assert {path.name for path in traces(home, [EMAIL])} == {"pii.duckdb"}
    assert len(traces(home, [ID])) == 4
    assert personal_values(home, {ID}) == {(NAME, EMAIL, "phone", "2024-03-31")}
    assert erase(home) == [publication_id(1), publication_id(2)]
    assert traces(home, [EMAIL, NAME, ID]) == []
    assert known_customers(home, {ID, "shop:2"}) == {"shop:2"}
    assert customers_seen(home) == {"shop:0", "shop:2"}
    assert erase(home) == []


def test_a_version_written_anew_is_the_same_but_for_the_person(two_versions: Home) -> None:
    folder = two_versions.current.resolve()
    before = described(folder)
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    erase(two_versions)
    assert described(folder) == before
    assert {path.name: path.stat().st_mode for path in folder.iterdir()} == modes
    assert {storage_version(folder / name) for name in ("warehouse.duckdb", "pii.duckdb")} == {65}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from cvm.segment_summary").fetchall() == [(1,)]
    publish_one(two_versions, 3)
    assert len(versions(two_versions)) == 3


def test_the_seal_of_a_version_written_anew_is_its_own_and_hides_no_earlier_change(two_versions: Home) -> None:
    first, second = (two_versions.versions / publication_id(number) for number in (1, 2))
    (second / "warehouse.duckdb").chmod(0o644)
    with duckdb.connect(str(second / "warehouse.duckdb")) as con:
        con.execute("update cvm.customer_value set clv = 7")
    assert erase(two_versions) == [publication_id(1), publication_id(2)]
    assert changed_since_published(first) == changed_since_published(first, thoroughly=True) == []
    assert changed_since_published(second) == ["warehouse.duckdb"]


def described(folder: Path) -> list[tuple]:
    """Every column with its type, whether it may be null, and the comments."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(
            "select c.schema_name, c.table_name, column_name, data_type, is_nullable, c.comment, t.comment "
            "from duckdb_columns() c join duckdb_tables() t using (table_oid) where not c.internal order by all"
        ).fetchall()


def test_a_death_while_versions_are_built_anew_changes_nothing_and_asking_again_heals(two_versions: Home) -> None:
    home, names = two_versions, []
    for name in ("build", "rewrite pii.duckdb", "copy candidate.json", "name the new", "place the new"):
        HOOKS[:] = [lambda step, at=name: die() if step.startswith(at) else None]
        with pytest.raises(Crash):
            erase(home)
        HOOKS.clear()
        names.append(customers_seen(home))
    tidy(home)
    erase(home)
    assert names == [frozenset({"shop:0", "shop:1", "shop:2"})] * 5
    assert customers_seen(home) == {"shop:0", "shop:2"}
    assert traces(home, [EMAIL, NAME, ID]) == []


def die() -> None:
    raise Crash


def test_a_death_at_any_step_of_replacing_shows_readers_the_old_or_the_new_and_the_next_run_completes(
    tmp_path: Path,
) -> None:
    names: list[str] = []
    reference = plain_home(tmp_path / "reference")
    HOOKS[:] = [names.append]
    settle(reference)
    HOOKS.clear()
    assert names.count("swap link current") == 2
    for position, name in enumerate(names):
        home = plain_home(tmp_path / str(position))
        crash_at(position)
        with pytest.raises(Crash):
            settle(home)
        HOOKS.clear()
        read = {name: (home.current / name).read_text() for name in FILES}
        assert read in ({n: f"{k} {n}" for n in FILES} for k in ("old", "new")), name
        tidy(home)
        assert {path.read_text() for path in home.versions.glob("*/warehouse.duckdb")} == {"new warehouse.duckdb"}, name
        assert sorted(path.name for path in home.versions.iterdir()) == [publication_id(1), publication_id(2)], name
        assert home.current.resolve() == home.versions / publication_id(2), name
        assert not [path for path in home.root.rglob("*") if path.is_file() and path.read_text().startswith("old")], (
            name
        )


FILES = ("warehouse.duckdb", "pii.duckdb", "candidate.json")


def plain_home(root: Path) -> Home:
    """Two versions of plain text, the second standing, each with its successor whole and waiting."""
    home = Home(root)
    for number in (1, 2):
        for folder, kind in ((home.versions, "old"), (home.versions / ".erasing", "new")):
            (folder / publication_id(number)).mkdir(parents=True)
            for name in FILES:
                (folder / publication_id(number) / name).write_text(f"{kind} {name}")
            mark_stood(folder / publication_id(number), BEGIN)
    home.current.symlink_to(f"versions/{publication_id(2)}")
    return home


def test_settling_where_nothing_died_does_nothing(two_versions: Home) -> None:
    settle(two_versions)
    assert len(versions(two_versions)) == 2


def test_a_reader_that_keeps_a_file_open_reads_it_to_its_end(two_versions: Home) -> None:
    with duckdb.connect(str(two_versions.published_file.resolve()), read_only=True) as con:
        erase(two_versions)
        assert con.execute("select count(*) from cvm.customer_value").fetchall() == [(3,)]


def test_gate_records_and_the_log_of_runs_lose_the_person(two_versions: Home) -> None:
    home, id_ = two_versions, publication_id(2)
    path = home.gate / f"{id_}.json"
    told = path.read_text().replace(
        '"observed": 3,', f'"observed": 3, "failing_rows": [{{"customer_id": "{ID}", "amount": "1"}}],', 1
    )
    path.write_text(told)
    record_attempt(home, Attempt("r", None, BEGIN, BEGIN, "failed", f"customers: {EMAIL} of {ID} is wrong"))
    assert redact_records(home, REDACTION) == 2
    assert traces(home, [ID], leave_out=home.versions.glob("*/*")) == []
    record = read_record(home, id_)
    assert record is not None
    assert record.checks[0]["failing_rows"] == [{"customer_id": "[forgotten]", "amount": "1"}]
    assert last_attempts(home)[0].reason == "customers: [forgotten] of [forgotten] is wrong"
    assert redact_records(home, REDACTION) == 0


def test_a_document_that_does_not_name_the_person_is_the_same_text() -> None:
    assert redacted_document('{"a" :  1}', REDACTION) == '{"a" :  1}'
    assert redacted_document("{broken", Redaction([], [])) == "{broken"
    assert redacted_document(f'["{ID}"]', REDACTION) == '["[forgotten]"]'


def test_a_sqlite_file_of_events_keeps_no_page_of_the_person(home: Home) -> None:
    home.dagster.mkdir(parents=True)
    path = home.dagster / "events.db"
    long = "x" * 9000
    with closing(sqlite3.connect(path)) as con:
        con.execute("create table events (id integer primary key, event text)")
        con.execute(
            "insert into events (event) values (?)",
            [f'{{"md": "| id |\\n|---|\\n| {ID} |\\n| shop:2 |", "pad": "{long}"}}'],
        )
        con.execute("insert into events (event) values (?)", [f"{long}{EMAIL}"])
        con.commit()
    assert traces(home, [ID]) == traces(home, [EMAIL]) == [path]
    assert redact_sqlite(home.dagster, REDACTION) == 1
    assert traces(home, [ID, EMAIL]) == []
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("select event ->> '$.md' from events where id = 1").fetchall() == [
            ("| id |\n|---|\n| shop:2 |",)
        ]
    assert redact_sqlite(home.dagster, REDACTION) == 0


def test_the_scan_finds_an_id_as_a_whole_word_in_every_kind_of_file(home: Home) -> None:
    home.root.mkdir(parents=True)
    for name, text in (
        ("theirs", "failed at cust-1, as before"),
        ("others", "cust-10, xcust-1 and cust-1-b are others"),
    ):
        (home.root / f"{name}.txt").write_text(text)
        pq.write_table(pa.table({"n": [text]}), home.root / f"{name}.parquet")
        with duckdb.connect(str(home.root / f"{name}.duckdb")) as con:
            con.execute("create table t as select ? as n", [text])
        with closing(sqlite3.connect(home.root / f"{name}.db")) as con:
            con.execute("create table t (n text)")
            con.execute("insert into t values (?)", [text])
            con.commit()
    found = [path.name for path in traces(home, [], words=["cust-1"])]
    assert found == [f"theirs.{kind}" for kind in ("db", "duckdb", "parquet", "txt")]


def test_the_scan_reads_what_column_stores_compress(home: Home) -> None:
    home.root.mkdir(parents=True)
    names = [f"Zebulon Quagmire the {n % 7}th of his name" for n in range(20_000)]
    pq.write_table(pa.table({"n": names}), home.root / "a.parquet", compression="zstd")
    with duckdb.connect(str(home.root / "b.duckdb")) as con:
        con.execute(
            "create table t as select 'Zebulon Quagmire the ' || (range % 7) || 'th of his name' as n from range(20000)"
        )
    (home.root / "c.txt").write_text("y" * (1 << 22) + "Zebulon Quagmire the 6th of his name")
    found = traces(home, ["Zebulon Quagmire the 6th of his"])
    assert [path.name for path in found] == ["a.parquet", "b.duckdb", "c.txt"]
    assert traces(home, ["Zebulon Quagmire the 8th"]) == traces(home, []) == []
