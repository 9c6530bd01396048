"""The store behind the views that readers of PostgreSQL query, as SQL text.

Belongs here: every statement that defines something. Not here: any connection (`connection.py`), the order of a
publication's steps (`target.py`), roles (`roles.py`).

`cvm_store.<table>` holds the parts of every version that is kept, each row with the publication that wrote it.
`cvm_store.part` says of which parts a version is the sum, and the one row of `cvm_store.standing` which version readers
see. The view `cvm.<table>` shows the parts of that version. So a publication becomes visible by updating one row, which
waits for no reader and makes none wait (PostgreSQL keeps row versions); every statement of a reader sees one version whole,
and so does a transaction that reads `repeatable read`. `cvm.stay_on()` pins a session to a publication, for clients that
can't hold a transaction open. A version that was brought and never shown (`cvm_store.shown`) can't be read at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from cvm_pipeline.domain.contracts import Table
from cvm_pipeline.domain.sql_text import literal, quoted
from cvm_pipeline.warehouse.ddl import meaning
from cvm_pipeline.warehouse.targets.protocol import key_of_rows

WRITER, READER, PII_READER = "cvm_writer", "cvm_reader", "cvm_pii_reader"

_TYPES = {"varchar": "text", "double": "double precision", "bigint": "bigint", "integer": "integer", "date": "date",
          "timestamp": "timestamp", "boolean": "boolean"}  # fmt: skip

BOOKS = (
    """create table if not exists cvm_store.version (
        publication_id text primary key,
        as_of_date date not null,
        brought_at timestamptz not null default now())""",
    """create table if not exists cvm_store.part (
        publication_id text not null references cvm_store.version on delete cascade,
        table_name text not null,
        key text not null,
        rows bigint not null,
        primary key (publication_id, table_name, key))""",
    """create table if not exists cvm_store.standing (
        only_row boolean primary key default true check (only_row),
        publication_id text not null references cvm_store.version,
        shown_at timestamptz not null default now())""",
    # Of its own, since readers at work hold the other books open: a column couldn't be added to those.
    """create table if not exists cvm_store.shown (
        publication_id text primary key references cvm_store.version on delete cascade)""",
    "insert into cvm_store.shown select publication_id from cvm_store.standing on conflict do nothing",
    """create or replace function cvm_store.parts_shown(wanted_table text) returns text[]
    language plpgsql stable parallel safe security definer set search_path = pg_catalog as $$
    declare
      pinned text := nullif(current_setting('cvm.publication', true), '');
      shown text;
    begin
      select publication_id into shown from cvm_store.standing;
      if pinned is not null and pinned <> coalesce(shown, '') then
        if not exists (select from cvm_store.shown where publication_id = pinned) then
          raise exception 'publication % is no longer kept', pinned
            using hint = 'select cvm.stay_on() stays on the one that stands, select cvm.move_on() follows every new one';
        end if;
        shown := pinned;
      end if;
      return (select array_agg(key) from cvm_store.part
              where publication_id = shown and table_name = wanted_table);
    end $$""",
    """create or replace function cvm.stay_on(publication_id text default null) returns text
    language plpgsql security definer set search_path = pg_catalog as $$
    declare
      chosen text := coalesce(stay_on.publication_id, (select s.publication_id from cvm_store.standing s));
    begin
      if not exists (select from cvm_store.shown s where s.publication_id = chosen) then
        raise exception 'there is no publication %', coalesce(chosen, 'yet');
      end if;
      perform set_config('cvm.publication', chosen, false);
      return chosen;
    end $$""",
    """create or replace function cvm.move_on() returns text
    language plpgsql security definer set search_path = pg_catalog as $$
    begin
      perform set_config('cvm.publication', '', false);
      return (select s.publication_id from cvm_store.standing s);
    end $$""",
    """comment on function cvm.stay_on is 'Keep this session on one publication (default: the one that stands), whatever is
    published meanwhile; returns its id'""",
    """comment on function cvm.move_on is 'Let this session follow every new publication again; returns the one that
    stands'""",
    "revoke execute on function cvm.stay_on, cvm.move_on, cvm_store.parts_shown from public",
    f"grant execute on function cvm.stay_on, cvm.move_on, cvm_store.parts_shown to {READER}, {PII_READER}",
)


# Holding it is holding the database. A table that readers can't reach, so that none can hold it as an advisory lock could be
# held by anybody; in a mode that takes no transaction id, so that nothing is kept from vacuum meanwhile.
PUBLISHER = "cvm_store.publisher"
CREATE_PUBLISHER = f"create table if not exists {PUBLISHER} ()"
HOLD_PUBLISHER = f"lock table {PUBLISHER} in share row exclusive mode nowait"


def name_of(column: str) -> str:
    """A column's name in PostgreSQL: lower case, so that nobody needs quotes (`T` is `t`)."""
    return column.lower()


def type_of(contract_type: str) -> str:
    """The contract's SQL type in PostgreSQL's words."""
    return contract_type.replace("decimal", "numeric") if "decimal" in contract_type else _TYPES[contract_type]


def store_of(table: Table) -> str:
    """The schema that holds the table's rows: direct identifiers have one of their own."""
    return "cvm_store_pii" if table.schema == "cvm_pii" else "cvm_store"


def stored(table: Table) -> str:
    """The full name of the table that holds the rows."""
    return f"{store_of(table)}.{quoted(table.name)}"


def viewed(table: Table) -> str:
    """The full name by which readers know the table."""
    return f"{table.schema}.{quoted(table.name)}"


def columns_of(table: Table) -> dict[str, str]:
    """Column -> type, in the contract's order."""
    return {name_of(column.name): type_of(column.type) for column in table.columns}


def create_stored(table: Table) -> list[str]:
    """The table behind the view. No constraints: the gate has judged each row, and an index has its price at a million."""
    columns = ", ".join(f"{quoted(name)} {type_}" for name, type_ in columns_of(table).items())
    part = key_of_rows(table)
    keys = [part if part in table.names else f"({part})", *(["customer_id"] if "customer_id" in table.names else [])]
    return [
        f"create table {stored(table)} ({columns})",
        f"create index on {stored(table)} ({', '.join(keys)})",
    ]


def add_columns(table: Table, names: list[str]) -> str:
    """New columns of a later contract; the rows of earlier publications have nulls there."""
    columns = columns_of(table)
    return f"alter table {stored(table)} " + ", ".join(f"add column {quoted(name)} {columns[name]}" for name in names)


def view_of(table: Table) -> str:
    """What the view selects; readers' own functions are shown no row of another version (`security_barrier`)."""
    columns = ", ".join(quoted(name) for name in columns_of(table))
    # The sub-select makes PostgreSQL ask once for each scan, not once for each row.
    shown = f"(select cvm_store.parts_shown({literal(table.name)}))::text[]"
    return (
        f"{viewed(table)} with (security_barrier) as "
        f"select {columns} from {stored(table)} where {key_of_rows(table)} = any ({shown})"
    )


def replace_view(table: Table, stands: Sequence[str]) -> list[str]:
    """The view and who may read it, where one with the columns `stands` may be there already: kept, where it only grows."""
    readers = PII_READER if table.schema == "cvm_pii" else f"{READER}, {PII_READER}"
    grows = list(columns_of(table))[: len(stands)] == list(stands)
    return [
        *([] if grows else [f"drop view {viewed(table)}"]),
        f"create or replace view {view_of(table)}",
        f"grant select on {viewed(table)} to {readers}",
    ]


def describe_view(table: Table) -> list[str]:
    """The view's comments, which nobody at work has to wait for; and, where only the writer looks, what view it is."""
    return [
        f"comment on view {viewed(table)} is {literal(table.grain)}",
        *(
            f"comment on column {viewed(table)}.{quoted(name_of(column.name))} is {literal(meaning(column))}"
            for column in table.columns
        ),
        f"comment on table {stored(table)} is {literal(digest_of(view_of(table)))}",
    ]


def digest_of(*definitions: str) -> str:
    """What tells definitions from others."""
    return hashlib.sha256("".join(definitions).encode()).hexdigest()[:16]


def missing_parts(table: Table) -> str:
    """Of the keys $1 those of which no row is stored: one look into the index for each."""
    return (
        f"select sought from unnest($1::text[]) sought "
        f"where not exists (select from {stored(table)} where {key_of_rows(table)} = sought)"
    )


def delete_parts(table: Table) -> str:
    """Delete the parts with the keys $1, by the index."""
    return f"delete from {stored(table)} where {key_of_rows(table)} = any ($1::text[])"


def array(texts: Iterable[str]) -> str:
    """Texts as PostgreSQL spells a text[], for a parameter: ids and keys, which hold nothing to quote."""
    return "{" + ",".join(texts) + "}"
