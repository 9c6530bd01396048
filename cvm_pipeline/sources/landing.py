"""Landing: each file of a source becomes one Parquet file of text columns, known by its content.

A landed file is `<home>/landing/<source>/<hash>.parquet` (records, with `_line`) and `<hash>.rejects.parquet` (what could
not be parsed). `manifest.json` beside them says which content stands under which name. A content is written whole and
renamed into place before the manifest names it, so a run killed anywhere leaves the landing zone as it was; what such a
run left behind, and the copies of contents that no name holds any more, are removed by the next.
Not here: what columns mean (`mapping.py`), which record stands (`clean.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from cvm_pipeline.sources.delimited import Parsed, Reject
from cvm_pipeline.sources.errors import FileRefused, SourceError, SourceErrors
from cvm_pipeline.sources.finding import find_files, name_of
from cvm_pipeline.sources.formats import Reading, read_file

LINE = "_line"
_REJECTS = pa.schema([("line", pa.int64()), ("raw", pa.string()), ("rule", pa.string()), ("detail", pa.string())])
# A file still being written is given this long to come to rest before it is refused.
_PATIENCE_SECONDS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class LandedFile:
    """One content. `names` are the files that brought it and hold it still (or vanished), `name` the last of them by name.

    None is left once other content took them all: the content is replaced, and `name` says where it stood last.
    """

    name: str
    hash: str
    reading: str
    bytes: int
    rows: int
    rejected: int
    columns: tuple[str, ...]
    landed_at: str
    names: tuple[str, ...] = ()
    # Rows of forgotten people that the landed copy does not keep; `rows` and `rejected` are what it holds.
    forgotten: int = 0

    @property
    def read(self) -> int:
        """Rows that the file itself holds."""
        return self.rows + self.rejected + self.forgotten

    @property
    def standing(self) -> bool:
        return bool(self.names)

    @property
    def stem(self) -> str:
        """File name of the landed copy: the same bytes read otherwise are another copy."""
        return f"{self.hash[:32]}-{hashlib.sha256(self.reading.encode()).hexdigest()[:8]}"


@dataclass
class LandingReport:
    """What landing one source did."""

    source: str
    files: list[LandedFile]
    landed: int = 0
    known: int = 0
    gone: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


class Sieve(Protocol):
    """What keeps rows of forgotten people out of landed copies (`forgetting.py`)."""

    def sift_records(self, file: LandedFile, draft: Path) -> int:
        """Rewrite the draft of a landed copy without their rows; returns how many it held."""

    def sift_rejects(self, rejects: Sequence[Reject]) -> list[Reject]:
        """The unparsable rows that are not theirs."""


class LandingZone:
    """The landed files of one source, and its manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "manifest.json"

    def files(self) -> list[LandedFile]:
        """Every content that was landed and not forgotten, standing or replaced."""
        if not self.manifest.exists():
            return []
        try:
            entries = json.loads(self.manifest.read_text(encoding="utf-8"))
            return [
                LandedFile(**{**entry, "columns": tuple(entry["columns"]), "names": tuple(entry["names"])})
                for entry in entries
            ]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise SourceError(
                f"{self.manifest}: is damaged ({error}). Delete the folder {self.folder} and land its files again"
            ) from error

    def records(self, file: LandedFile) -> Path:
        return self.folder / f"{file.stem}.parquet"

    def rejects(self, file: LandedFile) -> Path:
        return self.folder / f"{file.stem}.rejects.parquet"

    def settled(self, file: LandedFile) -> LandedFile:
        """The entry with what its copies really hold: an erasure may have died between a copy and the manifest."""
        records, rejects = self.records(file), self.rejects(file)
        if not file.standing or not (records.exists() and rejects.exists()):
            return file
        rows, rejected = pq.read_metadata(records).num_rows, pq.read_metadata(rejects).num_rows
        return replace(file, rows=rows, rejected=rejected, forgotten=file.read - rows - rejected)

    def write_rejects(self, file: LandedFile, rejects: Sequence[Reject]) -> None:
        table = pa.Table.from_pylist([asdict(reject) for reject in rejects], schema=_REJECTS)
        replace_file(self.rejects(file), lambda target: pq.write_table(table, target))

    def write_manifest(self, files: Sequence[LandedFile]) -> None:
        ordered = sorted(files, key=lambda f: (f.name, f.landed_at, f.hash))
        # Escaped: a file name may hold bytes that are no text.
        text = json.dumps([asdict(file) for file in ordered], indent=1)
        replace_file(self.manifest, lambda path: path.write_text(text, encoding="utf-8"))

    def sweep(self, files: Sequence[LandedFile]) -> None:
        """Remove what no standing content needs: replaced copies, and drafts and copies that a killed run left."""
        needed = {path.name for file in files if file.standing for path in (self.records(file), self.rejects(file))}
        for path in self.folder.iterdir():
            if path.name not in needed and path != self.manifest:
                with contextlib.suppress(OSError):  # a copy too many does no harm
                    path.unlink()


def land_source(
    zone: LandingZone,
    source: str,
    pattern: str,
    root: Path,
    reading: Reading,
    landed_at: str,
    progress: Callable[[str], None] = lambda file: None,
    sieve: Sieve | None = None,
) -> LandingReport:
    """Land every file that `pattern` (a glob, relative to `root`) finds, and keep those that it finds no more.

    `sieve` keeps rows of forgotten people out of every copy that is made.
    Raises SourceErrors with every file that was refused; sound files of the same source are landed all the same.
    """
    try:
        # Landed copies hold names and addresses: only their owner may look.
        zone.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        zone.folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _not_writable(zone.folder, error) from error
    before = zone.files()
    if sieve is not None:
        before = [zone.settled(file) for file in before]
    paths = find_files(pattern, root)
    if not paths and not before:
        raise SourceError(f"source {source}: no file matches {pattern} (looked below {root}). Check `path`")
    report = LandingReport(source, [])
    known = {(file.hash, file.reading): file for file in before}
    # Manifests of earlier versions spell absolutely what cvm.yml spelled so; the later landing of a name holds it.
    under: dict[str, LandedFile] = {
        name_of(Path(name), root) if Path(name).is_absolute() else name: file
        for file in sorted(before, key=lambda file: file.landed_at)
        for name in file.names
    }
    refused: list[SourceError] = []
    seen: set[str] = set()
    for path, name in paths:
        seen.add(name)
        try:
            landed = _land_file(zone, path, name, reading, landed_at, known, sieve)
        except FileRefused as error:
            refused.append(error)
            continue
        report.landed += (landed.hash, landed.reading) not in known
        report.known += (landed.hash, landed.reading) in known
        known.setdefault((landed.hash, landed.reading), landed)
        under[name] = landed
        if landed.read == 0:
            report.empty.append(name)
        progress(name)
    report.gone = sorted(set(under) - seen)
    report.files = _standing(before, under)
    zone.write_manifest(report.files)
    zone.sweep(report.files)
    if refused:
        raise refused[0] if len(refused) == 1 else SourceErrors(refused)
    return report


def _standing(before: Sequence[LandedFile], under: dict[str, LandedFile]) -> list[LandedFile]:
    """One entry per content: standing under its names, or replaced where no name holds it any more."""
    entries = {(file.hash, file.reading): replace(file, names=()) for file in before}
    for name in sorted(under):
        key = under[name].hash, under[name].reading
        names = entries[key].names if key in entries else ()
        entries[key] = replace(under[name], name=name, names=(*names, name))
    # The same bytes read otherwise are not another content: what stands is what the present mapping reads.
    read_anew = {file.hash for file in entries.values() if file.standing}
    return [file for file in entries.values() if file.standing or file.hash not in read_anew]


def _land_file(
    zone: LandingZone,
    path: Path,
    name: str,
    reading: Reading,
    landed_at: str,
    known: dict[tuple[str, str], LandedFile],
    sieve: Sieve | None,
) -> LandedFile:
    for wait in (*_PATIENCE_SECONDS, None):
        before = _state(path, name)
        content = _hash(path, name)
        landed = known.get((content, reading.key))
        if landed is None or not (zone.records(landed).exists() and zone.rejects(landed).exists()):
            draft = LandedFile(name, content, reading.key, before[0], 0, 0, (), landed_at)
            try:
                landed = _convert(zone, path, draft, reading, sieve)
            except FileRefused:
                # Half a file may well be no gzip, no Parquet or no text: it is judged once it has come to rest.
                if wait is None or _state(path, name) == before:
                    raise
                landed = None
        after = _state(path, name)
        if after == before and landed is not None:
            return landed
        if wait is None:
            raise FileRefused(
                name,
                f"changed while it was read (from {before[0]:,} to {after[0]:,} bytes)",
                "Land files by renaming them into place when they are complete, or run again once it is",
            )
        time.sleep(wait)
    raise AssertionError("unreachable")


def _state(path: Path, name: str) -> tuple[int, int, int]:
    """Size, time of change and inode: what a file can't be written to without changing."""
    try:
        stat = path.stat()
    except OSError as error:
        raise _not_readable(name, error) from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _hash(path: Path, name: str) -> str:
    """SHA-256 of the bytes."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _not_readable(name, error) from error


def _not_readable(name: str, error: OSError) -> FileRefused:
    return FileRefused(name, f"can't be read ({error.strerror})", "Check that it exists and may be read")


def _convert(zone: LandingZone, path: Path, draft: LandedFile, reading: Reading, sieve: Sieve | None) -> LandedFile:
    """Read the file and write its landed copy; `draft` with what was found."""
    rows = forgotten = 0
    rejects: list[Reject] = []
    columns: tuple[str, ...] = ()

    def write(target: Path) -> None:
        nonlocal rows, columns, forgotten
        with contextlib.ExitStack() as stack:
            writer: pq.ParquetWriter | None = None
            for parsed in _ahead(read_file(path, draft.name, reading)):
                rejects.extend(parsed.rejects)
                table = parsed.table.append_column(LINE, pa.array(parsed.lines, pa.int64()))
                if writer is None:
                    columns = tuple(parsed.table.column_names)
                    writer = stack.enter_context(pq.ParquetWriter(target, table.schema, compression="lz4"))
                if table.num_rows:
                    writer.write_table(table)
                    rows += table.num_rows
            if writer is None:
                pq.write_table(pa.table({LINE: pa.array([], pa.int64())}), target)
        if sieve is not None and rows:
            forgotten = sieve.sift_records(replace(draft, columns=columns), target)
            rows -= forgotten

    replace_file(zone.records(draft), write)
    kept = rejects if sieve is None else sieve.sift_rejects(rejects)
    zone.write_rejects(draft, kept)
    forgotten += len(rejects) - len(kept)
    return replace(draft, rows=rows, rejected=len(kept), columns=columns, forgotten=forgotten)


def _ahead(blocks: Iterator[Parsed]) -> Iterator[Parsed]:
    """Parse one block ahead in a thread: parsing and writing both leave the interpreter's lock most of the time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, blocks, None)
        while (parsed := waiting.result()) is not None:
            waiting = pool.submit(next, blocks, None)
            yield parsed


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, flush to disk, rename into place."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise _not_writable(path.parent, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _not_writable(folder: Path, error: OSError) -> SourceError:
    what = error.strerror or str(error)
    return SourceError(f"{folder}: can't be written ({what}). Check free disk and permissions; nothing was changed")
