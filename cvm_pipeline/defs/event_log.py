"""Dagster's event log in SQLite with its connections kept: the same files, the same rows, a third of a small run's time saved.

Belongs here: how the files are opened. Not here: what is written to them, which is the library's.

The library makes an engine, opens the file and closes it for each of some 5,000 statements of a run, and so compiles each
statement anew; the last to close a file in WAL mode writes it back to disk besides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

# The index, the run that goes on, and some that somebody looks at: a page that stays open for weeks may not hold a file a run.
_FILES_OPEN = 8


class EventLog(SqliteEventLogStorage):
    """One file for each run and an index of them all, in DAGSTER_HOME as where the library keeps them by itself."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> EventLog:
        """Dagster's own way to make one; `base_dir` is DAGSTER_HOME."""
        return cls(str(Path(config_value["base_dir"]) / "history" / "runs"), inst_data)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has it; asked before each event of a check, and a table that is there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).begin() as con:
            yield con

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines or not Path(self.path_for_shard(shard)).exists():
            self._let_go(shard)
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _write_ahead_without_waiting)
            self._initdb(engine)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > _FILES_OPEN:
            self._let_go(next(iter(self._engines)))
        return self._engines[shard]

    def _let_go(self, shard: str) -> None:
        engine = self._engines.pop(shard, None)
        if engine is not None:
            engine.dispose()

    def dispose(self) -> None:
        """Close every file. The instance calls it at its end."""
        super().dispose()
        with self._db_lock:
            for shard in list(self._engines):
                self._let_go(shard)


def _write_ahead_without_waiting(con: Any, _record: Any) -> None:
    """After a power cut a file in WAL mode may lack its last events this way, and is whole; a killed process loses none."""
    con.execute("pragma synchronous = normal")
