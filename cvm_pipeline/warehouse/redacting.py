"""A person's name leaves what runs wrote about themselves: gate records, the log of runs, SQLite files of events.

Belongs here: rewriting files of text and JSON, and SQLite files. Not here: what of a text is the person
(`domain/redaction.py`), tables of customers (`erasing.py`).
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.warehouse.errors import WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import step, write_atomically

_PATIENCE_SECONDS = 30


def redacted_document(text: str, redaction: Redaction) -> str:
    """A text that may be JSON without the person; the very same where it doesn't name them."""
    try:
        content = json.loads(text) if text[:1] in ("{", "[") else None
    except ValueError:
        content = None
    if not isinstance(content, dict | list):
        return redaction.text(text)
    redacted = redaction.json(content)
    return text if redacted == content else json.dumps(redacted, ensure_ascii=False)


def redact_records(home: Home, redaction: Redaction) -> int:
    """Rewrite gate records and the log of runs without the person; returns how many files changed."""
    changed = 0
    with errors_explained("erasing from the gate's records", home.gate):
        for path in sorted(home.gate.glob("[!.]*.json")):
            text = path.read_text(encoding="utf-8")
            try:
                content = json.loads(text)
            except ValueError:
                path.unlink()  # half a record is none
                continue
            redacted = redaction.json(content)
            if redacted != content:
                write_atomically(path, json.dumps(redacted, indent=1, ensure_ascii=False) + "\n")
                changed += 1
    with errors_explained("erasing from the log of runs", home.attempts):
        if home.attempts.exists():
            text = home.attempts.read_text(encoding="utf-8", errors="replace")
            redacted_lines = "\n".join(redacted_document(line, redaction) for line in text.split("\n"))
            if redacted_lines != text:
                write_atomically(home.attempts, redacted_lines)
                changed += 1
    return changed


def redact_sqlite(folder: Path, redaction: Redaction) -> int:
    """Take the person out of every text in the SQLite files below a folder; returns how many files changed.

    A file that changed is rebuilt, so that no free page keeps the earlier text. Raises `WarehouseError` where another
    process holds one.
    """
    changed = 0
    for path in sorted(folder.rglob("*.db")):
        step(f"erase from {path.name}")
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)) as con:
                if _redact_tables(con, redaction):
                    con.execute("vacuum")
                    changed += 1
                # Always: a death may have come between the change and this.
                con.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.OperationalError as error:
            raise WarehouseError(
                f"erasing from {path}: {error}. End the Dagster page (`cvm ui`) if it is running, then ask again."
            ) from error
    return changed


def _redact_tables(con: sqlite3.Connection, redaction: Redaction) -> bool:
    changed = False
    con.execute("pragma secure_delete = on")
    con.execute("begin immediate")
    for (table,) in con.execute(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    ).fetchall():
        columns = [row[1] for row in con.execute(f"pragma table_info({quoted(table)})").fetchall()]
        for column in columns:
            texts = con.execute(
                f"select rowid, {quoted(column)} from {quoted(table)} where typeof({quoted(column)}) = 'text'"
            ).fetchall()
            for row, text in texts:
                redacted = redacted_document(text, redaction)
                if redacted != text:
                    con.execute(f"update {quoted(table)} set {quoted(column)} = ? where rowid = ?", [redacted, row])
                    changed = True
    con.execute("commit")
    return changed
