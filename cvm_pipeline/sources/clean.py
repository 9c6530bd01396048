"""The clean state: a pure function of the landed files, by name and content, and the configuration.

Maps every source, settles which rows stand, converts currencies, writes the tables of schema `clean`, and accounts for
every row: rows read = accepted + quarantined + duplicate + filtered + superseded, for each source and file, or it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from cvm_pipeline.config.source import digest
from cvm_pipeline.config.version import code_fingerprint
from cvm_pipeline.sources import audit, documents, taken_back
from cvm_pipeline.sources.entities import ENTITIES, EXCHANGE_RATES, ORDER_LINES, ORDERS
from cvm_pipeline.sources.errors import QuarantineTooLarge
from cvm_pipeline.sources.mapping import LandedPart, create_entity_table, map_source
from cvm_pipeline.sources.spec import CleanSettings, SourceSpec
from cvm_pipeline.sources.sql import first_row
from cvm_pipeline.sources.standing import settle


@dataclass(frozen=True)
class LandedSource:
    """One source with what stands of it in the landing zone; `replaced` contents stand in the audit alone."""

    spec: SourceSpec
    parts: tuple[LandedPart, ...]
    replaced: tuple[LandedPart, ...]
    lookups: dict[str, tuple[LandedPart, ...]]


def build_clean_if_changed(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[LandedSource],
    settings: CleanSettings,
    config_hash: str,
    progress: Callable[[str], None] = lambda step: None,
) -> bool:
    """Build the clean state unless it stands already for the same files, configuration, code and day.

    Returns whether it was built. A state whose quarantine is too large is refused again.
    """
    state = _state(sources, settings, config_hash)
    if _built_state(con) == state:
        audit.refuse_large_quarantine(con, settings.max_quarantine_share)
        return False
    con.execute("create or replace table clean.state (state varchar)")
    try:
        build_clean(con, sources, settings, progress)
    except QuarantineTooLarge:
        con.execute("insert into clean.state values (?)", [state])
        raise
    con.execute("insert into clean.state values (?)", [state])
    return True


def _state(sources: Sequence[LandedSource], settings: CleanSettings, config_hash: str) -> str:
    files = [
        (source.spec.name, role, part.file.name, part.file.hash, part.file.reading, part.file.forgotten)
        for source in sources
        for role, parts in (("standing", source.parts), ("replaced", source.replaced), *source.lookups.items())
        for part in parts
    ]
    # The day is part of it: what lay in the future yesterday may have come by now.
    return digest([files, config_hash, settings.now.date().isoformat(), code_fingerprint()])


def _built_state(con: duckdb.DuckDBPyConnection) -> str | None:
    con.execute("create schema if not exists clean")
    con.execute("create table if not exists clean.state (state varchar)")
    row = first_row(con, "select state from clean.state")
    return str(row[0]) if row else None


def build_clean(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[LandedSource],
    settings: CleanSettings,
    progress: Callable[[str], None] = lambda step: None,
) -> audit.Accounts:
    """Write schema `clean` of the work warehouse anew.

    Raises MappingRefused, RowsDoNotBalance, and QuarantineTooLarge (after the quarantine is written, so that it can be
    looked at).
    """
    con.execute("drop schema if exists landing cascade")
    con.execute("create schema landing")
    con.execute("create schema if not exists clean")
    for entity in ENTITIES.values():
        create_entity_table(con, entity)
    rank = 0
    for source in sources:
        progress(f"mapping {source.spec.name}")
        map_source(con, source.spec, ENTITIES[source.spec.entity], source.parts, source.lookups, rank, settings)
        rank += len(source.parts)
    appending = frozenset(source.spec.name for source in sources if source.spec.append_lines)
    names = documents.naming(con, settings.timezone, settings.currency)
    settle(con, EXCHANGE_RATES, appending)
    documents.write_rates(con)
    for entity in ENTITIES.values():
        progress(f"settling {entity.name}")
        if entity in (ORDERS, ORDER_LINES):
            documents.quarantine_unrated(con, entity, names)
            documents.quarantine_too_large(con, entity, names)
        settle(con, entity, appending)
    documents.write_records(con, names)
    documents.write_approximations(con)
    progress("building orders")
    documents.write_order_lines(con, names, appending)
    documents.write_orders(con, names, settings.margin_rate)
    progress("allocating returns")
    taken_back.allocate(con)
    progress("accounting for every row")
    accounts = audit.account(con, sources, settings.now)
    # The mapped rows have served: what stands is in `clean`, what doesn't is in the quarantine and the accounts.
    con.execute("drop schema landing cascade")
    audit.refuse_large_quarantine(con, settings.max_quarantine_share)
    return accounts
