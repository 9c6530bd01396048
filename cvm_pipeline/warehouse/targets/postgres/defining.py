"""Bringing the store's definitions to today's contract, in the sight of readers at work.

Belongs here: when a definition is run. Not here: its text (`store.py`), rows (`target.py`).

What changes a definition waits for readers who are in a transaction, and others wait behind it. So it is run only where it
is another, in a transaction of its own that gives up within a fraction of a second, lets everybody pass, and tries again.
Meanings alone are comments, which wait for no reader.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES
from cvm_pipeline.warehouse.errors import LockHeld, TargetUnreachable, WarehouseError
from cvm_pipeline.warehouse.files import step
from cvm_pipeline.warehouse.targets.postgres import store
from cvm_pipeline.warehouse.targets.postgres.connection import Connection

# How long a change of definitions may make others wait at once, and how often it is tried.
_MOMENT = "200ms"
_TRIES = 60
_PAUSE_SECONDS = 0.5


def _digest() -> str:
    tables = (sql for t in TABLES for sql in (*store.create_stored(t), store.view_of(t), *store.describe_view(t)))
    return f"contract {CONTRACT_VERSION} {store.digest_of(*store.BOOKS, *tables)}"


def is_changed(con: Connection) -> bool:
    """Whether the definitions are others than those that were brought to an end last."""
    left = con.execute("select obj_description(to_regnamespace('cvm_store'), 'pg_namespace')")
    con.rollback()
    return not left or left[0][0] != _digest()


def define_tables(con: Connection) -> None:
    """The books, and what the rows of today's contract need to be stored."""
    step("define the store in postgres")
    _change(con, "cvm_store.standing", store.BOOKS)
    for table in TABLES:
        stands = _columns(con, store.stored(table))
        wanted = store.columns_of(table)
        retyped = [n for n in wanted if n in stands and stands[n] != _formatted(wanted[n])]
        missing = [name for name in wanted if name not in stands]
        if retyped:
            raise WarehouseError(
                f"{store.stored(table)}: {', '.join(retyped)} changed its type. The home holds every kept version: "
                f"`drop table {store.stored(table)} cascade` in PostgreSQL in a quiet hour; the next publication "
                "brings it whole."
            )
        if not stands:
            _change(con, store.stored(table), store.create_stored(table))
        elif missing:
            _change(con, store.stored(table), [store.add_columns(table, missing)])


def define_views(con: Connection) -> None:
    """The views of today's contract where they are others, and their comments."""
    step("define the views in postgres")
    for table in TABLES:
        stands = list(_columns(con, store.viewed(table)))
        left = con.execute("select obj_description(to_regclass($1), 'pg_class')", [store.stored(table)])[0][0]
        con.rollback()
        if not stands or left != store.digest_of(store.view_of(table)):
            _change(con, store.viewed(table), store.replace_view(table, stands))
        con.script(store.describe_view(table))
        con.commit()
    con.execute(f"comment on schema cvm_store is '{_digest()}'")
    con.commit()


def _columns(con: Connection, relation: str) -> dict[str, str]:
    """Column -> type of a table or view; empty where there is none."""
    found = con.execute(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum",
        [relation],
    )
    con.rollback()
    return dict(found)


def _change(con: Connection, relation: str, statements: Sequence[str]) -> None:
    """A transaction that waits for readers a moment at a time, so that nobody waits behind it for longer.

    Raises `TargetUnreachable`, which names who is in the way.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        try:
            con.execute(f"set local lock_timeout = '{_MOMENT}'")
            con.script(statements)
            con.commit()
            return
        except LockHeld:
            con.rollback()
    who, name = con.holder_of(relation), relation.replace('"', "")
    raise TargetUnreachable(
        f"{name} changes with this release, and is read in a transaction that stays open: {who}. "
        "End that transaction, then run again. What readers see is unchanged."
    )


def _formatted(type_: str) -> str:
    """A type as `format_type` spells it."""
    return {"timestamp": "timestamp without time zone"}.get(type_, type_)
