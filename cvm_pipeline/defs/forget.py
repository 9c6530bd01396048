"""`cvm forget`: one person leaves every place below a home, and what else readers use.

Belongs here: which places there are, and their order. Not here: how a place is rewritten (`sources/forgetting.py`,
`warehouse/erasing.py`, `redacting.py`, `targets/`).

The person goes on the suppression list first, so that no run brings anybody back from then on; then all that is needed to
find them (ids, orders, values) is written to `forgetting.json`, readable by the owner only, since each further step takes
away what it is found by: 1. versions; 2. the target, and those of earlier days; 3. gate records, the log of runs, Dagster's history; 4. dbt's files
that name them; 5. landed copies; 6. the work file, of which the clean tables are built anew. Last `forgetting.json` goes, and the log
says that somebody was erased. Each step is safe to repeat: asked again after a death, all are.

Aggregates stay as published: they hold no person, and the next run computes without. An erasure alone is no
reason to make a snapshot anew (`warehouse/inputs.py`). Not reached are the raw files that the
project's owner keeps, exports, and backups: the list keeps a raw file from bringing anybody back.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cvm_pipeline.config.home import Home
from cvm_pipeline.config.project import Project
from cvm_pipeline.defs.project_sources import clean_settings, specs_of, suppression_of
from cvm_pipeline.defs.workshop import engine_of
from cvm_pipeline.domain.redaction import Redaction, is_telling
from cvm_pipeline.sources.clean import build_clean_if_changed
from cvm_pipeline.sources.errors import SourceError
from cvm_pipeline.sources.forgotten import CUSTOMER, VALUE, Forgotten, read_forgotten, write_forgotten
from cvm_pipeline.sources.ingest import erase_landed, landed, landed_customers, stray_zones
from cvm_pipeline.sources.whose import Values
from cvm_pipeline.warehouse.attempts import Attempt, record_attempt
from cvm_pipeline.warehouse.erasing import erase_from_versions, known_customers, personal_values, unmatched_orders
from cvm_pipeline.warehouse.errors import ForgetRefused, errors_explained
from cvm_pipeline.warehouse.files import step, sync, write_atomically
from cvm_pipeline.warehouse.inputs import keep_inputs, unchanged_snapshots
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.publication import held
from cvm_pipeline.warehouse.redacting import redact_records, redact_sqlite
from cvm_pipeline.warehouse.targets.choose import target_of
from cvm_pipeline.warehouse.targets.follow import erase
from cvm_pipeline.warehouse.targets.protocol import Session
from cvm_pipeline.warehouse.targets.used import erase_from_earlier, folders_of
from cvm_pipeline.warehouse.traces import traces
from cvm_pipeline.warehouse.versions import tidy
from cvm_pipeline.warehouse.work import connect

_SHORTEST_NAME = 6


@dataclass
class Person:
    """All that a person is known by, in clear; kept only while they are being forgotten."""

    mark: str
    keys: list[list[str]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    strong: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    # Snapshots that nothing but this erasure changes.
    unchanged: dict[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        """Every id of theirs and of their orders."""
        return {*self.published, *self.orders, *(id_ for _, id_ in self.keys)}

    @property
    def values(self) -> Values:
        telling = filter(is_telling, self.ids)
        return Values(*(tuple(sorted({v.strip().lower() for v in g})) for g in (self.strong, self.names, telling)))

    @property
    def redaction(self) -> Redaction:
        return Redaction(self.ids, [*self.strong, *(name for name in self.names if len(name) >= _SHORTEST_NAME)])


@dataclass(frozen=True)
class Forgot:
    """What was done. `mark`: the first digits of the person's hash.

    `left`: files that still hold a value or id of theirs; `unreached`: earlier targets that may; `unsure`: what nothing
    could tell from a number or a common word.
    """

    mark: str
    versions: tuple[str, ...]
    target_rows: int
    landed_rows: int
    records: int
    left: tuple[Path, ...] = ()
    unreached: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether there was nothing left to erase."""
        return not (self.versions or self.target_rows or self.landed_rows or self.records)


def forget(
    project: Project,
    customer_id: str,
    reason: str,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda step: None,
) -> Forgot:
    """Erase a customer, by the id that readers know, everywhere; and complete an erasure that died.

    Raises `ForgetRefused` for an id that nothing knows; `LockHeld`; `WarehouseError`; SourceError where a mapping no longer
    fits the landed files.
    """
    home = project.home
    with run_lock(home, "cvm forget"), held(target_of(project), "forget") as session:
        progress("finding the person")
        with errors_explained("clearing up", home.warehouse):
            tidy(home)
            for rest in home.root.glob(".*.tmp"):
                rest.unlink()
        forgotten = read_forgotten(home.forgotten)
        pending = _pending(home)
        asked = _known(project, customer_id, forgotten, now)
        if asked is None and pending is None:
            raise ForgetRefused(
                f"no customer {customer_id!r}: neither landed files nor a kept version know that id. It is the customer_id"
                " of cvm.customer_value; with several source systems it is system:id."
            )
        people = [pending] if pending is not None else []
        if asked is not None and asked.mark not in [person.mark for person in people]:
            people.append(asked)
        return [_erase(project, person, session, forgotten, reason, now, progress) for person in people][-1]


def _erase(
    project: Project,
    person: Person,
    session: Session | None,
    forgotten: Forgotten,
    reason: str,
    now: dt.datetime,
    progress: Callable[[str], None],
) -> Forgot:
    home, specs = project.home, specs_of(project)
    suppression = suppression_of(project, now)
    step("put the person on the list")
    _write_list(home, forgotten)
    person = _gathered(project, person, forgotten, now)
    person.unchanged = person.unchanged or unchanged_snapshots(home, project.config_hash)
    _write_list(home, forgotten)
    step("write the plan")
    _write_plan(home, person)
    redaction = person.redaction
    progress("writing versions anew")
    versions = erase_from_versions(home, person.published, redaction, project.engine.memory_limit)
    progress("erasing where readers are")
    rows = erase(session, home, person.published, redaction) if session is not None else 0
    earlier, unreached = erase_from_earlier(home, target_of(project), person.published, redaction)
    rows += earlier
    progress("erasing from records of runs")
    records = redact_records(home, redaction) + redact_sqlite(home.dagster, redaction) + _clear_dbt(home, person)
    progress("erasing landed rows")
    _, erase_copies = erase_landed(specs, home.landing, forgotten, suppression, person.values, step)
    landed = erase_copies()
    _write_list(home, forgotten)
    step("remove the work file")
    with errors_explained("removing the work warehouse", home.work_file.parent):
        if home.work_file.parent.exists():
            shutil.rmtree(home.work_file.parent)
    progress("cleaning what is left")
    _clean_anew(project, person, now)
    done = Forgot(person.mark, tuple(versions), rows, landed, records, unreached=tuple(unreached))
    if not done.nothing:
        told = f"customer {person.mark}: {redaction.text(reason) or 'no reason given'}"
        record_attempt(home, Attempt("", None, now, dt.datetime.now(dt.UTC), "erased", told))
    step("remove the plan")
    home.forgetting.unlink(missing_ok=True)
    sync(home.root)
    progress("looking for traces")
    return replace(done, left=tuple(_left(home, person)), unsure=tuple(_unsure(project, person)))


def _clean_anew(project: Project, person: Person, now: dt.datetime) -> None:
    """The clean tables without the person, of what is landed and nothing newer: what the snapshots that stand know now."""
    if not person.unchanged:
        return
    try:
        with connect(project.home, engine_of(project)) as con:
            sources = landed(specs_of(project), project.home.landing)
            build_clean_if_changed(con, sources, clean_settings(project, now), project.config_hash)
            keep_inputs(con, project.home, project.config_hash, person.unchanged)
    except SourceError:
        # The erasure is done; the next run, which lands first, tells what can't be read and which snapshots that leaves.
        return


def _left(home: Home, person: Person) -> list[Path]:
    """Files of the home and of targets that still hold what is theirs and could be nothing else."""
    values = [value for value in (*person.strong, *_full(person.names)) if len(value) >= _SHORTEST_NAME]
    words = sorted(filter(is_telling, person.ids))
    roots = [home.root, *(folder for folder in folders_of(home) if not folder.is_relative_to(home.root.absolute()))]
    return [path for root in roots for path in traces(Home(root), values, words=words)]


def _unsure(project: Project, person: Person) -> list[str]:
    """What nothing could tell: ids and names that may be anything, where no column says what they are."""
    told = []
    vague = [id_ for id_ in person.published if not is_telling(id_)]
    if vague:
        told.append(
            f"the id {vague[0]} may be any number or word: it was erased as an id, and not looked for in free text"
        )
        told += [
            f"{folder} is of no source in cvm.yml: rows that name them by {vague[0]} alone can't be told there. Put the source"
            " back and ask again, or delete that folder"
            for folder in stray_zones(specs_of(project), project.home.landing)
        ]
    if len(_full(person.names)) < len(person.names):
        told.append("a name of theirs is a single word: it was erased as a name, and not looked for in free text")
    return told


def _full(names: Iterable[str]) -> list[str]:
    # A single word may be anybody's name.
    return [name for name in names if " " in name.strip()]


def _known(project: Project, customer_id: str, forgotten: Forgotten, now: dt.datetime) -> Person | None:
    """The person by the id that readers know; None where nothing knows it. Their customer ids go on the list."""
    specs = specs_of(project)
    pairs = landed_customers(specs, project.home.landing, suppression_of(project, now))
    systems = {system for system, _ in pairs} | {spec.constants.get("source_system", "default") for spec in specs}
    keys = [(system, customer_id) for system in systems]
    if len(systems) > 1:
        named = [(s, customer_id.removeprefix(f"{s}:")) for s in systems if customer_id.startswith(f"{s}:")]
        landed = [pair for pair in pairs if pair[1] == customer_id]
        listed = [key for key in keys if forgotten.knows(CUSTOMER, *key)]
        # Without its system it is an id of days when there was one: of which, only what stands somewhere can tell.
        keys = named or landed or listed or keys
        if not named and len(landed) > 1:
            forms = ", ".join(sorted(f"{system}:{id_}" for system, id_ in landed))
            raise ForgetRefused(f"{customer_id!r} is a customer of several source systems: name one of {forms}.")
    published = {f"{system}:{id_}" for system, id_ in keys} | {customer_id}
    # What was published while there was one system bears no prefix: it is theirs where nobody else has that id.
    published |= {id_ for _, id_ in keys if sum(other == id_ for _, other in pairs) <= 1}
    listed = [key for key in keys if forgotten.knows(CUSTOMER, *key)]
    if not (pairs & set(keys) or listed or known_customers(project.home, published)):
        return None
    forgotten.add(CUSTOMER, keys)
    mark = forgotten.hash_of(CUSTOMER, *sorted(keys)[0])[:12]
    return Person(mark, [list(key) for key in sorted(keys)], sorted(published))


def _gathered(project: Project, person: Person, forgotten: Forgotten, now: dt.datetime) -> Person:
    """The person with orders and values, as landed files and versions know them; what they own goes on the list."""
    home = project.home
    found, _ = erase_landed(specs_of(project), home.landing, forgotten, suppression_of(project, now))
    orders = {row[2] for row in found.told if row[2]} | unmatched_orders(home, person.published)
    told = {row[3:] for row in found.told} | personal_values(home, person.published)
    names = {row[0] for row in told if row[0]} | set(person.names)
    strong = {value for row in told for value in row[1:3] if value} | set(person.strong)
    known = {*strong, *_full(names)}
    forgotten.add(VALUE, [(value.strip().lower(),) for value in known])
    return Person(
        person.mark, person.keys, person.published, sorted(orders | set(person.orders)), sorted(strong), sorted(names),
        person.unchanged,
    )  # fmt: skip


def _pending(home: Home) -> Person | None:
    """The erasure that died, if one did."""
    try:
        return Person(**json.loads(home.forgetting.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _write_plan(home: Home, person: Person) -> None:
    with errors_explained("beginning an erasure", home.forgetting):
        write_atomically(home.forgetting, json.dumps(asdict(person)), 0o600)


def _write_list(home: Home, forgotten: Forgotten) -> None:
    with errors_explained("writing the list of forgotten people", home.forgotten):
        write_forgotten(home.forgotten, forgotten)


def _clear_dbt(home: Home, person: Person) -> int:
    """dbt's files are written anew by each run: those that name the person go."""
    values = [*person.strong, *person.names, *(id_ for _, id_ in person.keys), *person.orders]
    found = traces(Home(home.dbt_target.parent), [v for v in values if len(v) >= _SHORTEST_NAME and not v.isdigit()])
    for path in found:
        path.unlink()
    return len(found)
