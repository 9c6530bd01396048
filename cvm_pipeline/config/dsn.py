"""A PostgreSQL address (DSN): its parts, read so that libpq can't read it otherwise.

Belongs here: which addresses are taken, and what in them is secret. Not here: connecting (`warehouse/targets/postgres`).

libpq and Python's URL parsers differ on reserved characters that are not percent-encoded (`@`, `/`, `#`, `?`, `[` in a
password): part of a password would be taken for a host, and be told in messages. So such an address is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

EXAMPLE = "postgresql://user:password@host:5432/database"

_ENCODED = "%(?!00)[0-9A-Fa-f]{2}"
_WORD = rf"(?:[^\s@:/?#\[\]%]|{_ENCODED})"
_HOST = rf"(?:\[[0-9A-Fa-f:.]+\]|{_WORD}*)(?::\d+)?"
_DSN = re.compile(
    rf"postgres(?:ql)?://(?:(?P<user>{_WORD}*)(?::(?P<password>(?:{_WORD}|:)*))?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)/(?P<database>{_WORD}+)(?:\?(?P<query>.*))?"
)
_PAIR = re.compile(rf"(?P<key>[a-z_]+)=(?P<value>(?:[^\s&=#%]|{_ENCODED})*)")
# Of libpq's parameters those that hold one.
_SECRETS = ("password", "sslpassword", "oauth_client_secret")


@dataclass(frozen=True)
class Dsn:
    """`place` may be told to anybody; `secrets` to nobody, in any spelling."""

    place: str
    database: str
    secrets: tuple[str, ...]


def read_dsn(text: str) -> Dsn:
    """The parts of an address. Raises ValueError that says what is wrong, and tells nothing of the address."""
    found = _DSN.fullmatch(text)
    pairs = [_PAIR.fullmatch(pair) for pair in (found["query"] or "").split("&")] if found and found["query"] else []
    if found is None or None in pairs:
        raise ValueError(
            "is no address of a PostgreSQL database, or holds a reserved character that is not percent-encoded"
        )
    given = {pair["key"]: pair["value"] for pair in pairs if pair is not None}
    hosts = unquote(found["hosts"] or given.get("host", "")) or "the local socket"
    raw = [found["password"], *(given[key] for key in _SECRETS if key in given)]
    secrets = {spelling for value in raw if value for spelling in (value, unquote(value))}
    # The longest first: one may be part of another.
    ordered = tuple(sorted({text, *secrets}, key=len, reverse=True))
    database = unquote(given.get("dbname", found["database"]))
    return Dsn(f"PostgreSQL at {hosts}/{database}", database, ordered)
