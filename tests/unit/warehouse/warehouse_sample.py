"""A small run's candidate tables and its whole way to publication, for the tests of this folder and their processes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES, Column
from cvm_pipeline.warehouse.candidate import OWN_TABLES, build_candidate, finish_candidate
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.gate_record import GateRecord, Rule, write_record
from cvm_pipeline.warehouse.incoming import FED_BY
from cvm_pipeline.warehouse.publication import Published, publish
from cvm_pipeline.warehouse.seal import STOOD, mark_stood
from cvm_pipeline.warehouse.versions import new_publication_id
from cvm_pipeline.warehouse.work import connect

AS_OF = date(2024, 3, 31)
RULE = Rule("of the row count", "critical")
REQUIRED = {table.name: {"row count": RULE} for table in TABLES if table.gated}
BEGIN = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)


class Crash(BaseException):
    """No Exception: nothing on the way may catch it."""


def crash_at(position: int) -> None:
    """Raise at the so-many-th step."""
    left = [position]

    def hook(name: str) -> None:
        if left[0] == 0:
            raise Crash(name)
        left[0] -= 1

    HOOKS[:] = [hook]


def publication_id(number: int) -> str:
    """The id of the so-many-th publication, one second after the other."""
    return new_publication_id(BEGIN + timedelta(seconds=number), f"{number:04x}")


def fill(home: Home, as_of: date = AS_OF, customers: int = 3, amount: int = 1) -> None:
    """Candidate tables of that many customers, every amount of money the same."""
    with connect(home) as con:
        for table in TABLES:
            if table not in OWN_TABLES and table.name not in FED_BY:
                columns = ", ".join(
                    f'{_value(column, as_of, amount)}::{column.type} as "{column.name}"'
                    for column in table.columns
                    if column.name != "publication_id"
                )
                rows = customers if "customer_id" in table.names else 1
                con.execute(f"create or replace table candidate.{table.name} as select {columns} from range({rows})")


def checks(**changes: object) -> list[dict[str, object]]:
    """One passed check for each gated table."""
    return [
        {
            "suite": name,
            "expectation": "row count",
            "column": "",
            "success": True,
            "severity": "critical",
            "observed": 3,
            "unexpected_count": 0,
            "accepted_reason": None,
            "rule": RULE.digest,
        }
        | changes
        for name in REQUIRED
    ]


def publication_row(at: datetime = BEGIN) -> dict[str, object]:
    return {
        "data_through": AS_OF,
        "published_at": at,
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "gate_summary": "all passed",
        "code_version": "0.1.0",
        "inputs": "ab12",
    }


def make_candidate(home: Home, number: int, as_of: date = AS_OF, customers: int = 3, amount: int = 1) -> str:
    """A judged candidate of new tables, ready to be published; returns its id."""
    fill(home, as_of, customers, amount)
    return judge_candidate(home, number, as_of)


def judge_candidate(home: Home, number: int, as_of: date = AS_OF) -> str:
    """A judged candidate of the tables that are there already; returns its id."""
    id_ = publication_id(number)
    candidate = build_candidate(home, as_of, id_, f"run-{number}")
    sealed = finish_candidate(candidate, checks(), publication_row(BEGIN + timedelta(seconds=number)))
    write_record(home, GateRecord(id_, as_of, sealed, True, checks(), datetime.now(UTC), f"run-{number}"))
    return id_


def publish_one(
    home: Home, number: int, as_of: date = AS_OF, customers: int = 3, amount: int = 1, keep: int = 10
) -> Published:
    """The whole way: candidate, seal, record, publication."""
    return publish(home, make_candidate(home, number, as_of, customers, amount), REQUIRED, keep)


def resealed(folder: Path) -> None:
    """As if the version had been published as it is now: for those that a test makes to be of an earlier code."""
    (folder / STOOD).unlink()
    mark_stood(folder, datetime.now(UTC))


def storage_version(file: Path) -> int:
    """The version number in a DuckDB file's header: 65 is v1.2.0, 69 what DuckDB 2.0 writes when it is not told."""
    return int.from_bytes(file.read_bytes()[12:20], "little")


def _value(column: Column, as_of: date, amount: int) -> str:
    if column.vocabulary:
        return f"'{column.vocabulary[0]}'"
    if column.name == "customer_id":
        return "'shop:' || range"
    if column.type == "varchar":
        return f"'{column.name}'"
    if column.type == "date":
        return f"'{as_of}'"
    if column.type == "timestamp":
        return "'2024-01-02 03:04:05'"
    if column.type == "boolean":
        return "false"
    return str(amount) if column.type.startswith("decimal") else "1"
