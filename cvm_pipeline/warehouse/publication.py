"""Publication: the one step by which readers come to see a candidate, and the reasons for refusing it.

Belongs here: the refusal rules, the order of the steps on disk, retention. Not here: building (`candidate.py`), judging
(`quality/`). Refusal rests on the record and the files alone, whoever calls: a publish asset launched by itself, past
every check of a run, still can't publish what was not audited.

A kill between any two steps leaves readers with the earlier publication or the new one, whole:
1. the candidate's folder is renamed to its version; 2. the fixed paths are made where they are missing (they dangle
before the first publication); 3. the symlink `current` is swapped by rename: this is the publication; 4. the version
is marked as having stood, with a seal of its files; 5. old versions are removed. A kill between 3 and 4 is made good by
whatever comes next, a rollback too: a version that readers saw is never taken for a candidate again. Before 3 it is no version yet: the same publication can be
asked for again, and the next run removes it.

A target (PostgreSQL, a folder of Parquet files) follows: before 1 it is brought all that it lacks, unseen, so that its
faults refuse the publication while nothing has changed; after 3 it shows the version, in a step that is atomic there. A
kill between the two leaves its readers with the earlier publication, whole, until the same publication is asked for again
or the next one comes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contract_change import refusals
from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES
from cvm_pipeline.warehouse.candidate import candidate_folder
from cvm_pipeline.warehouse.errors import PublicationRefused, WarehouseError, errors_explained
from cvm_pipeline.warehouse.files import hash_of, hashes_of, point, step, sync
from cvm_pipeline.warehouse.gate_record import GateRecord, Required, Rule, read_record
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.seal import STOOD, Seal, make_read_only, mark_stood, seal_of, stood_since
from cvm_pipeline.warehouse.targets.follow import bring, follow
from cvm_pipeline.warehouse.targets.protocol import Session, Target
from cvm_pipeline.warehouse.targets.used import remember_target
from cvm_pipeline.warehouse.versions import (
    PII_FILE,
    checked_id,
    contract_of,
    kept_ids,
    mark_standing,
    order_of,
    read_manifest,
    retire,
    standing,
    tidy,
)


@dataclass(frozen=True)
class Published:
    """A publication that stands. `leftovers` says what could not be cleared away; readers never see it."""

    publication_id: str
    as_of_date: date
    folder: Path
    leftovers: str = ""


def publish(
    home: Home,
    publication_id: str,
    required: Required,
    keep: int = 10,
    target: Target | None = None,
) -> Published:
    """Make a candidate the version that readers see, in the home and in the target, or refuse.

    `required` names the checks that each gated table of the contract must show in the candidate's record, each judged by
    the very rule that is given: one that was tightened since opens nothing. Published
    already: returns at once, having cleared up. Raises `PublicationRefused` with every reason, `LockHeld`, or
    `WarehouseError`; what readers see is then unchanged. `keep` versions are kept, the standing one always.
    """
    if keep < 1:
        raise ValueError("at least one version must be kept")
    version = home.versions / checked_id(publication_id)
    with run_lock(home, "publish", publication_id), held(target, f"publish {publication_id}") as session:
        if target is not None:
            remember_target(home, target)
        unmarked, base = "", standing(home)
        if base is None or base.name != publication_id:
            built = candidate_folder(home, publication_id)
            # After a kill between rename and swap the candidate already lies where it will stand.
            folder = version if version.is_dir() and not (version / STOOD).exists() else built
            with errors_explained("reading a candidate", folder):
                hashes = hashes_of(folder)
            reasons = _reasons(home, publication_id, folder, base, hash_of(hashes), required)
            if reasons:
                raise PublicationRefused(publication_id, reasons)
            if session is not None:
                bring(session, home, folder)
            with errors_explained("publishing", home.warehouse):
                unmarked = _show(home, folder, version, seal_of(folder, hashes))
        as_of_date = date.fromisoformat(str(read_manifest(version)["as_of_date"]))
        if session is not None:
            follow(session, home, version)
        leftovers = "; ".join(filter(None, (unmarked, _clear(home, version, keep, session))))
        return Published(publication_id, as_of_date, version, leftovers)


@contextmanager
def held(target: Target | None, purpose: str) -> Iterator[Session | None]:
    """Hold the target, where there is one."""
    if target is None:
        yield None
    else:
        with target.session(purpose) as session:
            yield session


def _show(home: Home, folder: Path, version: Path, seal: Seal) -> str:
    if folder != version:
        step("open the version to readers")
        make_read_only(folder, PII_FILE)
        shutil.copymode(home.versions, folder)
        step("rename the candidate")
        folder.rename(version)
    return show_version(home, version, seal)


def show_version(home: Home, version: Path, seal: Seal | None = None) -> str:
    """Point readers of the home's files at a version: the fixed paths where they are missing, then the one swap.

    Returns what could not be marked, '' where all was: readers see the version by then.
    """
    mark_standing(home)
    step("sync versions")
    sync(home.versions)
    for path in (home.published_file, home.published_pii_file, home.published_dictionary):
        inner = f"{home.current.name}/{path.name}"
        if not (version / path.name).exists():
            continue
        if not path.is_symlink() or str(path.readlink()) != inner:
            point(path, inner)
    point(home.current, f"{home.versions.name}/{version.name}")
    try:
        mark_stood(version, datetime.now(UTC), seal)
    except OSError as error:
        return f"readers see it, but {version / STOOD} could not be written: {error}"
    return ""


def _clear(home: Home, version: Path, keep: int, session: Session | None) -> str:
    # Readers see the publication by now: what can't be cleared away must not call it failed.
    try:
        tidy(home, spare=version.name)
        retire(home, keep)
        if session is not None:
            session.retire(kept_ids(home))
    except (OSError, WarehouseError) as error:
        return f"published, but what is no longer kept could not be removed: {error}"
    return ""


def _reasons(
    home: Home,
    publication_id: str,
    folder: Path,
    base: Path | None,
    content: str,
    required: Required,
) -> list[str]:
    if not folder.is_dir():
        if (home.versions / publication_id).is_dir():
            return [f"it stood before and was rolled back. To point readers at it again: cvm rollback {publication_id}"]
        return ["there is no such candidate. Run the pipeline again"]
    record = read_record(home, publication_id)
    if record is None:
        return ["no gate has judged this candidate. Run the whole job, not the publication alone"]
    reasons = []
    if record.publication_id != publication_id:
        reasons.append(f"the gate's record is of {record.publication_id}, not of this candidate")
    if not record.passed:
        reasons.append("the gate did not pass it. See `cvm gate explain`")
    if record.contract_version != CONTRACT_VERSION:
        reasons.append(f"it was judged under contract {record.contract_version}, not {CONTRACT_VERSION}. Run again")
    if base is not None:
        standing_version, stands = contract_of(base)
        reasons += refusals(stands, standing_version)
    if content != record.content_hash:
        reasons.append("its files were changed after the gate judged them. Run the pipeline again")
    reasons += _check_reasons(record, required)
    reasons += _overtaken(record, folder, base)
    return reasons


def _check_reasons(record: GateRecord, required: Required) -> list[str]:
    gated = [table.name for table in TABLES if table.gated]
    reasons = [f"no check is required of {name}: its suite is missing" for name in gated if not required.get(name)]
    shown: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for check in record.checks:
        shown.setdefault((str(check.get("suite")), str(check.get("expectation"))), []).append(check)
    for table, rules in required.items():
        absent = sorted(name for name in rules if (table, name) not in shown)
        if absent:
            reasons.append(f"{table} was not checked for {', '.join(absent)}")
        others = sorted(
            name
            for name, rule in rules.items()
            if any(check.get("rule") != rule.digest for check in shown.get((table, name), ()))
        )
        if others:
            reasons.append(f"{table} was judged by another rule than today's for {', '.join(others)}. Run again")
    failed = sorted(
        f"{suite}: {name}"
        for (suite, name), checks in shown.items()
        if not all(_stands(check, required.get(suite, {}).get(name)) for check in checks)
    )
    if failed:
        reasons.append(f"failed and not accepted: {', '.join(failed)}. See `cvm gate explain`")
    return reasons


def _stands(check: Mapping[str, Any], rule: Rule | None) -> bool:
    # A check of warnings that could not be judged is critical in the record; one that the suite calls critical always is.
    warns = check.get("severity") == "warning" and (rule is None or rule.severity == "warning")
    return check.get("success") is True or warns or bool(check.get("accepted_reason"))


def _overtaken(record: GateRecord, folder: Path, base: Path | None) -> list[str]:
    name = base.name if base is not None else ""
    manifest = read_manifest(folder)
    if manifest["built_on"] != name:
        return [
            f"overtaken: it was built on {manifest['built_on'] or 'nothing'}, and {name or 'nothing'} stands now. "
            "Run again"
        ]
    if base is None:
        return []
    since = stood_since(base)
    if since is not None and record.created_at < since:
        return [f"overtaken: the gate judged it before {name} was published. Run again"]
    if order_of(record.publication_id) < order_of(name):
        return [
            f"overtaken: {name}, which stands, is newer. Is this machine's clock right? If the other run's was wrong, "
            "point readers at the version before (cvm rollback VERSION), then run again"
        ]
    return []
