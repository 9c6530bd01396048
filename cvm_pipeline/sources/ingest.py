"""All sources of a project: landing their files and look-ups, and finding again what was landed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

from cvm_pipeline.config.source import digest
from cvm_pipeline.sources.clean import LandedSource
from cvm_pipeline.sources.errors import SourceError, SourceErrors
from cvm_pipeline.sources.finding import find_files
from cvm_pipeline.sources.formats import Reading
from cvm_pipeline.sources.landing import LandingReport, LandingZone, land_source
from cvm_pipeline.sources.mapping import LandedPart
from cvm_pipeline.sources.spec import SourceSpec


def land(
    specs: Sequence[SourceSpec],
    root: Path,
    landing: Path,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda file: None,
) -> list[LandingReport]:
    """Land every source and its look-ups. Raises SourceError, or SourceErrors with everything that was refused."""
    reports: list[LandingReport] = []
    refused: list[SourceError] = []
    landed_at = now.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    for spec in specs:
        for name, path, reading in _files(spec):
            try:
                reports.append(land_source(_zone(landing, name), name, path, root, reading, landed_at, progress))
            except SourceErrors as errors:
                refused.extend(errors.errors)
            except SourceError as error:
                refused.append(error)
    if refused:
        raise refused[0] if len(refused) == 1 else SourceErrors(refused)
    return reports


def landed(specs: Sequence[SourceSpec], landing: Path) -> list[LandedSource]:
    """What stands in the landing zone for each source. Raises SourceError where a source has nothing but empty files."""
    sources = []
    for spec in specs:
        standing, replaced = _parts(_zone(landing, spec.name))
        if standing and not any(part.file.rows + part.file.rejected for part in standing):
            raise SourceError(
                f"source {spec.name}: its files hold no rows ({', '.join(part.file.name for part in standing[:3])})."
                " Check that the export was complete; the earlier publication stands"
            )
        lookups = {join.alias: _parts(_zone(landing, f"{spec.name}.{join.alias}"))[0] for join in spec.joins}
        sources.append(LandedSource(spec, standing, replaced, lookups))
    return sources


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
