"""The suppression list: who was forgotten, as salted hashes, so that a re-delivered export can't bring anybody back.

Belongs here: the list's file, and asking it. Not here: which rows are whose (`whose.py`), erasing them (`forgetting.py`).

An entry is HMAC-SHA256 under the home's own random salt of what a row can be known by: a customer (source system and the
id there), an order of theirs (for lines that name no customer), a record of a look-up that was theirs alone, and an e-mail
address, telephone number or name (for rows that could not be parsed or name nobody). The salt lies beside the hashes, so
that whoever may read the file can try ids one by one: it is for its owner alone, and it lists no id.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cvm_pipeline.sources.errors import SourceError

CUSTOMER, DOCUMENT, LOOKUP, VALUE = "customer", "document", "lookup", "value"


@dataclass
class Forgotten:
    """The list in memory. `hashes` is all that it knows."""

    salt: bytes
    hashes: set[str] = field(default_factory=set)

    def hash_of(self, kind: str, *parts: str) -> str:
        """The entry of one thing, whether or not it is on the list."""
        message = json.dumps([kind, *parts], ensure_ascii=False, separators=(",", ":"))
        return hmac.new(self.salt, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def knows(self, kind: str, *parts: str) -> bool:
        """Whether it is on the list."""
        return self.hash_of(kind, *parts) in self.hashes

    def add(self, kind: str, things: Iterable[tuple[str, ...]]) -> bool:
        """Put things on the list; returns whether any was new."""
        new = {self.hash_of(kind, *thing) for thing in things} - self.hashes
        self.hashes |= new
        return bool(new)


def read_forgotten(path: Path) -> Forgotten:
    """The list; empty, with a salt of its own, before anybody was forgotten. Raises SourceError where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Forgotten(bytes.fromhex(content["salt"]), set(content["hashes"]))
    except FileNotFoundError:
        return Forgotten(secrets.token_bytes(32))
    except (ValueError, KeyError, TypeError, OSError) as error:
        # Going on without it would bring forgotten people back.
        raise SourceError(
            f"{path}: the list of forgotten people can't be read ({type(error).__name__}). Restore it from a backup: without"
            " it their rows would come back; nothing was changed"
        ) from error


def write_forgotten(path: Path, forgotten: Forgotten) -> None:
    """Replace the list in one step, readable by its owner only."""
    content = {"salt": forgotten.salt.hex(), "hashes": sorted(forgotten.hashes)}
    spare = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        spare.replace(path)
    finally:
        spare.unlink(missing_ok=True)
