"""The gate: a candidate is built beside what stands, every suite judges it, and the verdict is sealed with its content.

Belongs here: the order of these steps, which hands `warehouse/` and `quality/` to one another. Not here: the judging, the
thresholds, the building, the refusal to publish.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from cvm_pipeline.config.paths import expectations_folder
from cvm_pipeline.config.project import Project
from cvm_pipeline.config.settings import byte_count
from cvm_pipeline.config.version import code_version
from cvm_pipeline.defs.last_rows import attach_standing, rows_of_last_publication
from cvm_pipeline.domain.contracts import Table
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.quality import gate_facts
from cvm_pipeline.quality.complete import assert_complete
from cvm_pipeline.quality.last_publication import parameters_of
from cvm_pipeline.quality.results import QualityReport, accept
from cvm_pipeline.quality.source import DuckTable
from cvm_pipeline.quality.suite import Suite, load_suites
from cvm_pipeline.quality.tables import GATED, PRIVATE_SCHEMA
from cvm_pipeline.quality.validate import validate
from cvm_pipeline.report.dictionary_page import dictionary_page
from cvm_pipeline.warehouse.attempts import forget_old_attempts
from cvm_pipeline.warehouse.candidate import Candidate, add_page, build_candidate, finish_candidate, open_candidate
from cvm_pipeline.warehouse.ddl import qualified
from cvm_pipeline.warehouse.gate_record import GateRecord, Rule, forget_old_records, write_record
from cvm_pipeline.warehouse.versions import new_publication_id, snapshots
from cvm_pipeline.warehouse.work import EngineSettings

FACTS = "gate_fact"

# Of the engine, whatever it may have elsewhere: the whole gate over 10 million customers is promised to stay below 3 GiB.
JUDGING_MEMORY = "1GiB"


@dataclass(frozen=True)
class Verdict:
    """What the gate found on one candidate, and the rows that it wrote into each table."""

    candidate: Candidate
    report: QualityReport
    record: GateRecord


def complete_suites() -> dict[str, Suite]:
    """The shipped suites. Raises SuiteIncomplete with all that they lack: nothing is judged by half a suite."""
    suites = load_suites(expectations_folder())
    assert_complete(suites, GATED)
    return suites


def settings_of(project: Project) -> dict[str, Any]:
    """The bounds that checks take from the configuration."""
    return {"min_customers_share": project.quality.min_customers_share}


def required_checks(suites: Mapping[str, Suite], settings: Mapping[str, Any]) -> dict[str, dict[str, Rule]]:
    """The checks that a candidate's record must show, by suite, each judged by its rule of now."""
    return {
        name: {check.name: Rule(check.rule(settings), check.severity) for check in suite.checks}
        for name, suite in suites.items()
    }


def report_of(record: GateRecord) -> QualityReport:
    """The report that a record was written from."""
    rows = [{**check, "expectation": check["kind"]} for check in record.checks]
    return QualityReport.from_json({n: row[n] for n in row if n not in ("kind", "rule")} for row in rows)


def memory_date(project: Project, as_of: dt.date) -> dt.date | None:
    """The newest published snapshot on the grid that is earlier than `as_of`: what memory is read from."""
    earlier = [
        s.as_of_date for s in snapshots(project.home) if s.as_of_date < as_of and project.is_on_grid(s.as_of_date)
    ]
    return max(earlier, default=None)


def audit(
    project: Project,
    engine: EngineSettings,
    as_of: dt.date,
    run_id: str,
    now: dt.datetime,
    accepted: Mapping[str, str],
    data_through: dt.date | None,
    inputs: str,
) -> Verdict:
    """Build the candidate of this run, judge it, seal it, and write its record. Readers see nothing of it.

    Raises WarehouseError, SuiteIncomplete, and AcceptanceRefused for an acceptance that names no failing relative check.
    """
    suites = complete_suites()
    rules = required_checks(suites, settings_of(project))
    candidate = build_candidate(project.home, as_of, new_publication_id(now), run_id, engine)
    add_page(candidate, project.home.published_dictionary.name, dictionary_page())
    report = accept(judge(project, candidate, suites, engine), accepted)
    content = finish_candidate(
        candidate,
        report.to_rows(candidate.publication_id),
        {
            "data_through": data_through,
            "published_at": now,
            "currency": project.currency,
            "timezone": project.timezone,
            "gate_summary": report.summary(),
            "code_version": code_version(),
            "inputs": inputs,
        },
    )
    record = GateRecord(
        publication_id=candidate.publication_id,
        as_of_date=as_of,
        content_hash=content,
        passed=not report.blocking_failures(),
        checks=[
            {
                **row,
                "expectation": row["name"],
                "kind": row["expectation"],
                "rule": rules[row["suite"]][row["name"]].digest,
            }
            for row in report.to_json()
        ],
        created_at=now,
        run_id=run_id,
    )
    write_record(project.home, record)
    # Here, not after publication: a project that is blocked for months must not fill its disk.
    forget_old_records(project.home)
    forget_old_attempts(project.home)
    return Verdict(candidate, report, record)


def judge(
    project: Project,
    candidate: Candidate,
    suites: Mapping[str, Suite],
    engine: EngineSettings | None = None,
    judged: Callable[[str], None] = lambda suite: None,
) -> QualityReport:
    """Every suite on this candidate, in bounded memory; `judged` is told each suite's end. Nothing is written."""
    settings = settings_of(project)
    names = gate_facts.Names(
        candidate="warehouse.cvm",
        pii="pii.cvm_pii",
        marts="work.marts",
        memory_date=memory_date(project, candidate.as_of_date),
        is_on_grid=project.is_on_grid(candidate.as_of_date),
    )
    reports = []
    with open_candidate(candidate) as con:
        _bound_memory(con, project, engine or EngineSettings())
        con.execute(f"attach {literal(str(project.home.work_file))} as work (read_only)")
        attach_standing(con, project.home, candidate)
        for table in GATED:
            if table.name != FACTS:
                suite, now = suites[table.name], _rows_of(con, table, candidate)
                last = rows_of_last_publication(con, table, candidate)
                reports.append(validate(now, suite, settings | parameters_of(suite, now, last)))
                judged(table.name)
        facts = gate_facts.compute(con, names, candidate.as_of_date)
        reports.append(gate_facts.judge(facts, candidate.as_of_date, suites[FACTS], settings))
        judged(FACTS)
    return QualityReport.combined(reports)


def _bound_memory(con: duckdb.DuckDBPyConnection, project: Project, engine: EngineSettings) -> None:
    # Beside it stands what Great Expectations holds, in the same process.
    configured = engine.memory_limit
    if configured is None or byte_count(configured) > byte_count(JUDGING_MEMORY):
        configured = JUDGING_MEMORY
    con.execute(f"set memory_limit = {literal(configured)}")
    # Else it would spill beside the candidate, whose files are about to be sealed.
    con.execute(f"set temp_directory = {literal(str(project.home.scratch))}")
    if engine.threads is not None:
        con.execute(f"set threads = {engine.threads}")


def _rows_of(con: duckdb.DuckDBPyConnection, table: Table, candidate: Candidate) -> DuckTable:
    """The rows that this candidate brings: of a table with snapshots only its own, of stays those that it states anew."""
    relation = qualified(table, "pii" if table.schema == PRIVATE_SCHEMA else "warehouse")
    if table.writing == "snapshot":
        return DuckTable(con, relation, "as_of_date = $as_of", {"as_of": candidate.as_of_date})
    if table.writing == "stays":
        restated = "(valid_to is null or valid_to >= $as_of)"
        return DuckTable(con, relation, restated, {"as_of": candidate.as_of_date})
    return DuckTable(con, relation)
