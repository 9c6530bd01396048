"""A person's rows leave every version that is kept: each version's files are written anew, and take the old ones' place.

Belongs here: what a version is without somebody. Not here: every other place (`defs/forget.py`).

DuckDB leaves deleted rows in free blocks of a file, so that nothing is deleted: tables are copied into new files without
them, comments and constraints as they were. Aggregates (`segment_summary`, `pareto_curve`, the model card) name nobody and
stay as they were published: a snapshot's totals still count the person, the next run's do not.

How the new files take the old ones' place: `replacing.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.domain.sql_text import literal, quoted
from cvm_pipeline.warehouse.errors import engine_errors_explained, errors_explained
from cvm_pipeline.warehouse.files import copy_file, step, sync
from cvm_pipeline.warehouse.replacing import ERASING, settle, take_place
from cvm_pipeline.warehouse.seal import STOOD, mark_successor
from cvm_pipeline.warehouse.versions import PII_FILE, WAREHOUSE_FILE, kept_ids
from cvm_pipeline.warehouse.work import STORAGE_VERSION

_FILES = (WAREHOUSE_FILE, PII_FILE)


def erase_from_versions(
    home: Home, customer_ids: Collection[str], redaction: Redaction, memory_limit: str | None
) -> list[str]:
    """Rewrite each kept version that holds one of the customers; returns the ids of those. Under the run lock."""
    settle(home)
    erased = []
    for id_ in kept_ids(home):
        folder = home.versions / id_
        with errors_explained("erasing from a version", folder):
            if any(_holds(folder / name, customer_ids, redaction) for name in _FILES):
                _build(home, folder, customer_ids, redaction, memory_limit)
                take_place(home, home.versions / ERASING / id_)
                erased.append(id_)
    settle(home)
    return erased


def personal_values(home: Home, customer_ids: Collection[str]) -> set[tuple[str | None, ...]]:
    """(name, email, phone, birth date) of the customers in every kept version."""
    found: set[tuple[str | None, ...]] = set()
    for id_ in kept_ids(home):
        path = home.versions / id_ / PII_FILE
        with engine_errors_explained("reading a version", path), duckdb.connect(str(path), read_only=True) as con:
            found.update(
                con.execute(
                    "select distinct name, email, phone, birth_date::varchar from cvm_pii.customer_pii "
                    f"where customer_id in ({_list(customer_ids)})"
                ).fetchall()
            )
    return found


def unmatched_orders(home: Home, customer_ids: Collection[str]) -> set[str]:
    """The customers' own documents in every kept version."""
    found: set[str] = set()
    for id_ in kept_ids(home):
        path = home.versions / id_ / WAREHOUSE_FILE
        with engine_errors_explained("reading a version", path), duckdb.connect(str(path), read_only=True) as con:
            for table in _tables_of(con):
                if {"customer_id", "order_id"} <= set(_columns(con, table)):
                    sql = f"select distinct order_id from {table} where customer_id in ({_list(customer_ids)})"
                    found.update(row[0] for row in con.execute(sql).fetchall())
    return found


def known_customers(home: Home, customer_ids: Collection[str]) -> set[str]:
    """Which of these ids any kept version holds."""
    found: set[str] = set()
    for id_ in kept_ids(home):
        for path in (home.versions / id_ / name for name in _FILES):
            with engine_errors_explained("reading a version", path), duckdb.connect(str(path), read_only=True) as con:
                for table in _tables_of(con):
                    if "customer_id" in _columns(con, table):
                        sql = f"select distinct customer_id from {table} where customer_id in ({_list(customer_ids)})"
                        found.update(row[0] for row in con.execute(sql).fetchall())
    return found


def _holds(path: Path, customer_ids: Collection[str], redaction: Redaction) -> bool:
    with engine_errors_explained("reading a version", path), duckdb.connect(str(path), read_only=True) as con:
        for table in _tables_of(con):
            columns = _columns(con, table)
            if "customer_id" in columns:
                sql = f"select 1 from {table} where customer_id in ({_list(customer_ids)}) limit 1"
                if con.execute(sql).fetchall():
                    return True
            elif "observed" in columns and _told(con, table, redaction):
                return True
    return False


def _told(con: duckdb.DuckDBPyConnection, table: str, redaction: Redaction) -> dict[str, str]:
    """What a gate observed that names the person -> the same without."""
    found = con.execute(f"select distinct observed from {table} where observed is not null").fetchall()
    return {text: redacted for (text,) in found if (redacted := redaction.text(text)) != text}


def _build(home: Home, folder: Path, ids: Collection[str], redaction: Redaction, memory_limit: str | None) -> None:
    built = home.versions / ERASING / f".building-{folder.name}"
    if built.exists():
        shutil.rmtree(built)
    step(f"build {folder.name} anew")
    built.mkdir(parents=True, mode=0o700)
    for path in sorted(folder.iterdir()):
        if path.name in _FILES:
            step(f"rewrite {path.name}")
            _rewrite(home, path, built / path.name, ids, redaction, memory_limit)
            (built / path.name).chmod(path.stat().st_mode & 0o777)
        elif path.name != STOOD:
            copy_file(path, built / path.name, path.stat().st_mode & 0o777)
        if path.name != STOOD:
            sync(built / path.name)
    mark_successor(folder, built)
    shutil.copymode(folder, built)
    sync(built)
    step(f"name the new {folder.name}")
    built.rename(home.versions / ERASING / folder.name)
    sync(home.versions / ERASING)


def _rewrite(
    home: Home, source: Path, target: Path, ids: Collection[str], redaction: Redaction, memory_limit: str | None
) -> None:
    home.scratch.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"storage_compatibility_version": STORAGE_VERSION, "temp_directory": str(home.scratch)}
    if memory_limit:
        config["memory_limit"] = memory_limit
    with engine_errors_explained("writing a version anew", target), duckdb.connect(str(target), config=config) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach {literal(str(source))} as old (read_only)")
        con.execute("begin")
        found = con.execute(
            "select schema_name, table_name, sql, comment from duckdb_tables() where database_name = 'old' order by 1, 2"
        ).fetchall()
        for schema, name, sql, comment in found:
            table = f"{quoted(schema)}.{quoted(name)}"
            con.execute(f"create schema if not exists {quoted(schema)}")
            con.execute(sql)
            columns = _columns(con, f"old.{table}")
            where = (
                f" where customer_id is null or customer_id not in ({_list(ids)})" if "customer_id" in columns else ""
            )
            cells = "*"
            if "observed" in columns and (told := _told(con, f"old.{table}", redaction)):
                # Written so at once: an update would leave the earlier text in the file.
                whens = " ".join(f"when {literal(text)} then {literal(redacted)}" for text, redacted in told.items())
                cells = f"* replace (case observed {whens} else observed end as observed)"
            con.execute(f"insert into {table} select {cells} from old.{table}{where}")
            if comment:
                con.execute(f"comment on table {table} is {literal(comment)}")
            for column, meaning in _comments(con, schema, name):
                con.execute(f"comment on column {table}.{quoted(column)} is {literal(meaning)}")
        con.execute("commit")
        con.execute("checkpoint")
        con.execute("detach old")


def _tables_of(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute(
        "select schema_name, table_name from duckdb_tables() where not internal order by 1, 2"
    ).fetchall()
    return [f"{quoted(schema)}.{quoted(name)}" for schema, name in rows]


def _columns(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [row[0] for row in con.execute(f"describe {table}").fetchall()]


def _comments(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[tuple[str, str]]:
    return con.execute(
        "select column_name, comment from duckdb_columns() where database_name = 'old' and schema_name = ? "
        "and table_name = ? and comment is not null order by column_index",
        [schema, name],
    ).fetchall()


def _list(ids: Collection[str]) -> str:
    return ", ".join(literal(id_) for id_ in sorted(ids))
