"""A connection to PostgreSQL through Arrow (ADBC), and its errors in words for the person who has to act on them.

Belongs here: connecting, statements, transactions, the translation of errors. Not here: any statement of the store
(`store.py`) or of a publication (`target.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from cvm_pipeline.config.dsn import EXAMPLE, Dsn, read_dsn
from cvm_pipeline.warehouse.errors import LockHeld, TargetUnreachable, WarehouseError
from cvm_pipeline.warehouse.files import step
from cvm_pipeline.warehouse.targets.postgres.store import WRITER

_SETUP = "Let an administrator run `cvm doctor --setup-warehouse` once, and grant the role cvm_writer to this user"
# Class 08 connection, 57P server stopped or stopping, 53 no room there.
_UNREACHABLE = ("08", "57P")
_ALIVE = (
    "tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3", "tcp_user_timeout = '60s'",
)  # fmt: skip


class Connection:
    """One session: every statement is part of a transaction, which `commit` ends."""

    def __init__(self, adbc: Any, dsn: Dsn) -> None:
        self._adbc = adbc
        self._dsn = dsn

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement with `$1` parameters; its rows, where it has any."""

        def work() -> list[tuple[Any, ...]]:
            with self._adbc.cursor() as cursor:
                cursor.execute(sql, list(parameters) or None)
                return list(cursor.fetchall()) if cursor.description else []

        return self._told(work)

    def script(self, statements: Iterable[str]) -> None:
        """Several statements without parameters, one by one: ADBC's own `executescript` would commit first."""
        for statement in statements:
            self.execute(statement)

    def alone(self, sql: str) -> None:
        """A statement that may be part of no transaction (`vacuum`)."""

        def work() -> None:
            self._adbc.commit()
            self._adbc.adbc_connection.set_autocommit(True)
            try:
                with self._adbc.cursor() as cursor:
                    cursor.execute(sql)
            finally:
                self._adbc.adbc_connection.set_autocommit(False)

        self._told(work)

    def copy(self, schema: str, table: str, rows: pa.RecordBatchReader) -> int:
        """Append Arrow batches to a table by COPY, in the transaction at hand; returns the rows written."""

        def work() -> int:
            with self._adbc.cursor() as cursor:
                return int(cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema))

        return self._told(work)

    def commit(self) -> None:
        """End the transaction: from here on others see what it did."""
        self._told(self._adbc.commit)

    def rollback(self) -> None:
        """Forget the transaction."""
        self._told(self._adbc.rollback)

    def holder_of(self, relation: str) -> str:
        """Who else holds a lock on a relation of this database, in words: session, server process, since when."""
        # As the user that logged in, who may see who else did.
        self.execute("reset role")
        found = self.execute(
            "select distinct a.application_name, a.usename::text, a.pid, a.backend_start from pg_locks l join pg_stat_activity a using (pid) "
            "where l.relation = to_regclass($1) and l.granted and a.pid <> pg_backend_pid() "
            "and l.database = (select oid from pg_database where datname = current_database())",
            [relation],
        )
        self.rollback()
        # Of another user's session only the user and the process can be seen.
        told = [
            (f"`{name}`" if name else f"a session of user {user}")
            + f", server process {pid}"
            + (f" since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "")
            for name, user, pid, since in found[:5]
        ]
        return " and ".join(told) or "somebody who has left by now"

    def _told(self, work: Callable[[], Any]) -> Any:
        return explained(work, self._dsn)


def explained(work: Callable[[], Any], dsn: Dsn) -> Any:
    """What `work` returns; the driver's errors as ours. Theirs may hold the password, so that no trace of one is kept."""
    import adbc_driver_manager

    try:
        return work()
    except adbc_driver_manager.Error as error:
        ours = _translated(error, dsn)
    # Out here, so that the driver's is not its context.
    raise ours


def parts_of(dsn: str) -> Dsn:
    """A DSN's parts. Raises WarehouseError where it can't be read; the message holds nothing of it."""
    try:
        return read_dsn(dsn)
    except ValueError as error:
        raise WarehouseError(f"publish.dsn {error}. Such as {EXAMPLE}, with %40 for @ in a password.") from None


@contextmanager
def connected(dsn: str, purpose: str, as_writer: bool = True) -> Iterator[Connection]:
    """A session, as `cvm_writer` unless told otherwise; a transaction left open is rolled back at the end.

    `purpose` shows in `pg_stat_activity`. Raises `TargetUnreachable`, and `WarehouseError` where the role is missing.
    """
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise WarehouseError(
            "publish.target: postgres needs a driver: pip install 'cvm-pipeline[postgres]', then run again."
        ) from None
    parts = parts_of(dsn)
    step("connect to postgres")
    adbc = explained(lambda: dbapi.connect(dsn), parts)
    connection = Connection(adbc, parts)
    try:
        # A reader's long transaction can hold nothing that a publication waits for; somebody's ALTER TABLE could.
        connection.execute("set lock_timeout = '10s'")
        connection.execute("set timezone = 'UTC'")
        # A host that vanished tells the server nothing: it would hold what it held for two hours.
        for setting in _ALIVE:
            connection.execute(f"set {setting}")
        connection.execute("select set_config('application_name', $1, false)", [purpose[:63]])
        if as_writer:
            connection.execute(f"set role {WRITER}")
        connection.commit()
        yield connection
    finally:
        adbc.close()


def _translated(error: Any, dsn: Dsn) -> WarehouseError:
    place = dsn.place
    state = (getattr(error, "sqlstate", None) or "").strip("\0 ")
    said = _without_secret(str(error), dsn)
    if state == "55P03":
        return LockHeld(
            f"{place}: somebody holds a lock on the store for over 10 s, so that nothing was changed. Try again."
        )
    if state.startswith(_UNREACHABLE) or (not state and _is_of_the_line(said) and not _is_a_refusal(said)):
        return TargetUnreachable(
            f"{place} can't be reached: {said}. Is the server up? Its readers see one whole publication all the while."
        )
    if state.startswith("28") or (not state and _is_a_refusal(said)):
        return WarehouseError(f"{place} refuses us: {said}. Check the variable that publish.dsn names.")
    if state in ("42501", "3F000", "22023", "42704"):
        return WarehouseError(f"{place}: {said}. {_SETUP}.")
    if state.startswith("53"):
        return WarehouseError(f"{place} has no room: {said}. Free disk or memory there, then run again.")
    return WarehouseError(f"{place}: {said}.")


def _is_a_refusal(said: str) -> bool:
    # What a server says to a stranger comes without its code; trying again would not help.
    return any(
        words in said for words in ("does not exist", "authentication failed", "no pg_hba.conf entry", "invalid URI")
    )


def _is_of_the_line(said: str) -> bool:
    return any(words in said for words in ("connection", "connect", "server closed", "could not translate host"))


def _without_secret(text: str, dsn: Dsn) -> str:
    first = " ".join(line.strip() for line in text.splitlines() if line.strip())
    for secret in dsn.secrets:
        first = first.replace(secret, "***")
    return first.rstrip(".")[:500]
