"""Whose rows are these: which landed rows of a source belong to people on the suppression list.

Belongs here: finding rows, by the very mapping that cleans them. Not here: the list (`forgotten.py`), rewriting copies
(`forgetting.py`).

A row is a person's where its customer is; where it names no customer and its order, or the order that it refers to, is one
of theirs; or where it names none and holds their e-mail address or telephone number. A look-up's record is theirs where it
tells the customer, or holds their values and serves nobody else. Another customer's row stays; a cell of it that names the
person (`referred_by`) is emptied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import duckdb
import pyarrow as pa

from cvm_pipeline.sources.clean import LandedSource
from cvm_pipeline.sources.entities import ENTITIES
from cvm_pipeline.sources.errors import MappingRefused
from cvm_pipeline.sources.expressions import Expression, parse
from cvm_pipeline.sources.forgotten import CUSTOMER, DOCUMENT, LOOKUP, VALUE, Forgotten
from cvm_pipeline.sources.landing import LINE
from cvm_pipeline.sources.mapping import (
    LandedPart,
    create_entity_table,
    join_sides,
    map_source,
    rank_files,
    rows_to_lookups,
)
from cvm_pipeline.sources.spec import CleanSettings, JoinSpec, SourceSpec
from cvm_pipeline.sources.sql import literal, quoted

_IDS = ("source_system", "customer_id", "order_id", "refers_to", "referred_by", "name", "email", "phone", "birth_date")
NO_SYSTEM = "default"
_LOOKS_PERSONAL = r"(contains(cell, '@') or regexp_full_match(cell, '[+(]?\d[\d ()/.-]{5,}'))"


@dataclass(frozen=True)
class Values:
    """What a person is known by, in clear: only while an erasure runs. `strong` are e-mail addresses and phones.

    `ids` are those of theirs and of their orders that could be nothing else wherever they stand: no numbers, nothing short.
    """

    strong: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass
class Theirs:
    """Of one landed content: the lines that are to go, and the cells (column -> lines) that are to be emptied."""

    part: LandedPart
    lines: set[int] = field(default_factory=set)
    cells: dict[str, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class JoinKeys:
    """One join: SQL of its key over a look-up's record.

    `customer` is SQL of the customer's id over a record, where that can tell; `decides`: and only it can.
    """

    alias: str
    inner: tuple[str, ...]
    customer: str | None
    decides: bool


class SourceRows:
    """The landed rows of one source, by the ids that they carry; tables of `con` named after `number`."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, number: int, source: LandedSource, settings: CleanSettings
    ) -> None:
        self.con, self.source, self.spec = con, source, source.spec
        self.entity = ENTITIES[self.spec.entity]
        self.personal = "customer_id" in self.entity.names
        self.system = self.spec.constants.get("source_system", NO_SYSTEM)
        self.ranked = rank_files(self.spec, source.parts)
        self.rows, self.gone = f"rows_{number}", f"gone_{number}"
        self.joins: list[tuple[JoinKeys, str]] = []
        self.cells_read = False
        con.execute(f"create or replace table {self.gone} (_rank integer, _line bigint)")
        if self.personal:
            self._map(settings, number)

    def _map(self, settings: CleanSettings, number: int) -> None:
        slim = replace(
            self.spec, columns={name: sql for name, sql in self.spec.columns.items() if name in _IDS}, where=None
        )
        self.con.execute("create schema if not exists landing")
        mapped = f"landing.{quoted(self.entity.name)}"
        self.con.execute(f"drop table if exists {mapped}")
        create_entity_table(self.con, self.entity)
        map_source(self.con, slim, self.entity, self.source.parts, self.source.lookups, 0, settings)
        kept = ", ".join(name if name in self.entity.names else f"cast(null as varchar) as {name}" for name in _IDS)
        self.con.execute(
            f"create or replace table {self.rows} as select _rank, _line, {kept},"
            f" order_id <> _file || ':' || _line as has_order from {mapped}"
            if "order_id" in self.entity.names
            else f"create or replace table {self.rows} as select _rank, _line, {kept}, false as has_order from {mapped}"
        )
        self.con.execute(f"drop table {mapped}")
        found = rows_to_lookups(self.con, self.spec, self.source.parts, self.source.lookups, settings)
        for at, join in enumerate(join for join in self.spec.joins if join.alias in found):
            table = f"keys_{number}_{at}"
            self.con.execute(f"create or replace table {table} as {found[join.alias]}")
            self.joins.append((join_keys(self.con, self.spec, join), table))

    def mark(self, forgotten: Forgotten, values: Values) -> bool:
        """Find what is theirs by the list as it stands, and put their orders and look-ups on it; whether it grew."""
        if not self.personal:
            return False
        self._mark_known(forgotten, CUSTOMER, ("source_system", "customer_id"), "true")
        self._mark_known(forgotten, DOCUMENT, ("source_system", "order_id"), "customer_id is null and has_order")
        self._mark_known(forgotten, DOCUMENT, ("source_system", "refers_to"), "customer_id is null")
        if self.entity.name == "customers":
            for name in ("name", "email", "phone"):
                self._mark_known(forgotten, VALUE, (f"lower(trim({name}))",), "customer_id is null")
        for join, table in self.joins:
            if join.decides:
                keys = tuple(f"_k{i}" for i in range(len(join.inner)))
                self._mark_known(forgotten, LOOKUP, keys, "true", table, self._zone(join))
        if not self.cells_read:
            self._mark_values(values)
            self._mark_cells(forgotten)
            self.cells_read = True
        orders = self.con.execute(
            f"select distinct source_system, order_id from {self.rows} semi join {self.gone} using (_rank, _line)"
            " where has_order"
        ).fetchall()
        return forgotten.add(DOCUMENT, orders)

    def _mark_known(
        self, forgotten: Forgotten, kind: str, keys: Sequence[str], where: str, table: str = "", *prefix: str
    ) -> None:
        """Mark the rows whose keys are on the list; each distinct key is asked for once."""
        shown = ", ".join(f"{sql} as _k{i}" for i, sql in enumerate(keys))
        rows = f"select _rank, _line, {shown} from {table or self.rows} where {where}"
        names = [f"_k{i}" for i in range(len(keys))]
        found = self.con.execute(f"select distinct {', '.join(names)} from ({rows})").fetchall()
        known = [key for key in found if None not in key and forgotten.knows(kind, *prefix, *key)]
        if known:
            columns = {name: pa.array([key[i] for key in known], pa.string()) for i, name in enumerate(names)}
            self.con.register("_known", pa.table(columns))
            self._gone(f"select _rank, _line from ({rows}) semi join _known using ({', '.join(names)})")
            self.con.unregister("_known")

    def _gone(self, sql: str) -> None:
        self.con.execute(
            f"insert into {self.gone} select distinct _rank, _line from ({sql}) x"
            f" where not exists (select 1 from {self.gone} g where g._rank = x._rank and g._line = x._line)"
        )

    def _mark_values(self, values: Values) -> None:
        """Rows that name nobody, with the person's e-mail address or phone in any cell."""
        if not values.strong:
            return
        for rank, part in enumerate(self.ranked):
            if part.file.columns:
                self._gone(
                    f"select {rank} as _rank, t.{LINE} as _line from {_read(part)} t join {self.rows} r"
                    f" on r._rank = {rank} and r._line = t.{LINE} where r.customer_id is null"
                    f" and {_holds(part, values.strong, 't.')}"
                )

    def _mark_cells(self, forgotten: Forgotten) -> None:
        """The same by the list alone: cells that look like an e-mail address or a telephone number are asked for."""
        for rank, part in enumerate(self.ranked):
            if part.file.columns:
                cells = ", ".join(f"lower(trim(t.{quoted(name)}))" for name in part.file.columns)
                rows = (
                    f"(select {rank} as _rank, t.{LINE} as _line, unnest([{cells}]) as cell from {_read(part)} t"
                    f" join {self.rows} r on r._rank = {rank} and r._line = t.{LINE} where r.customer_id is null)"
                )
                self._mark_known(forgotten, VALUE, ("cell",), _LOOKS_PERSONAL, rows)

    def theirs(self, forgotten: Forgotten) -> list[Theirs]:
        """What `mark` found, content by content, with the cells of others that name a person on the list."""
        found = [Theirs(part) for part in self.ranked]
        for rank, line in self.con.execute(f"select _rank, _line from {self.gone}").fetchall():
            found[rank].lines.add(line)
        if self.personal and "referred_by" in self.spec.columns and self.entity.name == "customers":
            self._mark_references(forgotten, found)
        return [each for each in found if each.lines or each.cells]

    def _mark_references(self, forgotten: Forgotten, found: list[Theirs]) -> None:
        named = self.con.execute(
            f"select _rank, _line, source_system, referred_by from {self.rows} anti join {self.gone} using (_rank, _line)"
            " where referred_by is not null"
        ).fetchall()
        text = self.spec.columns["referred_by"]
        for rank, line, system, other in named:
            if forgotten.knows(CUSTOMER, system, other):
                columns = {name.lower(): name for name in self.ranked[rank].file.columns}
                exact = columns.get(text.lower())
                uses = [exact] if exact else [ref[-1] for ref in parse(self.con, text, "referred_by").references]
                for name in uses:
                    if name.lower() in columns:
                        found[rank].cells.setdefault(columns[name.lower()], set()).add(line)

    def lookups(self, forgotten: Forgotten, values: Values) -> list[tuple[str, Theirs]]:
        """Records of the look-ups that are theirs, with the name of their landing zone; their keys go on the list."""
        return [
            (self._zone(join), theirs)
            for join, table in self.joins
            for part in self.source.lookups[join.alias]
            if part.file.columns
            for theirs in [records_of(self.con, self._zone(join), self.system, join, part, forgotten, values, self._others(table))]
            if theirs.lines
        ]  # fmt: skip

    def _others(self, table: str) -> str:
        """SQL of the keys by which other people's rows find records."""
        keys = ", ".join(c[0] for c in self.con.execute(f"describe {table}").fetchall() if c[0].startswith("_k"))
        return f"select distinct {keys} from {table} anti join {self.gone} using (_rank, _line)"

    def _zone(self, join: JoinKeys) -> str:
        return f"{self.spec.name}.{join.alias}"

    def told(self) -> list[tuple[str, ...]]:
        """(system, customer, order, name, email, phone, birth date) of the rows marked; for what else is to be erased."""
        if not self.personal:
            return []
        return self.con.execute(
            f"select distinct source_system, customer_id, case when has_order then order_id end, name, email, phone,"
            f" cast(birth_date as varchar) from {self.rows} semi join {self.gone} using (_rank, _line)"
        ).fetchall()


def join_keys(con: duckdb.DuckDBPyConnection, spec: SourceSpec, join: JoinSpec) -> JoinKeys:
    """What a look-up's record tells of whose it is."""
    sides = join_sides(con, spec, join)
    text, told, decides = spec.columns.get("customer_id"), None, False
    if text is not None:
        try:
            customer = parse(con, text, f"{spec.name}.columns.customer_id")
        except MappingRefused:
            # A column's name that is no expression.
            customer = Expression(quoted(text), ((text,),))
        decides = {ref[0] for ref in customer.references} == {join.alias}
        named = [ref[-1].lower() for ref in customer.references]
        same = [inner.sql for inner, outer in sides if [ref[-1].lower() for ref in outer.references] == named]
        told = customer.sql if decides else same[0] if same and len(named) == 1 else None
    return JoinKeys(join.alias, tuple(inner.sql for inner, _ in sides), told, decides)


def records_of(
    con: duckdb.DuckDBPyConnection,
    zone: str,
    system: str,
    join: JoinKeys,
    part: LandedPart,
    forgotten: Forgotten,
    values: Values,
    others: str | None,
) -> Theirs:
    """A look-up content's records that are theirs. `others`: SQL of keys that serve somebody else."""
    theirs, alias = Theirs(part), quoted(join.alias)
    keys = ", ".join(f"cast({sql} as varchar)" for sql in join.inner)
    customer = f"cast({join.customer} as varchar)" if join.customer else "cast(null as varchar)"
    rows = con.execute(f"select {LINE}, nullif(trim({customer}), ''), {keys} from {_read(part)} as {alias}").fetchall()
    held: set[int] = set()
    if (values.strong or values.names) and others is not None:
        used = set(con.execute(others).fetchall())
        holding = (
            f"select {LINE}, {keys} from {_read(part)} as {alias} where {_holds(part, (*values.strong, *values.names))}"
        )
        held = {row[0] for row in con.execute(holding).fetchall() if tuple(row[1:]) not in used}
    for line, told, *key in rows:
        known = told is not None and forgotten.knows(CUSTOMER, system, told)
        if known or line in held or (None not in key and forgotten.knows(LOOKUP, zone, *key)):
            theirs.lines.add(line)
            if None not in key:
                forgotten.add(LOOKUP, [(zone, *key)])
    return theirs


def stray_rows(con: duckdb.DuckDBPyConnection, part: LandedPart, values: Values) -> Theirs:
    """The rows of a content whose source is gone from the project: no mapping tells whose a row is, only its cells do.

    Nobody reads such rows, so that one goes whole where any cell is the person's, somebody else's mention of them too.
    """
    # A single word may be anybody's name.
    wanted = (*values.strong, *values.ids, *(name for name in values.names if " " in name))
    if not part.file.columns or not wanted:
        return Theirs(part)
    held = con.execute(f"select {LINE} from {_read(part)} where {_holds(part, wanted)}").fetchall()
    return Theirs(part, {line for (line,) in held})


def _read(part: LandedPart) -> str:
    return f"read_parquet({literal(str(part.records))})"


def _holds(part: LandedPart, values: Sequence[str], prefix: str = "") -> str:
    """SQL: whether any cell of a row is one of the values."""
    cells = ", ".join(f"lower(trim({prefix}{quoted(name)}))" for name in part.file.columns)
    wanted = ", ".join(literal(value) for value in values)
    return f"list_has_any([{cells}], [{wanted}])"
