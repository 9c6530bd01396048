"""PostgreSQL as a target: what a publication does there, step by step.

Belongs here: the order of the steps and what each costs. Not here: the statements that define the store (`store.py`), when they are run
(`defining.py`).

1. `bring`: tables and columns of today's contract where they are missing, then in one transaction the new parts by COPY and
the list of the version's parts, then the views where they changed. Readers see none of it: no version that they are shown has
these parts. 2. `show`, one transaction: one row is updated; this is the publication. 3. `retire`, one transaction: parts of no
kept version are deleted. `erase`, one transaction: a person's rows of every part. A session that dies leaves no open
transaction, so that each step is there or not.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pyarrow as pa

from cvm_pipeline.domain.contracts import TABLES, Table
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.errors import LockHeld, WarehouseError
from cvm_pipeline.warehouse.files import step
from cvm_pipeline.warehouse.targets.postgres import store
from cvm_pipeline.warehouse.targets.postgres.connection import Connection, connected, parts_of
from cvm_pipeline.warehouse.targets.postgres.defining import define_tables, define_views, is_changed
from cvm_pipeline.warehouse.targets.postgres.roles import setup_sql
from cvm_pipeline.warehouse.targets.protocol import Part, Version, key_of_rows

_STORED = "select schemaname || '.' || tablename from pg_tables where schemaname in ('cvm_store', 'cvm_store_pii')"


class PostgresSession:
    """One publication's hold on the database; made by `PostgresTarget.session`."""

    def __init__(self, connection: Connection, guard: Connection) -> None:
        self._con = connection
        self._guard = guard

    def shown(self) -> str | None:
        """The publication that readers see; None before the first."""
        return _shown(self._con)

    def bring(self, version: Version) -> None:
        """The version's missing parts and its list, in one transaction, between what must be there before and after."""
        try:
            changed = is_changed(self._con)
            if changed:
                define_tables(self._con)
            self._load(version)
            step("commit the parts in postgres")
            self._con.commit()
            if changed:
                define_views(self._con)
        except BaseException:
            self._give_up()
            raise

    def show(self, publication_id: str) -> None:
        """Update the one row that says which version readers see."""
        step("point postgres to the version")
        # Fails where the server ended the connection that holds the database: somebody else may hold it by now.
        self._guard.execute("select 1")
        self._con.execute(
            "insert into cvm_store.standing (publication_id) values ($1) on conflict (only_row) "
            "do update set publication_id = excluded.publication_id, shown_at = now()",
            [publication_id],
        )
        self._con.execute("insert into cvm_store.shown values ($1) on conflict do nothing", [publication_id])
        step("commit the publication in postgres")
        self._con.commit()

    def retire(self, kept: Collection[str]) -> None:
        """Delete versions that are not kept, then the rows that belong to none."""
        step("retire versions in postgres")
        gone = [
            row[0]
            for row in self._con.execute(
                "select publication_id from cvm_store.version v where not publication_id = any($1::text[]) "
                "and not exists (select from cvm_store.standing s where s.publication_id = v.publication_id)",
                [store.array(kept)],
            )
        ]
        if gone:
            lost = self._con.execute(
                "select table_name, key from cvm_store.part group by 1, 2 having bool_and(publication_id = any($1::text[]))",
                [store.array(gone)],
            )
            for table in TABLES:
                if keys := [key for name, key in lost if name == table.name]:
                    self._con.execute(store.delete_parts(table), [store.array(keys)])
            self._con.execute(
                "delete from cvm_store.version where publication_id = any($1::text[])", [store.array(gone)]
            )
        step("commit the retirement in postgres")
        self._con.commit()

    def erase(self, customer_ids: Collection[str], redaction: Redaction) -> int:
        """One transaction: the rows, and what the list of parts says of them; then what is dead is vacuumed.

        Copies that are the server's own (write-ahead log, replicas, backups) are its administrator's.
        """
        step("erase from postgres")
        erased, touched = 0, []
        there = {row[0] for row in self._con.execute(_STORED)}
        for table in (table for table in TABLES if f"{store.store_of(table)}.{table.name}" in there):
            rows = 0
            if "customer_id" in table.names:
                rows = self._erase_rows(table, customer_ids)
            elif "observed" in table.names:
                rows = self._redact(table, redaction)
            if {"customer_id", "observed"} & set(table.names):
                # Whether or not there was one: an earlier erasure may have died before it came to this.
                touched.append(table)
            erased += rows
        step("commit the erasure in postgres")
        self._con.commit()
        for table in touched:
            self._con.alone(f"vacuum {store.stored(table)}")
        return erased

    def _erase_rows(self, table: Table, customer_ids: Collection[str]) -> int:
        gone = self._con.execute(
            f"delete from {store.stored(table)} where customer_id in "
            f"(select json_array_elements_text($1::text::json)) returning {key_of_rows(table)}",
            [json.dumps(sorted(customer_ids))],
        )
        for key in sorted({row[0] for row in gone}):
            self._con.execute(
                f"update cvm_store.part set rows = (select count(*) from {store.stored(table)} where {key_of_rows(table)} = $1) "
                "where table_name = $2 and key = $1",
                [key, table.name],
            )
        return len(gone)

    def _redact(self, table: Table, redaction: Redaction) -> int:
        told = self._con.execute(f"select distinct observed from {store.stored(table)} where observed is not null")
        changed = [(text, redacted) for (text,) in told if (redacted := redaction.text(text)) != text]
        for text, redacted in changed:
            self._con.execute(f"update {store.stored(table)} set observed = $1 where observed = $2", [redacted, text])
        return len(changed)

    def _load(self, version: Version) -> None:
        there = {
            (name, key): int(rows)
            for name, key, rows in self._con.execute(
                "select distinct on (table_name, key) table_name, key, rows from cvm_store.part"
            )
        }
        for table in TABLES:
            parts = [part for part in version.parts if part.table is table]
            keys = store.array(part.key for part in parts if part.rows)
            # The books may know of rows that somebody truncated.
            emptied = {row[0] for row in self._con.execute(store.missing_parts(table), [keys])}
            missing = [p for p in parts if there.get((table.name, p.key)) != p.rows or p.key in emptied]
            if missing:
                self._load_parts(version, table, missing)
        self._con.execute(
            "insert into cvm_store.version (publication_id, as_of_date) values ($1, $2::text::date) on conflict do nothing",
            [version.publication_id, version.as_of_date],
        )
        self._con.execute("delete from cvm_store.part where publication_id = $1", [version.publication_id])
        for part in version.parts:
            self._con.execute(
                "insert into cvm_store.part (publication_id, table_name, key, rows) values ($1, $2, $3, $4)",
                [version.publication_id, part.table.name, part.key, part.rows],
            )

    def _load_parts(self, version: Version, table: Table, missing: list[Part]) -> None:
        step(f"load {table.name} into postgres")
        # Rows of a part that is on no list: what an erased person left, or a dropped book.
        self._con.execute(store.delete_parts(table), [store.array(part.key for part in missing)])
        rows = version.rows_of(missing)
        # COPY names its columns as the batches do.
        lower = pa.schema([field.with_name(store.name_of(field.name)) for field in rows.schema])
        renamed = (pa.RecordBatch.from_arrays(batch.columns, schema=lower) for batch in rows)
        loaded = self._con.copy(store.store_of(table), table.name, pa.RecordBatchReader.from_batches(lower, renamed))
        expected = sum(part.rows for part in missing)
        if loaded not in (expected, -1):
            raise WarehouseError(f"{table.name}: {loaded:,} of {expected:,} rows reached PostgreSQL. Run again.")
        if expected > 10_000:
            # Autovacuum would come to it in its own time; the first reader shouldn't meet a plan for an empty table.
            self._con.execute(f"analyze {store.stored(table)}")

    def _give_up(self) -> None:
        try:
            self._con.rollback()
        except WarehouseError:
            # The server forgets the transaction of a connection that was cut.
            return


class PostgresTarget:
    """A PostgreSQL database, by its DSN."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @property
    def name(self) -> str:
        """Where it is, without a secret."""
        return parts_of(self._dsn).place

    @contextmanager
    def session(self, purpose: str) -> Iterator[PostgresSession]:
        """Hold the database. Raises `LockHeld` that names who else publishes to it.

        By a second connection, since the lock is a transaction's and a publication takes several; the server ends it with
        the process that holds it.
        """
        who = f"cvm {purpose} {os.getpid()}@{socket.gethostname()}"
        with connected(self._dsn, who) as guard, connected(self._dsn, who) as con:
            guard.execute("set idle_in_transaction_session_timeout = 0")
            if not guard.execute("select to_regclass($1) is not null", [store.PUBLISHER])[0][0]:
                guard.execute(store.CREATE_PUBLISHER)
            guard.commit()
            try:
                guard.execute(store.HOLD_PUBLISHER)
            except LockHeld:
                guard.rollback()
                raise LockHeld(
                    f"another run publishes to {self.name}: {guard.holder_of(store.PUBLISHER)}. "
                    "Wait until it is done, then try again."
                ) from None
            yield PostgresSession(con, guard)

    def shown(self) -> str | None:
        """What readers see, asked without holding the database; None before the first publication."""
        with connected(self._dsn, f"cvm {os.getpid()}@{socket.gethostname()} looks") as con:
            return _shown(con)

    def set_up(self) -> list[str]:
        """Create roles and schemas; returns what was done, a line each. For an administrator's DSN."""
        with connected(self._dsn, "cvm doctor --setup-warehouse", as_writer=False) as con:
            con.script(setup_sql(parts_of(self._dsn).database))
            con.commit()
        return [
            f"roles {store.WRITER}, {store.READER}, {store.PII_READER} are there, and the schemas cvm and cvm_pii",
            f"grant {store.WRITER} to the user that publishes, such as: grant {store.WRITER} to etl",
            f"grant {store.READER} to those who read, such as: grant {store.READER} to metabase",
        ]


def _shown(con: Connection) -> str | None:
    there = con.execute("select to_regclass('cvm_store.standing') is not null")[0][0]
    rows = con.execute("select publication_id from cvm_store.standing") if there else []
    con.rollback()
    return str(rows[0][0]) if rows else None
