"""`cvm status`: what stands, what is stale, approximate or quarantined and why, and which attempts came to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project


def status(config: Config = None, as_json: AsJson = False) -> None:
    """Show the newest snapshot, the gate's result, rows by source, what is stale or quarantined, and blocked attempts.

    Examples:  cvm status  ·  cvm status -c shop/cvm.yml --json
    """
    project = project_of(config, quiet=as_json, needs_secrets=False)
    facts = _facts(project)
    if as_json:
        words.print_json(facts)
    else:
        _report(project, facts)


def _facts(project: Project) -> dict[str, Any]:
    from cvm_pipeline.cli.remarks import out_of_date, vanished
    from cvm_pipeline.sources.state import state_of_sources
    from cvm_pipeline.warehouse.attempts import last_attempts
    from cvm_pipeline.warehouse.gate_record import newest_record
    from cvm_pipeline.warehouse.lock import lock_holder
    from cvm_pipeline.warehouse.summary import publications, published_sources, warnings_of

    published = publications(project.home)
    record = newest_record(project.home)
    stood = {row["publication_id"] for row in published}
    attempts = [attempt for attempt in last_attempts(project.home, 50) if attempt.outcome in ("blocked", "failed")]
    moved = [attempt for attempt in last_attempts(project.home, 50) if attempt.outcome == "rolled back"]
    since = published[0]["published_at"] if published else None
    return {
        "project": project.project,
        "home": project.home.root,
        "newest": published[0] if published else None,
        "publications": len(published),
        **out_of_date(project),
        "vanished_files": [vars(file) for file in vanished(project)],
        "warnings": [vars(each) for each in warnings_of(project.home, published[0]["publication_id"])] if published else [],
        "sources": published_sources(project.home),
        "work": state_of_sources(project.home.work_file),
        "last_gate": None if record is None else {
            "publication_id": record.publication_id, "passed": record.passed, "published": record.publication_id in stood,
        },
        "failed_attempts": [
            vars(attempt) for attempt in attempts if since is None or attempt.ended_at.replace(tzinfo=None) > since
        ],
        "rolled_back": vars(moved[0]) if moved and (since is None or moved[0].ended_at.replace(tzinfo=None) > since) else None,
        "running": lock_holder(project.home),
        "erasure_unfinished": project.home.forgetting.exists(),
    }  # fmt: skip


def _report(project: Project, facts: dict[str, Any]) -> None:
    from cvm_pipeline.cli.remarks import told_warnings
    from cvm_pipeline.cli.summary import print_sources, print_summary
    from cvm_pipeline.warehouse.summary import Warned

    newest = facts["newest"]
    if newest is None:
        words.say(f"{project.project}: nothing is published yet (home {project.home.root})")
    else:
        print_summary(project)
        words.output().print(
            f"Last publication {newest['publication_id']} at {newest['published_at']:%Y-%m-%d %H:%M} UTC brought the snapshot"
            f" of {newest['as_of_date']}, data through {newest['data_through']}, gate: {newest['gate_summary']}",
            soft_wrap=True,
        )
        for line in told_warnings(newest["publication_id"], [Warned(**each) for each in facts["warnings"]]):
            words.output().print(line, style="yellow", markup=False, soft_wrap=True)
    if facts["sources"]:
        words.output().print(
            f"Rows of the sources, as they were published with {newest['publication_id']}:", soft_wrap=True
        )
        print_sources(facts["sources"])
    if facts["work"]["quarantine"] or facts["work"]["notes"]:
        words.output().print(_read_by(facts), soft_wrap=True)
        for note in (*(f"quarantined: {reason}" for reason in facts["work"]["quarantine"]), *facts["work"]["notes"]):
            words.output().print(note, style="yellow", markup=False, soft_wrap=True)
    for note in _notes(project, facts):
        words.output().print(note, style="yellow", markup=False, soft_wrap=True)
    if facts["failed_attempts"]:
        # The step that failed stands before the colon: only a candidate has a gate to explain.
        by_gate = facts["failed_attempts"][0]["reason"].startswith("gate:")
        words.next_step("cvm gate explain" if by_gate else "cvm check")
    elif newest is None:
        words.next_step("cvm run")


def _read_by(facts: dict[str, Any]) -> str:
    """Whose rows the reasons of quarantine are about: the newest run's, which readers may see nothing of."""
    if not facts["failed_attempts"]:
        return "Refused or approximate, in the files as a run last read them:"
    newest = facts["failed_attempts"][0]
    return (
        f"Refused or approximate, in the files as a run last read them (the newest was {newest['outcome']} at"
        f" {newest['ended_at']:%Y-%m-%d %H:%M} UTC, and readers see nothing of it):"
    )


def _notes(project: Project, facts: dict[str, Any]) -> list[str]:
    from cvm_pipeline.cli.remarks import told_out_of_date, told_vanished
    from cvm_pipeline.sources.ingest import Vanished

    notes = told_vanished([Vanished(**file) for file in facts["vanished_files"]])
    notes += told_out_of_date(project, facts["changed_snapshots"], facts["stale_snapshots"])
    for attempt in facts["failed_attempts"][:5]:
        notes.append(f"{attempt['outcome']} at {attempt['ended_at']:%Y-%m-%d %H:%M} UTC: {attempt['reason']}")
    if facts["rolled_back"] is not None:
        moved = facts["rolled_back"]
        notes.append(f"rolled back at {moved['ended_at']:%Y-%m-%d %H:%M} UTC {moved['reason']}")
    if facts["erasure_unfinished"] and facts["running"] is None:
        notes.append("an erasure was interrupted: ask for it again with `cvm forget`, and it is completed")
    if facts["running"] is not None:
        running = facts["running"]
        notes.append(f"running now: {running.command}, process {running.pid} on {running.host} since {running.since}")
    return notes
