"""PostgreSQL as a target: what a publication does there, step by step.

Belongs here: the order of the steps and what each costs. Not here: the statements that define the store (`store.py`).

1. `bring`, one transaction: tables and views of today's contract where they are missing, the new parts by COPY, the list
   of the version's parts. Readers see none of it: no version that they are shown has these parts. 2. `show`, one
   transaction: one row is updated; this is the publication. 3. `retire`, one transaction: parts of no kept version are
   deleted. `erase`, one transaction: a person's rows of every part. A session that dies leaves no open transaction, so that
  each step is there or not.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pyarrow as pa

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES, Table
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.errors import LockHeld, WarehouseError
from cvm_pipeline.warehouse.files import step
from cvm_pipeline.warehouse.targets.postgres import store
from cvm_pipeline.warehouse.targets.postgres.connection import Connection, connected, database_of, place_of
from cvm_pipeline.warehouse.targets.postgres.roles import setup_sql
from cvm_pipeline.warehouse.targets.protocol import Part, Version, key_of_rows

# Any number will do; every publisher to one database must ask for the same.
_LOCK = 7_270_001
_STORED = "select schemaname || '.' || tablename from pg_tables where schemaname in ('cvm_store', 'cvm_store_pii')"


class PostgresSession:
    """One publication's hold on the database; made by `PostgresTarget.session`."""

    def __init__(self, connection: Connection) -> None:
        self._con = connection

    def shown(self) -> str | None:
        """The publication that readers see; None before the first."""
        there = self._con.execute("select to_regclass('cvm_store.standing') is not null")[0][0]
        rows = self._con.execute("select publication_id from cvm_store.standing") if there else []
        self._con.rollback()
        return str(rows[0][0]) if rows else None

    def bring(self, version: Version) -> None:
        """The version's missing parts and its list, in one transaction."""
        try:
            self._define()
            self._load(version)
            step("commit the parts in postgres")
            self._con.commit()
        except BaseException:
            self._give_up()
            raise

    def show(self, publication_id: str) -> None:
        """Update the one row that says which version readers see."""
        step("point postgres to the version")
        self._con.execute(
            "insert into cvm_store.standing (publication_id) values ($1) on conflict (only_row) "
            "do update set publication_id = excluded.publication_id, shown_at = now()",
            [publication_id],
        )
        step("commit the publication in postgres")
        self._con.commit()

    def retire(self, kept: Collection[str]) -> None:
        """Delete versions that are not kept, then the rows that belong to none."""
        step("retire versions in postgres")
        names = list(kept)
        gone = self._con.execute(
            "delete from cvm_store.version v where not v.publication_id = any($1::text[]) and not exists "
            "(select from cvm_store.standing s where s.publication_id = v.publication_id) returning v.publication_id",
            ["{" + ",".join(names) + "}"],
        )
        if gone:
            for table in TABLES:
                self._con.execute(
                    f"delete from {store.stored(table)} where {key_of_rows(table)} not in "
                    "(select key from cvm_store.part where table_name = $1)",
                    [table.name],
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

    def _define(self) -> None:
        """Bring tables and views to today's contract; nothing to do where its digest is the one that was left."""
        step("define the store in postgres")
        definitions = [*store.BOOKS, *(sql for t in TABLES for sql in store.create_stored(t) + store.create_view(t))]
        digest = f"contract {CONTRACT_VERSION} {hashlib.sha256(''.join(definitions).encode()).hexdigest()[:16]}"
        left = self._con.execute("select obj_description(to_regnamespace('cvm_store'), 'pg_namespace')")
        if left and left[0][0] == digest:
            return
        self._con.script(store.BOOKS)
        for table in TABLES:
            self._define_table(table)
        self._con.execute(f"comment on schema cvm_store is '{digest}'")

    def _define_table(self, table: Table) -> None:
        stands = dict(
            self._con.execute(
                "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
                "where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
                [store.stored(table)],
            )
        )
        wanted = store.columns_of(table)
        if not stands:
            self._con.script(store.create_stored(table))
        else:
            retyped = [n for n in wanted if n in stands and stands[n] != _formatted(wanted[n])]
            if retyped:
                raise WarehouseError(
                    f"{store.stored(table)}: {', '.join(retyped)} changed its type. The home holds every kept version: "
                    f"drop that table in PostgreSQL in a quiet hour, and delete from cvm_store.part where table_name = "
                    f"'{table.name}'; the next publication brings it whole."
                )
            missing = [name for name in wanted if name not in stands]
            if missing:
                self._con.execute(store.add_columns(table, missing))
        self._con.script(store.create_view(table))

    def _load(self, version: Version) -> None:
        there = {
            (name, key): int(rows)
            for name, key, rows in self._con.execute(
                "select distinct on (table_name, key) table_name, key, rows from cvm_store.part"
            )
        }
        for table in TABLES:
            missing = [p for p in version.parts if p.table is table and there.get((table.name, p.key)) != p.rows]
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
        for part in missing:
            # Rows of a part that is on no list: what an erased person left, or a dropped book.
            self._con.execute(f"delete from {store.stored(table)} where {key_of_rows(table)} = $1", [part.key])
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
        return place_of(self._dsn)

    @contextmanager
    def session(self, purpose: str) -> Iterator[PostgresSession]:
        """Hold the database. Raises `LockHeld` that names who else publishes to it."""
        who = f"cvm {purpose} {os.getpid()}@{socket.gethostname()}"
        with connected(self._dsn, who) as con:
            if not con.execute("select pg_try_advisory_lock($1)", [_LOCK])[0][0]:
                raise LockHeld(self._holder(con))
            con.commit()
            yield PostgresSession(con)

    def shown(self) -> str | None:
        """What readers see, asked without holding the database; None before the first publication."""
        with connected(self._dsn, f"cvm {os.getpid()}@{socket.gethostname()} looks") as con:
            return PostgresSession(con).shown()

    def set_up(self) -> list[str]:
        """Create roles and schemas; returns what was done, a line each. For an administrator's DSN."""
        with connected(self._dsn, "cvm doctor --setup-warehouse", as_writer=False) as con:
            con.script(setup_sql(database_of(self._dsn)))
            con.commit()
        return [
            f"roles {store.WRITER}, {store.READER}, {store.PII_READER} are there, and the schemas cvm and cvm_pii",
            f"grant {store.WRITER} to the user that publishes, such as: grant {store.WRITER} to etl",
            f"grant {store.READER} to those who read, such as: grant {store.READER} to metabase",
        ]

    def _holder(self, con: Connection) -> str:
        # As the user that logged in, who may see who else did.
        con.execute("reset role")
        found = con.execute(
            "select a.application_name, a.pid, a.backend_start from pg_locks l join pg_stat_activity a using (pid) "
            "where l.locktype = 'advisory' and l.objid = $1 and l.granted",
            [_LOCK],
        )
        con.rollback()
        if not found:
            return f"another run publishes to {self.name}. Try again."
        name, pid, since = found[0]
        when = f" since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
        return (
            f"another run publishes to {self.name}: `{name or 'of another user'}`, server process {pid}{when}. "
            "Wait until it is done, then try again."
        )


def _formatted(type_: str) -> str:
    """A type as `format_type` spells it."""
    return {"timestamp": "timestamp without time zone"}.get(type_, type_)
