"""Names and values as SQL text: what every layer that writes SQL quotes by, so that names stay data.

Belongs here: quoting. Not here: any statement, any table, any connection.
"""

from __future__ import annotations


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever it holds: `T`, `column` and `table` are names here."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"
