"""The data dictionary as a page: every published table and column with its meaning and unit, one file without links.

Belongs here: the page's words and looks. Not here: any column (`domain/contracts/`), where the page is kept (`defs/`).
"""

from __future__ import annotations

from html import escape

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES, Column, Table

_WRITING = {
    "newest": "the newest snapshot",
    "snapshot": "every snapshot",
    "state": "as of the publication",
    "stays": "every stay",
    "log": "every publication",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
nav a { margin-right: .8rem; white-space: nowrap } a { color: #0b5394; text-decoration: none }
h2 { margin-top: 2.5rem; border-bottom: 2px solid #ddd } h2 small { font-weight: normal; color: #666 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top }
tr { border-bottom: 1px solid #eee } td:first-child { font-family: ui-monospace, monospace; white-space: nowrap }
td:nth-child(2) { color: #666; white-space: nowrap } .key td:first-child { font-weight: bold }
"""


def dictionary_page() -> str:
    """The whole page as HTML; the columns of a table's key are bold."""
    links = " ".join(f'<a href="#{table.name}">{table.name}</a>' for table in TABLES)
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>Data dictionary {CONTRACT_VERSION}</title>"
        f"<style>{_STYLE}</style>\n<h1>Data dictionary</h1>\n<p>Contract version {CONTRACT_VERSION}. Money is in the "
        "project's currency, instants are in UTC; the columns of a table's key are bold. PostgreSQL writes every name in "
        f"lower case.</p>\n<nav>{links}</nav>\n{''.join(map(_table, TABLES))}</html>\n"
    )


def _table(table: Table) -> str:
    rows = "".join(_column(column, column.name in table.key) for column in table.columns)
    return (
        f"<h2 id={table.name}>{table.schema}.{table.name} <small>holds {_WRITING[table.writing]}</small></h2>\n"
        f"<p>{escape(table.grain)}</p>\n<table><tr><th>column<th>type<th>meaning<th>unit<th>since</tr>\n{rows}</table>\n"
    )


def _column(column: Column, is_key: bool) -> str:
    words = f" One of: {', '.join(column.vocabulary)}." if column.vocabulary else ""
    may = " May be null." if column.nullable else ""
    return (
        f"<tr{' class=key' if is_key else ''}><td>{escape(column.name)}<td>{column.type}<td>{escape(column.meaning)}."
        f"{escape(words)}{may}<td>{escape(column.unit)}<td>{column.since}</tr>\n"
    )
