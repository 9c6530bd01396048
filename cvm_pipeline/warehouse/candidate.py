"""A candidate: the next version of what readers see, built whole in a private folder beside it.

Belongs here: copying the standing version, applying the run's `candidate.<table>` tables to it as the contract's
`writing` says, the tables that describe the publication itself, and sealing it under a content hash.
Not here: judging it (`quality/`), making it visible (`publication.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contract_change import declared
from cvm_pipeline.domain.contracts import (
    CONTRACT_VERSION,
    CURRENT_PUBLICATION,
    CUSTOMER_VALUE_HISTORY,
    DATA_DICTIONARY,
    DATA_QUALITY_RESULT,
    PUBLICATION,
    TABLES,
)
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.warehouse.candidate_tables import (
    apply_incoming,
    bring_to_contract,
    insert_rows,
    newest_snapshot,
    recreate,
    target,
)
from cvm_pipeline.warehouse.ddl import dictionary_rows
from cvm_pipeline.warehouse.errors import WarehouseError, engine_errors_explained, errors_explained
from cvm_pipeline.warehouse.files import content_hash, copy_file, make_folder, step, sync
from cvm_pipeline.warehouse.incoming import check_incoming
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.seal import changed_since_published
from cvm_pipeline.warehouse.versions import (
    MANIFEST,
    PII_FILE,
    WAREHOUSE_FILE,
    checked_id,
    read_manifest,
    standing,
    tidy,
)
from cvm_pipeline.warehouse.work import STORAGE_VERSION, EngineSettings, duckdb_config

# Written by the publication itself, not by the run's `candidate` schema.
OWN_TABLES = (DATA_DICTIONARY, DATA_QUALITY_RESULT, PUBLICATION, CURRENT_PUBLICATION)


@dataclass(frozen=True)
class Candidate:
    """A candidate on disk.

    `built_on` is the publication that stood when it was built ('' for the first), `newest_as_of` the newest snapshot
    that its readers will see, `rows` the rows that it wrote into each table.
    """

    publication_id: str
    as_of_date: date
    run_id: str
    folder: Path
    built_on: str
    newest_as_of: date
    rows: dict[str, int]

    @property
    def is_newest(self) -> bool:
        """Whether its snapshot is the newest: only then does it replace the tables of the newest snapshot."""
        return self.as_of_date >= self.newest_as_of

    @property
    def file(self) -> Path:
        return self.folder / WAREHOUSE_FILE

    @property
    def pii_file(self) -> Path:
        return self.folder / PII_FILE


def candidate_folder(home: Home, publication_id: str) -> Path:
    """Where the candidate of that id lies. Raises `ValueError` where it is no publication id."""
    return home.versions / f".candidate-{checked_id(publication_id)}"


def build_candidate(
    home: Home,
    as_of_date: date,
    publication_id: str,
    run_id: str,
    settings: EngineSettings | None = None,
) -> Candidate:
    """Build the next version from the standing one and the work file's `candidate.<table>` tables.

    Those hold every column of the contract but publication_id, in any order; `candidate.customer_value` feeds
    `customer_value` and `customer_value_history`. Candidates of dead runs are removed first. Raises `WarehouseError`
    that lists every table and column that is missing or whose type would lose digits.
    """
    with run_lock(home, "build a candidate", run_id):
        folder = candidate_folder(home, publication_id)
        with errors_explained("making a candidate", folder):
            tidy(home)
            base = standing(home)
            if base is not None and (broken := changed_since_published(base)):
                raise WarehouseError(
                    f"{base}: {', '.join(broken)} was changed after it was published, and the next publication would carry "
                    "that on. Point readers at an earlier version (cvm versions, cvm rollback VERSION) or restore it from a "
                    "backup, then run again."
                )
            if (home.versions / publication_id).exists():
                raise WarehouseError(f"publication {publication_id} exists already. Take a new id.")
            make_folder(home.versions)
            step("make candidate folder")
            # Private until it is published: DuckDB makes its files, the one with names in it too, by the umask.
            folder.mkdir(mode=0o700)
            if base is not None:
                copy_file(base / WAREHOUSE_FILE, folder / WAREHOUSE_FILE, 0o666)
                if (base / PII_FILE).exists():
                    copy_file(base / PII_FILE, folder / PII_FILE, 0o600)
        candidate = Candidate(publication_id, as_of_date, run_id, folder, base.name if base else "", as_of_date, {})
        with _writing(candidate, duckdb_config(home, settings or EngineSettings())) as con:
            step("attach the work file")
            with engine_errors_explained("reading the work warehouse", home.work_file):
                con.execute(f"attach {literal(str(home.work_file))} as work (read_only)")
            check_incoming(con, [table for table in TABLES if table not in OWN_TABLES], as_of_date)
            bring_to_contract(con, CUSTOMER_VALUE_HISTORY)
            candidate = replace(candidate, newest_as_of=max([as_of_date, *newest_snapshot(con)]))
            rows = {}
            for table in TABLES:
                replaced = table.writing == "state" or (table.writing == "newest" and candidate.is_newest)
                if not replaced:
                    bring_to_contract(con, table)
                if table not in OWN_TABLES and (replaced or table.writing in ("snapshot", "stays", "log")):
                    step(f"write {table.name}")
                    rows[table.name] = apply_incoming(con, table, as_of_date, publication_id)
            recreate(con, DATA_DICTIONARY)
            rows[DATA_DICTIONARY.name] = insert_rows(con, DATA_DICTIONARY, dictionary_rows(publication_id))
            candidate = replace(candidate, rows=rows)
        _write_manifest(candidate, {})
        return candidate


def read_candidate(home: Home, publication_id: str) -> Candidate:
    """The candidate of that id, as it was built. Raises `WarehouseError` where there is none."""
    folder = candidate_folder(home, publication_id)
    content: dict[str, Any] = read_manifest(folder)
    return Candidate(
        content["publication_id"],
        date.fromisoformat(content["as_of_date"]),
        content["run_id"],
        folder,
        content["built_on"],
        date.fromisoformat(content["newest_as_of"]),
        content["rows"],
    )


def add_page(candidate: Candidate, name: str, text: str) -> None:
    """Put a page beside the candidate's tables: it is sealed, published and rolled back with them."""
    with errors_explained("writing a candidate", candidate.folder / name):
        step(f"write {name}")
        (candidate.folder / name).write_text(text, encoding="utf-8")


@contextmanager
def open_candidate(candidate: Candidate) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection for the audit: tables as `cvm.<table>`, and `pii.cvm_pii.customer_pii`."""
    with engine_errors_explained("opening a candidate", candidate.file):
        con = duckdb.connect(str(candidate.file), read_only=True)
    try:
        with engine_errors_explained("reading a candidate", candidate.file):
            con.execute(f"attach {literal(str(candidate.pii_file))} as pii (read_only)")
            yield con
    finally:
        con.close()


def finish_candidate(
    candidate: Candidate, quality: Sequence[Mapping[str, Any]], publication_row: Mapping[str, Any]
) -> str:
    """Write what the gate found and the publication's own row, seal the files, and return their content hash.

    `quality` has one mapping for each check with the columns of `data_quality_result` but publication_id (others are
    left out); `publication_row` has data_through, published_at (an instant with a zone), currency, timezone,
    gate_summary, code_version; publication_id, as_of_date, run_id, status, contract_version and rows_by_table are
    filled in. Safe to repeat. Raises `WarehouseError` for a missing or unknown key.
    """
    own = {
        "publication_id": candidate.publication_id,
        "as_of_date": candidate.as_of_date,
        "run_id": candidate.run_id,
        "status": "published",
        "contract_version": CONTRACT_VERSION,
        "rows_by_table": json.dumps(candidate.rows, sort_keys=True),
    }
    row = {**publication_row, **own}
    if set(row) != set(PUBLICATION.names):
        missing = ", ".join(sorted(set(PUBLICATION.names) - set(row))) or "none"
        unknown = ", ".join(sorted(set(row) - set(PUBLICATION.names))) or "none"
        raise WarehouseError(f"the publication's row does not fit: missing {missing}; unknown {unknown}.")
    row["published_at"] = _naive_utc(row["published_at"])
    checks = [
        {name: check.get(name) for name in DATA_QUALITY_RESULT.names}
        | {"publication_id": candidate.publication_id, "column": check.get("column") or ""}
        for check in quality
    ]
    for check in checks:
        check["observed"] = None if check["observed"] is None else str(check["observed"])
    with _writing(candidate, {}) as con:
        for table, rows in ((DATA_QUALITY_RESULT, checks), (PUBLICATION, [row])):
            step(f"write {table.name}")
            con.execute(f"delete from {target(table)} where publication_id = ?", [candidate.publication_id])
            insert_rows(con, table, rows)
        step("write current_publication")
        recreate(con, CURRENT_PUBLICATION)
        insert_rows(con, CURRENT_PUBLICATION, [{**row, "as_of_date": candidate.newest_as_of}])
    with errors_explained("sealing a candidate", candidate.folder):
        step("seal the candidate")
        candidate.pii_file.chmod(0o600)
        _write_manifest(candidate, {"published_at": row["published_at"].replace(tzinfo=UTC).isoformat()})
        for path in sorted(candidate.folder.iterdir()):
            sync(path)
        sync(candidate.folder)
        return content_hash(candidate.folder)


@contextmanager
def _writing(candidate: Candidate, config: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The candidate's two files for writing, catalogs `warehouse` and `pii`; checkpointed and closed at the end."""
    with errors_explained("opening a candidate", candidate.file):
        con = duckdb.connect(str(candidate.file), config={"storage_compatibility_version": STORAGE_VERSION, **config})
    try:
        with engine_errors_explained("writing a candidate", candidate.folder):
            con.execute(f"attach {literal(str(candidate.pii_file))} as pii (storage_version '{STORAGE_VERSION}')")
            con.execute("set TimeZone = 'UTC'")
            yield con
            step("checkpoint the candidate")
            con.execute("checkpoint warehouse")
            con.execute("checkpoint pii")
            con.execute("detach pii")
    finally:
        con.close()
    left = [path.name for path in candidate.folder.glob("*.wal")]
    if left:
        raise WarehouseError(f"{candidate.folder}: {', '.join(left)} was left unwritten. Run again.")


def _write_manifest(candidate: Candidate, more: dict[str, str]) -> None:
    content = {
        "publication_id": candidate.publication_id,
        "as_of_date": candidate.as_of_date.isoformat(),
        "run_id": candidate.run_id,
        "built_on": candidate.built_on,
        "newest_as_of": candidate.newest_as_of.isoformat(),
        "rows": candidate.rows,
        "contract_version": CONTRACT_VERSION,
        "contract": declared(),
        **more,
    }
    path = candidate.folder / MANIFEST
    with errors_explained("writing a candidate", path):
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _naive_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise WarehouseError("published_at needs a zone.")
    return instant.astimezone(UTC).replace(tzinfo=None)
