"""Who may do what in PostgreSQL, as SQL text: created once by `cvm doctor --setup-warehouse`.

Belongs here: roles, schemas and their rights. Not here: tables and views (`store.py`), which the writer makes itself.

Least privilege: `cvm_writer` owns the schemas and nothing else; `cvm_reader` reads the views of `cvm` and can't see that
there are personal data; `cvm_pii_reader` reads `cvm_pii` as well. No role can log in: a database's own users are granted
one (`grant cvm_reader to metabase`). Readers can't reach the store behind the views, nor make anything in its schemas, nor
hold up a publication. What PostgreSQL grants to every user of a database stays as it is, for it may have other users: their
session's own temporary tables and functions (`revoke temporary on database ... from public` ends it) and large objects.
"""

from __future__ import annotations

from cvm_pipeline.domain.sql_text import quoted
from cvm_pipeline.warehouse.targets.postgres.store import PII_READER, READER, WRITER

SCHEMAS = ("cvm", "cvm_pii", "cvm_store", "cvm_store_pii")


def setup_sql(database: str) -> list[str]:
    """Every statement of the setup, in order; safe to repeat. Needs a superuser or an owner who may create roles."""
    roles = [
        f"do $$ begin if not exists (select from pg_roles where rolname = '{role}') then "
        f"create role {role} nologin nosuperuser nocreatedb nocreaterole; end if; end $$"
        for role in (WRITER, READER, PII_READER)
    ]
    # The one who sets up may be no superuser: to give the schemas away he must belong to their owner.
    belong = [f"grant {WRITER} to current_user"]
    schemas = [f"create schema if not exists {schema} authorization {WRITER}" for schema in SCHEMAS]
    rights = [
        f"revoke all on schema {', '.join(SCHEMAS)} from public",
        f"grant usage on schema cvm to {READER}, {PII_READER}",
        f"grant usage on schema cvm_pii to {PII_READER}",
        f"grant connect on database {quoted(database)} to {WRITER}, {READER}, {PII_READER}",
    ]
    return roles + belong + schemas + rights
