"""Mapping: the landed text of one source becomes rows of its entity, each sound, filtered, or bad with its reason.

Writes `landing.<entity>`: where a row came from (`_source, _rank, _file, _hash, _line`), whether it was filtered, what is
wrong with it (`_bad`: rule and detail, chr(31) between), and the entity's columns. Each expression sees one row and can't
stop the file. Not here: which of several versions stands (`standing.py`), what orders mean (`documents.py`).
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from cvm_pipeline.sources.casts import TimeRules, cast_for, refused_as, shown
from cvm_pipeline.sources.delimited import OWN_COLUMNS
from cvm_pipeline.sources.entities import ENTITIES, SQL_TYPE, Entity
from cvm_pipeline.sources.errors import FileMisfit, MappingRefused, SourceErrors
from cvm_pipeline.sources.expressions import Expression, equality_sides, parse
from cvm_pipeline.sources.landing import LINE, LandedFile
from cvm_pipeline.sources.spec import CleanSettings, JoinSpec, SourceSpec
from cvm_pipeline.sources.sql import literal, quoted

SEPARATOR = "chr(31)"
ORIGIN = ("_source", "_rank", "_file", "_hash", "_line")
# Columns that only this statement knows; the files' own may be called anything else.
_RANK, _HASH, _PATH, _UNTYPED = "_cvm_rank", "_cvm_hash", "_cvm_path", "_cvm_untyped"


@dataclass(frozen=True)
class LandedPart:
    """One landed content with where its records lie."""

    file: LandedFile
    records: Path


def rank_files(spec: SourceSpec, parts: Sequence[LandedPart]) -> list[LandedPart]:
    """Oldest first: by the date in the name where a pattern is configured, then by name.

    Raises MappingRefused for a name that doesn't hold the date that the pattern promises.
    """

    def effective(part: LandedPart) -> tuple[dt.datetime, str]:
        name = part.file.name
        if spec.effective_pattern is None:
            return dt.datetime.min, name
        found = re.search(spec.effective_pattern, name)
        try:
            return dt.datetime.strptime(found.group(1) if found else "", spec.effective_format), name
        except (ValueError, IndexError) as error:
            raise MappingRefused(
                f"source {spec.name}: the name {name} holds no date for effective_at"
                f" ({spec.effective_pattern}, {spec.effective_format})"
            ) from error

    return sorted(parts, key=effective)


def map_source(
    con: duckdb.DuckDBPyConnection,
    spec: SourceSpec,
    entity: Entity,
    parts: Sequence[LandedPart],
    lookups: Mapping[str, Sequence[LandedPart]],
    first_rank: int,
    settings: CleanSettings,
) -> None:
    """Append the source's rows to `landing.<entity>`. `lookups`: alias -> landed files of that join.

    Raises MappingRefused (or several) where the mapping doesn't fit the files; nothing is written then.
    """
    ranked = rank_files(spec, parts)
    files = [(part, first_rank + at) for at, part in enumerate(ranked)]
    full = [(part, rank) for part, rank in files if part.file.columns]
    if not full:
        return
    _Mapper(con, spec, entity, full, lookups, settings).write()


def create_entity_table(con: duckdb.DuckDBPyConnection, entity: Entity) -> None:
    """An empty `landing.<entity>`: entities without a source stay so, and every later step finds its table."""
    columns = ", ".join(f"{quoted(field.name)} {SQL_TYPE[field.kind]}" for field in entity.fields)
    con.execute(
        f"create table landing.{quoted(entity.name)} (_source varchar, _rank integer, _file varchar,"
        f" _hash varchar, _line bigint, _filtered boolean, _bad varchar, {columns})"
    )


def rows_to_lookups(
    con: duckdb.DuckDBPyConnection,
    spec: SourceSpec,
    parts: Sequence[LandedPart],
    lookups: Mapping[str, Sequence[LandedPart]],
    settings: CleanSettings,
) -> dict[str, str]:
    """Alias -> SQL of the key by which each row (`_rank, _line`) finds its record: `_k0, _k1, ...` as text.

    To be run before anything else is mapped. Raises as `map_source`.
    """
    full = [(part, rank) for rank, part in enumerate(rank_files(spec, parts)) if part.file.columns]
    if not full or not spec.joins:
        return {}
    return _Mapper(con, spec, ENTITIES[spec.entity], full, lookups, settings).keys()


def join_sides(con: duckdb.DuckDBPyConnection, spec: SourceSpec, join: JoinSpec) -> list[tuple[Expression, Expression]]:
    """The look-up's side of each equality of a join, and the row's."""
    where = f"{spec.name}.join.{join.alias}"
    sides = []
    for left, right in equality_sides(con, join.on, where):
        inner, outer = (left, right) if any(ref[0] == join.alias for ref in left.references) else (right, left)
        if not all(ref[0] == join.alias for ref in inner.references) or not inner.references:
            raise MappingRefused(f"{where}: one side of {join.on!r} must be a column of {join.alias}")
        sides.append((inner, outer))
    return sides


class _Mapper:
    """Builds the one statement that maps a source."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        spec: SourceSpec,
        entity: Entity,
        files: Sequence[tuple[LandedPart, int]],
        lookups: Mapping[str, Sequence[LandedPart]],
        settings: CleanSettings,
    ) -> None:
        self.con, self.spec, self.entity, self.files = con, spec, entity, files
        self.lookups, self.settings = lookups, settings
        self.columns = _union(part.file.columns for part, _ in files)
        self.by_name = {name.lower(): name for name in self.columns}
        self.holds_people = any(field.personal for field in entity.fields)

    def write(self) -> None:
        """Check the whole mapping first, then map."""
        expressions = {name: self._expression(name) for name in self.entity.names if name in self.spec.columns}
        where = parse(self.con, self.spec.where, f"{self.spec.name}.where") if self.spec.where else None
        self._check_columns([*expressions.values(), *([where] if where else [])])
        rows = self._joined(self._landed())
        valued = self._valued(rows, expressions, where)
        types = self._types(valued, list(expressions))
        self.con.execute(f"insert into landing.{quoted(self.entity.name)} {self._cast(valued, types)}")

    def _expression(self, name: str) -> Expression:
        text = self.spec.columns[name]
        exact = text if text in self.columns else self.by_name.get(text.lower())
        if exact is not None:
            return Expression(quoted(exact), ((exact,),))
        try:
            return parse(self.con, text, f"{self.spec.name}.columns.{name}")
        except MappingRefused as error:
            near = difflib.get_close_matches(text, self.columns, n=1, cutoff=0.5)
            raise MappingRefused(f"{error}" + (f"; did you mean the column {near[0]!r}?" if near else "")) from error

    def _check_columns(self, expressions: Sequence[Expression]) -> None:
        """Every column that is named must be in every file: a renamed one would otherwise read as empty."""
        sides = [side for join in self.spec.joins
                 for pair in equality_sides(self.con, join.on, f"{self.spec.name}.join.{join.alias}") for side in pair]  # fmt: skip
        not_the_files = {alias.lower() for alias in self.lookups} | set(OWN_COLUMNS)
        wanted = {ref[0] for e in (*expressions, *sides) for ref in e.references if ref[0].lower() not in not_the_files}
        wanted |= set(self.spec.types)
        problems = []
        for part, _ in self.files:
            # A JSON object leaves out what it doesn't have: there a column must be in some file only.
            found = self.columns if self.spec.reading.format == "jsonl" else part.file.columns
            present = {name.lower() for name in found}
            for name in sorted(wanted):
                if name.lower() not in present:
                    near = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    refused = FileMisfit if name.lower() in self.by_name else MappingRefused
                    problems.append(
                        refused(
                            f"{part.file.name}: has no column {name!r}, which source {self.spec.name} uses; {hint}"
                            f"It has: {', '.join(part.file.columns)}"
                        )
                    )
        if problems:
            raise problems[0] if len(problems) == 1 else SourceErrors(problems[:20])

    def _landed(self) -> str:
        """The landed text with its origin, and the columns declared under `types` cast."""
        self.con.register(
            "_landed_files",
            pa.table(
                {
                    _PATH: [str(part.records) for part, _ in self.files],
                    _RANK: pa.array([rank for _, rank in self.files], pa.int32()),
                    "_file": [part.file.name for part, _ in self.files],
                    _HASH: [part.file.hash for part, _ in self.files],
                }
            ),
        )
        paths = ", ".join(literal(str(part.records)) for part, _ in self.files)
        replaced, broken = [], []
        for name, sql_type in self.spec.types.items():
            column = quoted(self.by_name[name.lower()])
            text = f"nullif(trim(l.{column}), '')"
            replaced.append(f"try_cast({text} as {self._declared(name, sql_type)}) as {column}")
            broken.append(
                f"when {text} is not null and ({refused_as(text, sql_type)}) then"
                f" 'type' || {SEPARATOR} || {literal(name)} || ': ' || {shown(text, self.holds_people)} || ' is not '"
                f" || {literal(sql_type)}"
            )
        replace = f" replace ({', '.join(replaced)})" if replaced else ""
        typed = f"case {' '.join(broken)} end" if broken else "cast(null as varchar)"
        return (
            f"select l.* exclude ({_PATH}){replace}, f.{_RANK}, f._file, f.{_HASH}, {typed} as {_UNTYPED}"
            f" from read_parquet([{paths}], union_by_name = true, filename = '{_PATH}') l join _landed_files f using ({_PATH})"
        )

    def _declared(self, name: str, sql_type: str) -> str:
        try:
            self.con.execute(f"select cast(null as {sql_type})")
        except duckdb.Error as error:
            raise MappingRefused(f"{self.spec.name}.types.{name}: {sql_type!r} is no SQL type") from error
        return sql_type

    def _joined(self, rows: str) -> str:
        """Each look-up becomes one struct column under its alias, so that `people.country` reads as it is written."""
        self.ambiguous: list[str] = []
        for join in self.spec.joins:
            if join.alias.lower() in self.by_name:
                raise MappingRefused(
                    f"{self.spec.name}.join.{join.alias}: the files have a column of that name; rename the join"
                )
            rows = self._join(rows, join)
        return rows

    def keys(self) -> dict[str, str]:
        self.ambiguous = []
        rows, found = self._landed(), {}
        for join in self.spec.joins:
            sides = join_sides(self.con, self.spec, join)
            values = ", ".join(f"cast({outer.sql} as varchar) as _k{i}" for i, (_, outer) in enumerate(sides))
            found[join.alias] = f"select {_RANK} as _rank, {LINE}, {values} from ({rows}) _q"
            rows = self._join(rows, join)
        return found

    def _join(self, rows: str, join: JoinSpec) -> str:
        parts = self.lookups[join.alias]
        columns = _union(part.file.columns for part in parts)
        if not columns:
            raise MappingRefused(f"{self.spec.name}.join.{join.alias}: {join.path} holds no columns")
        sides = join_sides(self.con, self.spec, join)
        keys, fits = [inner.sql for inner, _ in sides], [outer.sql for _, outer in sides]
        paths = ", ".join(literal(str(part.records)) for part in parts)
        alias = quoted(join.alias)
        packed = ", ".join(f"{quoted(name)} := any_value({alias}.{quoted(name)})" for name in columns)
        key = ", ".join(f"{sql} as _k{i}" for i, sql in enumerate(keys))
        group = ", ".join(f"_k{i}" for i in range(len(keys)))
        on = " and ".join(f"_l._k{i} = ({sql})" for i, sql in enumerate(fits))
        count = quoted(f"_cvm_{join.alias}")
        self.ambiguous.append(
            f"when {count} > 1 then 'join_not_unique' || {SEPARATOR} || {literal(join.alias)} || ' has ' || {count}"
            f" || ' records for this row'"
        )
        lookup = (
            f"select {key}, struct_pack({packed}) as _s, count(*) as _n"
            f" from read_parquet([{paths}], union_by_name = true) as {alias} group by {group}"
        )
        return f"select _r.*, _l._s as {alias}, _l._n as {count} from ({rows}) _r left join ({lookup}) _l on {on}"

    def _valued(self, rows: str, expressions: dict[str, Expression], where: Expression | None) -> str:
        """One struct per expression: null where it failed, else holding its value (which may be null)."""
        values = []
        for name, expression in expressions.items():
            plain = expression.sql in {quoted(column) for column in self.columns}
            value = f"struct_pack(v := {expression.sql})" if plain else f"try(struct_pack(v := ({expression.sql})))"
            values.append(f"{value} as {quoted('e_' + name)}")
        kept = (
            f"try(struct_pack(v := coalesce(cast(({where.sql}) as boolean), false)))"
            if where
            else "struct_pack(v := true)"
        )
        origin = f"{literal(self.spec.name)} as _source, {_RANK} as _rank, _file, {_HASH} as _hash, {LINE}"
        joins = f"case {' '.join(self.ambiguous)} end" if self.ambiguous else "cast(null as varchar)"
        return f"select {', '.join([origin, *values])}, {kept} as _kept, {_UNTYPED} as _untyped, {joins} as _ambiguous from ({rows}) _q"

    def _types(self, valued: str, names: Sequence[str]) -> dict[str, str]:
        described = ", ".join(f"{quoted('e_' + name)}.v as {quoted(name)}" for name in names)
        try:
            rows = self.con.execute(f"describe select {described} from ({valued}) _v").fetchall()
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise MappingRefused(f"source {self.spec.name}: its expressions can't be read ({first})") from error
        return {row[0]: row[1] for row in rows}

    def _cast(self, valued: str, types: dict[str, str]) -> str:
        rules = TimeRules(self.spec.timezone or self.settings.timezone, self.settings.earliest_date, self.settings.now)
        problems = ["when _ambiguous is not null then _ambiguous", "when _untyped is not null then _untyped",
                    f"when _kept is null then 'where_error' || {SEPARATOR} || 'the condition under where: fails on this row'"]  # fmt: skip
        texts, values, outputs = [], [], []
        for field in self.entity.fields:
            name, text, value = (quoted(prefix + field.name) for prefix in ("", "t_", "c_"))
            out = f"cast(null as {SQL_TYPE[field.kind]})"
            if field.name in types:
                given = quoted("e_" + field.name)
                words = self.spec.values.get(field.name, {})
                cast = cast_for(field, f"{given}.v", types[field.name], rules, words, text, value, self.holds_people)
                texts.append(f"{cast.text} as {text}")
                values.append(f"{cast.value} as {value}")
                problems.append(
                    f"when {given} is null then 'expression_error' || {SEPARATOR} || {literal(field.name)}"
                    f" || ': ' || {literal(self.spec.columns[field.name][:120])} || ' fails on this row'"
                )
                problems += [
                    f"when {refusal.condition} then {literal(refusal.rule)} || {SEPARATOR}"
                    f" || {literal(field.name + ': ')} || {refusal.told}"
                    for refusal in cast.refusals
                ]
                out = value
            standard = self.spec.constants.get(field.name, field.default)
            if standard is not None:
                out = f"coalesce({out}, {literal(standard)})"
            elif field.required:
                problems.append(
                    f"when {out} is null then 'missing' || {SEPARATOR} || {literal(field.name)} || ' is empty'"
                )
            if field.name == "order_id" and not field.required:
                out = f"coalesce({out}, _file || ':' || {LINE})"
            outputs.append(f"cast({out} as {SQL_TYPE[field.kind]}) as {name}")
        return (
            f"select {', '.join(ORIGIN)}, coalesce(not _kept.v, false) and _untyped is null as _filtered,"
            f" case when not coalesce(_kept.v, true) and _untyped is null then null {' '.join(problems)} end as _bad,"
            f" {', '.join(outputs)}"
            f" from (select *, {', '.join(values)} from (select *, {', '.join(texts)} from ({valued}) _v) _t) _c"
        )


def _union(columns: object) -> tuple[str, ...]:
    """All names, the first spelling of each (DuckDB's names know no case)."""
    names: dict[str, str] = {}
    for group in columns:  # type: ignore[attr-defined]
        for name in group:
            names.setdefault(name.lower(), name)
    return tuple(names.values())
