"""A trial of a project's sources in a scratch folder: what a run would find, without leaving anything behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cvm_pipeline.config.exit_codes import DONE, FAILED
from cvm_pipeline.config.home import Home
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.gate import complete_suites
from cvm_pipeline.defs.project_sources import clean_settings, specs_of, suppression_of
from cvm_pipeline.defs.workshop import engine_of, exit_code_of, utc_now
from cvm_pipeline.sources.clean import build_clean
from cvm_pipeline.sources.errors import QuarantineTooLarge, SourceError, SourceErrors
from cvm_pipeline.sources.ingest import Vanished, borrow_landed, land, landed, vanished_files
from cvm_pipeline.warehouse.summary import rows_by_source
from cvm_pipeline.warehouse.work import connect

# On fewer orders it says nothing that nobody has come back yet.
_MANY_ORDERS = 200


@dataclass
class Trial:
    """What was found: rows by source, the commonest reasons of quarantine, notes, files that count though they are gone, and
    problems with their exit code."""

    exit_code: int = DONE
    sources: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    vanished: list[Vanished] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def try_out(project: Project, progress: Callable[[str], None] = lambda step: None) -> Trial:
    """Land, map and account for every row in a scratch folder, those of landed files that vanished included, as a run would.

    Raises SuiteIncomplete where the gate itself is not sound."""
    complete_suites()
    trial = Trial()
    now = utc_now()
    with tempfile.TemporaryDirectory(prefix="cvm-check-") as scratch:
        home = Home(Path(scratch))
        try:
            known = suppression_of(project, now, keeps=False)
            borrow_landed(specs_of(project), project.home.landing, home.landing)
            reports = land(specs_of(project), project.root, home.landing, now, suppression=known)
            trial.notes += [f"{name}: the file is empty" for report in reports for name in report.empty]
            trial.vanished = vanished_files(specs_of(project), project.root, home.landing)
            sources = landed(specs_of(project), home.landing)
            with connect(home, engine_of(project)) as con:
                try:
                    build_clean(con, sources, clean_settings(project, now), progress)
                except QuarantineTooLarge as error:
                    _refuse(trial, error)
                _describe(trial, con, project)
        except SourceError as error:
            _refuse(trial, error)
    return trial


def _refuse(trial: Trial, error: SourceError) -> None:
    trial.problems += [str(inner) for inner in (error.errors if isinstance(error, SourceErrors) else [error])]
    trial.exit_code = max(trial.exit_code, exit_code_of(error) or FAILED)


def _describe(trial: Trial, con: Any, project: Project) -> None:
    trial.sources = rows_by_source(con, "clean.ingest_audit")
    reasons = con.execute("""
        select source, rule, count(*) as n, arg_min(file || ':' || line || ' ' || detail, (file, line))
        from clean.quarantine group by source, rule order by n desc limit 10
    """).fetchall()
    trial.reasons = [f"{source}: {rule} x {n}, such as {example}" for source, rule, n, example in reasons]
    covered, anonymous, orders = con.execute("""
        select coalesce(sum(abs(amount)) filter (where cost is not null) / nullif(sum(abs(amount)), 0), 0),
               count(*) filter (where customer_id is null), count(*) from clean.orders
    """).fetchall()[0]
    if covered < 0.8:
        held = (
            "value is revenue"
            if project.clv.margin_rate == 1
            else f"a margin rate of {project.clv.margin_rate:g} holds"
        )
        trial.notes.append(f"costs cover {covered:.0%} of revenue, under 80 %: {held} (clv.margin_rate)")
    if anonymous:
        trial.notes.append(f"{anonymous:,} of {orders:,} orders have no customer: in the totals, in no customer table")
    buyers, bought = con.execute("""
        select count(distinct customer_id), count(*) from clean.orders where customer_id is not null and not is_return
    """).fetchall()[0]
    if bought >= _MANY_ORDERS and buyers > 0.99 * bought:
        trial.notes.append(
            f"{buyers:,} customers for {bought:,} orders: almost nobody ordered twice. Is customer_id an id of the order?"
        )
