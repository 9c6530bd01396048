"""Forgetting in the landing zone: rows of forgotten people leave the landed copies, and come into no new one.

Belongs here: rewriting copies, the sieve that every new copy passes, the counts. Not here: which rows are whose
(`whose.py`), the list (`forgotten.py`), every other place that holds a person.

A copy is replaced whole, by rename, and the manifest after it; a death between the two leaves an entry that says more rows
than its copy holds, which the next landing settles (`LandingZone.settled`). A new copy is sifted as a hidden draft before
it gets its name. Rows that are gone stay accounted for, as filtered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvm_pipeline.sources.clean import LandedSource
from cvm_pipeline.sources.delimited import Reject
from cvm_pipeline.sources.forgotten import CUSTOMER, DOCUMENT, VALUE, Forgotten
from cvm_pipeline.sources.landing import LINE, LandedFile, LandingZone, replace_file
from cvm_pipeline.sources.mapping import LandedPart
from cvm_pipeline.sources.spec import CleanSettings, JoinSpec, SourceSpec
from cvm_pipeline.sources.whose import NO_SYSTEM, SourceRows, Theirs, Values, join_keys, records_of

_SEPARATORS = re.compile(r'[\t,;|"{}\[\]]+')
_NOBODY = Values()


@dataclass
class Found:
    """Rows of the landing zone that are theirs, by zone; `told` as `SourceRows.told`; `systems` that sources name."""

    zones: list[tuple[str, Theirs]] = field(default_factory=list)
    told: list[tuple[str, ...]] = field(default_factory=list)
    systems: set[str] = field(default_factory=set)


def find(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[LandedSource],
    forgotten: Forgotten,
    settings: CleanSettings,
    values: Values = _NOBODY,
) -> Found:
    """All landed rows of those on the list, which grows by their orders and look-ups until nothing new turns up."""
    every = [SourceRows(con, number, source, settings) for number, source in enumerate(sources)]
    while [rows for rows in every if rows.mark(forgotten, values)]:
        continue
    found = Found(systems={NO_SYSTEM, *(rows.system for rows in every)})
    for rows in every:
        found.zones += [(rows.spec.name, theirs) for theirs in rows.theirs(forgotten)]
        found.zones += rows.lookups(forgotten, values)
        found.told += rows.told()
    return found


def systems_of(
    con: duckdb.DuckDBPyConnection, sources: Sequence[LandedSource], settings: CleanSettings
) -> set[tuple[str, str]]:
    """Every (source system, customer id) that landed rows name."""
    pairs: set[tuple[str, str]] = set()
    for number, source in enumerate(sources):
        rows = SourceRows(con, number, source, settings)
        if rows.personal:
            named = f"select distinct source_system, customer_id from {rows.rows} where customer_id is not null"
            pairs.update(con.execute(named).fetchall())
    return pairs


def erase_copies(
    zones: dict[str, LandingZone],
    found: Found,
    reject_is_theirs: Callable[[str], bool],
    step: Callable[[str], None] = lambda name: None,
) -> int:
    """Rewrite every landed copy without what was found; returns the rows that went. `zones` by their sources' names."""
    gone = 0
    for name, zone in zones.items():
        files = [zone.settled(file) for file in zone.files()]
        by_stem = {theirs.part.file.stem: theirs for zone_name, theirs in found.zones if zone_name == name}
        before = sum(file.forgotten for file in files)
        for file in files:
            if not file.standing or not zone.records(file).exists():
                continue
            if file.stem in by_stem:
                step(f"erase from landed {name}")
                theirs = by_stem[file.stem]
                _rewrite_copy(zone.records(file), theirs)
            if file.rejected:
                rejects = [Reject(**row) for row in pq.read_table(zone.rejects(file)).to_pylist()]
                kept = [reject for reject in rejects if not reject_is_theirs(reject.raw)]
                if len(kept) < len(rejects):
                    step(f"erase from rejects of {name}")
                    zone.write_rejects(file, kept)
        if files:
            step(f"write the manifest of {name}")
            settled = [zone.settled(file) for file in files]
            zone.write_manifest(settled)
            zone.sweep(settled)
            gone += sum(file.forgotten for file in settled) - before
    return gone


def _rewrite_copy(path: Path, theirs: Theirs) -> None:
    replace_file(path, lambda draft: rewrite(path, draft, theirs.lines, theirs.cells))


def rewrite(source: Path, target: Path, lines: Collection[int], cells: dict[str, set[int]]) -> int:
    """Copy a landed Parquet file without some lines and with some cells empty; returns how many lines went."""
    gone = 0
    unwanted = pa.array(sorted(lines), pa.int64())
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, file.schema_arrow, compression="lz4") as writer:
        for batch in file.iter_batches():
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.invert(pc.is_in(table[LINE], value_set=unwanted)))
            gone += batch.num_rows - table.num_rows
            for name, emptied in cells.items():
                named = pc.is_in(table[LINE], value_set=pa.array(sorted(emptied), pa.int64()))
                column = pc.if_else(named, pa.scalar(None, table[name].type), table[name])
                table = table.set_column(table.column_names.index(name), name, column)
            if table.num_rows:
                writer.write_table(table)
    return gone


def names_them(forgotten: Forgotten, systems: Collection[str], values: Values = _NOBODY) -> Callable[[str], bool]:
    """Whether the text of a row that could not be parsed names somebody on the list: no column tells, so any field may."""
    lowered = [value for value in (*values.strong, *values.names) if value]
    ids = set(values.ids)

    def told(raw: str) -> bool:
        fields = {part.strip(" :'\r\n") for part in (*_SEPARATORS.split(raw), *raw.split())} - {""}
        return any(value in raw.lower() for value in lowered) or any(
            each.lower() in ids
            or forgotten.knows(VALUE, each.lower())
            or any(forgotten.knows(kind, system, each) for kind in (CUSTOMER, DOCUMENT) for system in systems)
            for each in fields
        )

    return told


class ListSieve:
    """Keeps those on the list out of new landed copies of one source or look-up."""

    def __init__(
        self, source: LandedSource, join: JoinSpec | None, forgotten: Forgotten, settings: CleanSettings, scratch: Path
    ) -> None:
        self._source, self._join = source, join
        self._forgotten, self._settings, self._scratch = forgotten, settings, scratch

    @property
    def _spec(self) -> SourceSpec:
        return self._source.spec

    def sift_records(self, file: LandedFile, draft: Path) -> int:
        """Rewrite the draft without their rows; returns how many went."""
        # Its name is a draft's, which DuckDB reads all the same.
        part = LandedPart(file, draft)
        with duckdb.connect(config={"temp_directory": str(self._scratch)}) as con:
            theirs = self._theirs(con, part)
        if not theirs.lines and not theirs.cells:
            return 0
        sifted = draft.with_name(f"{draft.name}.sifted")
        gone = rewrite(draft, sifted, theirs.lines, theirs.cells)
        sifted.replace(draft)
        return gone

    def _theirs(self, con: duckdb.DuckDBPyConnection, part: LandedPart) -> Theirs:
        if self._join is not None:
            system = self._spec.constants.get("source_system", NO_SYSTEM)
            zone, keys = f"{self._spec.name}.{self._join.alias}", join_keys(con, self._spec, self._join)
            return records_of(con, zone, system, keys, part, self._forgotten, _NOBODY, None)
        found = find(con, [replace(self._source, parts=(part,), replaced=())], self._forgotten, self._settings)
        return next((theirs for zone, theirs in found.zones if zone == self._spec.name), Theirs(part))

    def sift_rejects(self, rejects: Sequence[Reject]) -> list[Reject]:
        """The unparsable rows that name nobody on the list."""
        systems = {NO_SYSTEM, self._spec.constants.get("source_system", NO_SYSTEM)}
        named = names_them(self._forgotten, systems)
        return [reject for reject in rejects if not named(reject.raw)]
