"""The gate's audit record: one JSON file for each candidate that was judged, passed or not.

Belongs here: the record's fields, writing and reading it. Not here: the judging (`quality/`), or what publication makes
of a record (`publication.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import CONTRACT_VERSION
from cvm_pipeline.warehouse.errors import WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import make_folder, point, write_atomically
from cvm_pipeline.warehouse.versions import checked_id


@dataclass(frozen=True)
class Rule:
    """What a suite asks of a check now: a digest of the whole of it, its bounds too, and its severity."""

    digest: str
    severity: str


# The checks that a candidate's record must show, by suite and name.
Required = Mapping[str, Mapping[str, Rule]]


@dataclass(frozen=True)
class GateRecord:
    """The verdict on one candidate.

    `content_hash` is what `finish_candidate` returned; `created_at` an instant with a zone. Each of `checks` holds at
    least the columns of `data_quality_result`: suite, expectation, column, success, severity, observed,
    unexpected_count, accepted_reason; and `rule`, the digest of the rule that it was judged by; more (failing rows) is kept
    as it is.
    """

    publication_id: str
    as_of_date: date
    content_hash: str
    passed: bool
    checks: list[dict[str, Any]]
    created_at: datetime
    run_id: str
    contract_version: str = field(default=CONTRACT_VERSION)


def write_record(home: Home, record: GateRecord) -> Path:
    """Write the record in one atomic step, as the newest, and return its path.

    Raises `ValueError` for an instant without zone.
    """
    if record.created_at.tzinfo is None:
        raise ValueError("a gate record's created_at needs a zone")
    path = _path(home, record.publication_id)
    content = asdict(record) | {
        "as_of_date": record.as_of_date.isoformat(),
        "created_at": record.created_at.isoformat(),
    }
    with errors_explained("writing the gate's record", path):
        make_folder(path.parent)
        write_atomically(path, json.dumps(content, indent=1, default=str, ensure_ascii=False) + "\n")
        point(_newest(home), path.name)
    return path


def read_record(home: Home, publication_id: str) -> GateRecord | None:
    """The record of exactly that candidate, or None. Raises `WarehouseError` where it is unreadable."""
    path = _path(home, publication_id)
    try:
        with errors_explained("reading the gate's record", path):
            if not path.exists():
                return None
            content = json.loads(path.read_text(encoding="utf-8"))
        return GateRecord(
            **content
            | {
                "as_of_date": date.fromisoformat(content["as_of_date"]),
                "created_at": datetime.fromisoformat(content["created_at"]),
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise WarehouseError(f"{path} is no gate record ({error}). Remove it and run again.") from error


def forget_old_records(home: Home, keep: int = 100) -> None:
    """Keep the newest records; each holds up to ten failing rows of every check."""
    newest = newest_judged(home)
    with errors_explained("clearing old gate records", home.gate):
        for path in sorted(home.gate.glob("[!.]*.json"))[:-keep]:
            if path.stem != newest:
                path.unlink(missing_ok=True)


def newest_judged(home: Home) -> str | None:
    """The id of the candidate that was judged last, as its record's file is named; None before the first.

    Not the largest id: a run whose clock was years ahead would be the newest for years.
    """
    link = _newest(home)
    return link.readlink().stem if link.is_symlink() else None


def newest_record(home: Home) -> GateRecord | None:
    """The record of the candidate that was judged last; None before the first."""
    newest = newest_judged(home)
    return read_record(home, newest) if newest else None


def _newest(home: Home) -> Path:
    return home.gate / "newest"


def _path(home: Home, publication_id: str) -> Path:
    return home.gate / f"{checked_id(publication_id)}.json"
