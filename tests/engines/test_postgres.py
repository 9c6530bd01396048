"""PostgreSQL as its readers meet it: nobody waits, nobody sees a mix, and nobody may do more than his role."""

from __future__ import annotations

import time
from datetime import date
from urllib.parse import quote

import psycopg
import pytest
from postgres_server import PASSWORD, ask, login, with_parts
from warehouse_sample import REQUIRED, make_candidate, publication_id

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.warehouse.errors import TargetUnreachable, WarehouseError
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget

STANDS = "select publication_id from cvm.current_publication"


def put(home: Home, number: int, dsn: str, as_of: date = date(2024, 3, 31), keep: int = 10) -> str:
    id_ = make_candidate(home, number, as_of)
    publish(home, id_, REQUIRED, keep, PostgresTarget(dsn))
    return id_


def test_a_long_transaction_sees_no_change_and_holds_nobody_up(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(admin_dsn) as reader:
        reader.execute("set transaction isolation level repeatable read read only")
        before = reader.execute(STANDS).fetchall()
        started = time.monotonic()
        put(home, 2, dsn, keep=1)
        # Nothing waited for the reader: a wait would have lasted until the lock's time was over.
        assert time.monotonic() - started < 8
        # A new reader waits for nobody and sees the new publication.
        assert ask(admin_dsn, STANDS) == [(publication_id(2),)]
        assert reader.execute(STANDS).fetchall() == before == [(publication_id(1),)]
        assert reader.execute("select distinct publication_id from cvm.customer_value").fetchall() == before


def test_one_open_statement_never_sees_a_change(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(admin_dsn) as reader, reader.cursor(name="slow") as cursor:
        cursor.execute("select publication_id from cvm.customer_value")
        first = cursor.fetchone()
        put(home, 2, dsn)
        assert [first, *cursor.fetchall()] == [(publication_id(1),)] * 3


def test_a_session_can_stay_on_one_publication(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(login(admin_dsn, "staying", "cvm_reader"), autocommit=True) as reader:
        assert reader.execute("select cvm.stay_on()").fetchall() == [(publication_id(1),)]
        put(home, 2, dsn)
        assert reader.execute(STANDS).fetchall() == [(publication_id(1),)]
        assert reader.execute("select distinct publication_id from cvm.customer_value").fetchall() == [
            (publication_id(1),)
        ]
        assert reader.execute("select cvm.move_on()").fetchall() == [(publication_id(2),)]
        assert reader.execute(STANDS).fetchall() == [(publication_id(2),)]
        reader.execute("select cvm.stay_on(%s)", [publication_id(1)])
        put(home, 3, dsn, keep=1)
        with pytest.raises(psycopg.errors.RaiseException, match="no longer kept"):
            reader.execute(STANDS)
        with pytest.raises(psycopg.errors.RaiseException, match="there is no publication"):
            reader.execute("select cvm.stay_on('never')")


def test_names_are_lower_case_and_comments_say_what_they_mean(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    assert ask(admin_dsn, "select t from cvm.customer_value limit 1") == [(1,)]
    told = ask(
        admin_dsn,
        "select col_description('cvm.customer_value'::regclass, 1), obj_description('cvm.customer'::regclass)",
    )
    assert told[0][0].startswith("Snapshot:") and told[0][1].startswith("One row per customer")


@pytest.mark.parametrize(
    "statement",
    [
        "select * from cvm_pii.customer_pii",
        "select * from cvm_store.customer_value",
        "select * from cvm_store.part",
        "select * from cvm_store_pii.customer_pii",
        "delete from cvm.customer_value",
        "insert into cvm.current_publication values ('x', now(), now())",
        "update cvm_store.standing set publication_id = 'x'",
        "create table cvm.mine (x int)",
        "create view cvm.mine as select 1",
        "drop view cvm.customer_value",
        "create or replace function cvm.stay_on(publication_id text) returns text language sql as 'select 1'",
        "create schema mine",
        "create role mine",
        "set role cvm_writer",
    ],
)
def test_a_reader_may_read_and_no_more(home: Home, dsn: str, admin_dsn: str, statement: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(login(admin_dsn, "bi", "cvm_reader"), autocommit=True) as reader:
        for table in TABLES:
            if table.schema == "cvm":
                assert reader.execute(f"select count(*) from cvm.{table.name}").fetchall()
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
            reader.execute(statement)


def test_who_may_read_personal_data_reads_them_and_writes_nothing(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(login(admin_dsn, "dpo", "cvm_pii_reader"), autocommit=True) as reader:
        assert reader.execute("select count(*) from cvm_pii.customer_pii").fetchall() == [(3,)]
        assert reader.execute("select count(*) from cvm.customer_value").fetchall() == [(3,)]
        for statement in ("delete from cvm_pii.customer_pii", "select * from cvm_store_pii.customer_pii"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


@pytest.mark.parametrize(
    "statement", ["create role mine", "create database mine", "create schema mine", "alter role cvm_reader login"]
)
def test_the_writer_may_write_its_schemas_and_no_more(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("set role cvm_writer")
        writer.execute(statement)


def test_the_setup_can_be_repeated(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    PostgresTarget(admin_dsn).set_up()
    put(home, 2, dsn)
    assert ask(admin_dsn, STANDS) == [(publication_id(2),)]


def test_without_the_setup_the_message_says_who_must_do_what(home: Home, admin_dsn: str) -> None:
    id_ = make_candidate(home, 1)
    bare = login(admin_dsn, "nobody", "pg_monitor")
    with pytest.raises(WarehouseError, match="cvm doctor --setup-warehouse"):
        publish(home, id_, REQUIRED, target=PostgresTarget(bare))


def test_a_password_is_in_no_message(home: Home, dsn: str) -> None:
    id_ = make_candidate(home, 1)
    for wrong in (
        with_parts(dsn, user="stranger", password=PASSWORD),
        with_parts(dsn, database="nowhere"),
        f"postgresql://etl:{quote(PASSWORD)}@127.0.0.1:1/x",
        f"postgresql://127.0.0.1:1/x?user=etl&password={quote(PASSWORD)}",
    ):
        with pytest.raises(WarehouseError) as error:
            publish(home, id_, REQUIRED, target=PostgresTarget(wrong))
        text = f"{error.value} {error.value.__cause__} {error.value.__context__}"
        assert PASSWORD not in text and "s3cr" not in text
        assert "PostgreSQL at" in text


@pytest.mark.parametrize("at", ["commit the parts in postgres", "load customer_value_history into postgres",
                                "point postgres to the version", "commit the publication in postgres"])  # fmt: skip
def test_a_cut_connection_leaves_the_earlier_publication_and_another_try_heals(
    home: Home, dsn: str, admin_dsn: str, at: str
) -> None:
    put(home, 1, dsn)
    id_ = make_candidate(home, 2)

    def cut(name: str) -> None:
        if name == at:
            HOOKS.clear()
            ask(
                admin_dsn,
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'cvm publish%%'",
            )

    HOOKS[:] = [cut]
    with pytest.raises(TargetUnreachable, match="can't be reached"):
        publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
    assert ask(admin_dsn, STANDS) == [(publication_id(1),)]
    publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
    assert ask(admin_dsn, STANDS) == [(publication_id(2),)]


def test_a_new_column_of_the_contract_is_added_under_the_readers_views(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(admin_dsn, autocommit=True) as con:
        # As an earlier contract would have left it.
        con.execute("drop view cvm.segment_summary")
        con.execute("alter table cvm_store.segment_summary drop column interval_basis")
        con.execute("comment on schema cvm_store is 'contract 1.0'")
    put(home, 2, dsn)
    assert ask(admin_dsn, "select count(interval_basis) from cvm.segment_summary") == [(1,)]


def test_only_new_parts_travel(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn, date(2024, 2, 29))
    put(home, 2, dsn)
    put(home, 3, dsn)
    rows = dict(
        ask(admin_dsn, "select publication_id, count(*) from cvm_store.customer_value_history group by 1 order by 1")
    )
    # The rewritten snapshot of the second publication is still kept for a rollback; the first's was never sent again.
    assert rows == {publication_id(number): 3 for number in (1, 2, 3)}
    assert ask(admin_dsn, "select count(*) from cvm.customer_value_history") == [(6,)]
