"""All sources of a project: landing their files and look-ups, and finding again what was landed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cvm_pipeline.config.source import digest
from cvm_pipeline.sources.clean import LandedSource
from cvm_pipeline.sources.errors import SourceError, SourceErrors
from cvm_pipeline.sources.finding import find_files
from cvm_pipeline.sources.forgetting import Found, ListSieve, erase_copies, find, names_them, systems_of
from cvm_pipeline.sources.forgotten import Forgotten, read_forgotten, write_forgotten
from cvm_pipeline.sources.formats import Reading
from cvm_pipeline.sources.landing import LandingReport, LandingZone, land_source
from cvm_pipeline.sources.mapping import LandedPart
from cvm_pipeline.sources.spec import CleanSettings, SourceSpec
from cvm_pipeline.sources.whose import Values, stray_rows


@dataclass(frozen=True)
class Suppression:
    """Where the list of forgotten people lies, and what finding their rows needs. `keeps`: what it learns is written."""

    path: Path
    settings: CleanSettings
    scratch: Path
    keeps: bool = True


def land(
    specs: Sequence[SourceSpec],
    root: Path,
    landing: Path,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda file: None,
    suppression: Suppression | None = None,
) -> list[LandingReport]:
    """Land every source and its look-ups, without the rows of forgotten people.

    Raises SourceError, or SourceErrors with everything that was refused.
    """
    reports: list[LandingReport] = []
    refused: list[SourceError] = []
    landed_at = now.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    forgotten = read_forgotten(suppression.path) if suppression and suppression.path.exists() else None
    known = len(forgotten.hashes) if forgotten else 0
    for spec in specs:
        # Look-ups first: whose a row is may stand in one.
        for join, (name, path, reading) in reversed(list(zip((None, *spec.joins), _files(spec), strict=True))):
            sieve = None
            if suppression and forgotten:
                empty = LandedSource(spec, (), (), _lookups(spec, landing))
                sieve = ListSieve(empty, join, forgotten, suppression.settings, suppression.scratch)
            try:
                reports.append(land_source(_zone(landing, name), name, path, root, reading, landed_at, progress, sieve))
            except SourceErrors as errors:
                refused.extend(errors.errors)
            except SourceError as error:
                refused.append(error)
    if suppression and forgotten and len(forgotten.hashes) > known:
        # Orders that name a forgotten person: lines of theirs that name nobody may have come before.
        _, done = erase_landed(specs, landing, forgotten, suppression)
        if suppression.keeps:
            write_forgotten(suppression.path, forgotten)
        done()
    if refused:
        raise refused[0] if len(refused) == 1 else SourceErrors(refused)
    return reports


def landed(specs: Sequence[SourceSpec], landing: Path) -> list[LandedSource]:
    """What stands in the landing zone for each source. Raises SourceError where a source has nothing but empty files."""
    sources = []
    for spec in specs:
        standing, replaced = _parts(_zone(landing, spec.name))
        if standing and not any(part.file.read for part in standing):
            raise SourceError(
                f"source {spec.name}: its files hold no rows ({', '.join(part.file.name for part in standing[:3])})."
                " Check that the export was complete; the earlier publication stands"
            )
        sources.append(LandedSource(spec, standing, replaced, _lookups(spec, landing)))
    return sources


def erase_landed(
    specs: Sequence[SourceSpec],
    landing: Path,
    forgotten: Forgotten,
    suppression: Suppression,
    values: Values = Values(),
    step: Callable[[str], None] = lambda name: None,
) -> tuple[Found, Callable[[], int]]:
    """Find all landed rows of those on the list (which grows by what they own), and the call that erases them.

    Two steps, so that the list can be written in between; the call returns how many rows went.
    """
    sources = _sources(specs, landing)
    strays = stray_zones(specs, landing)
    with duckdb.connect(config={"temp_directory": str(suppression.scratch)}) as con:
        found = find(con, sources, forgotten, suppression.settings, values)
        for name, zone in strays.items():
            found.zones += [
                (name, theirs) for part in _parts(zone)[0] if (theirs := stray_rows(con, part, values)).lines
            ]
    zones = {name: _zone(landing, name) for spec in specs for name, _, _ in _files(spec)} | strays
    return found, lambda: erase_copies(zones, found, names_them(forgotten, found.systems, values), step)


def stray_zones(specs: Sequence[SourceSpec], landing: Path) -> dict[str, LandingZone]:
    """What sources left that are in the project no more, or under another name, by the path of its folder."""
    known = {_zone(landing, name).folder for spec in specs for name, _, _ in _files(spec)}
    folders = sorted(path for path in landing.iterdir() if path.is_dir()) if landing.is_dir() else []
    zones = [LandingZone(folder) for folder in folders if folder not in known]
    return {str(zone.folder): zone for zone in zones if zone.manifest.exists()}


def landed_customers(specs: Sequence[SourceSpec], landing: Path, suppression: Suppression) -> set[tuple[str, str]]:
    """Every (source system, customer id) that stands in the landing zone."""
    with duckdb.connect(config={"temp_directory": str(suppression.scratch)}) as con:
        return systems_of(con, _sources(specs, landing), suppression.settings)


def _sources(specs: Sequence[SourceSpec], landing: Path) -> list[LandedSource]:
    parts = [_parts(_zone(landing, spec.name)) for spec in specs]
    return [
        LandedSource(spec, there[0], there[1], _lookups(spec, landing))
        for spec, there in zip(specs, parts, strict=True)
        if there[0]
    ]


def _lookups(spec: SourceSpec, landing: Path) -> dict[str, tuple[LandedPart, ...]]:
    return {join.alias: _parts(_zone(landing, f"{spec.name}.{join.alias}"))[0] for join in spec.joins}


def _files(spec: SourceSpec) -> list[tuple[str, str, Reading]]:
    return [
        (spec.name, spec.path, spec.reading),
        *((f"{spec.name}.{join.alias}", join.path, join.reading) for join in spec.joins),
    ]


def _zone(landing: Path, name: str) -> LandingZone:
    # A source's name is the user's: as a folder it is kept to letters that mean nothing to a file system.
    safe = "".join(c if c.isalnum() or c in "_.-" else f"%{ord(c):x}" for c in name).lstrip(".") or "source"
    return LandingZone(landing / safe)


def _parts(zone: LandingZone) -> tuple[tuple[LandedPart, ...], tuple[LandedPart, ...]]:
    files = [(file, LandedPart(file, zone.records(file))) for file in zone.files()]
    return tuple(part for file, part in files if file.standing), tuple(
        part for file, part in files if not file.standing
    )


@dataclass(frozen=True)
class Vanished:
    """A file that is no longer there and whose rows count all the same; `rows` are those that its landed copy holds."""

    source: str
    name: str
    rows: int


def vanished_files(specs: Sequence[SourceSpec], root: Path, landing: Path) -> list[Vanished]:
    """Landed contents that count though no file of any of their names is there any more, without reading one."""
    vanished = []
    for spec in specs:
        for zone, path, _ in _files(spec):
            there = {name for _, name in find_files(path, root)}
            vanished += [
                Vanished(zone, file.name, file.rows + file.rejected)
                for file in _zone(landing, zone).files()
                if file.standing and there.isdisjoint(file.names) and file.rows + file.rejected
            ]
    return vanished


def borrow_landed(specs: Sequence[SourceSpec], landing: Path, scratch: Path) -> None:
    """Make a landing zone that begins as another one stands; nothing that is done to it changes the other.

    Copies are links: landing replaces a copy by a rename, and never writes into one.
    """
    for spec in specs:
        for name, _, _ in _files(spec):
            lender, borrower = _zone(landing, name), _zone(scratch, name)
            if not lender.manifest.exists():
                continue
            borrower.folder.mkdir(parents=True)
            borrower.manifest.write_bytes(lender.manifest.read_bytes())
            for copy in lender.folder.glob("*.parquet"):
                (borrower.folder / copy.name).symlink_to(copy.absolute())


def waiting_files(specs: Sequence[SourceSpec], root: Path, landing: Path) -> list[tuple[str, int, float]]:
    """Files whose name and size are not those of a landed one: (name, bytes, time of change), without reading any."""
    waiting = []
    for spec in specs:
        for name, path, _ in _files(spec):
            known = {(held, file.bytes) for file in _zone(landing, name).files() for held in file.names}
            for found, shown in find_files(path, root):
                stat = found.stat()
                if (shown, stat.st_size) not in known:
                    waiting.append((shown, stat.st_size, stat.st_mtime))
    return waiting


def landed_state(specs: Sequence[SourceSpec], landing: Path) -> str:
    """A digest of what stands in the landing zone: other content, another digest."""
    standing = [
        (name, file.name, file.hash)
        for spec in specs
        for name, _, _ in _files(spec)
        for file in _zone(landing, name).files()
        if file.standing
    ]
    return digest(standing)
