"""A user's SQL expression, taken apart by DuckDB's own parser: is it one scalar expression, and which columns does it name?

Expressions come from a configuration, but names in it are data: nothing here pastes text into SQL that was not parsed as a
single expression first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import duckdb

from cvm_pipeline.sources.errors import MappingRefused
from cvm_pipeline.sources.sql import first_row

_FORBIDDEN = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "*"}
# A row's value may depend on that row alone: neither on other rows nor on when it is read.
_VOLATILE = {"random", "uuid", "gen_random_uuid", "nextval", "now", "today", "get_current_timestamp", "current_timestamp",
             "current_date", "read_csv", "read_text", "read_blob", "getenv"}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """`sql` is the expression itself, `references` the columns it names: ('Quantity',) or ('people', 'country')."""

    sql: str
    references: tuple[tuple[str, ...], ...]


def parse(con: duckdb.DuckDBPyConnection, sql: str, where: str) -> Expression:
    """The expression, checked. Raises MappingRefused naming `where` it stands in cvm.yml."""
    tree = _tree(con, sql, where)
    references: list[tuple[str, ...]] = []
    nodes = _walk(tree)
    own = {tuple(ref["column_names"]) for node in nodes if node.get("class") == "LAMBDA"
           for ref in _walk(node["lhs"]) if ref.get("class") == "COLUMN_REF"}  # fmt: skip
    for node in nodes:
        kind = node.get("class")
        if kind in _FORBIDDEN:
            raise MappingRefused(f"{where}: {sql!r} holds {_FORBIDDEN[kind]}; an expression sees one row of its file")
        if kind == "FUNCTION" and node.get("function_name", "").lower() in _VOLATILE:
            raise MappingRefused(f"{where}: {node['function_name']}() would give another value at each run")
        if kind == "COLUMN_REF" and tuple(node["column_names"]) not in own:
            references.append(tuple(node["column_names"]))
    return Expression(sql, tuple(dict.fromkeys(references)))


def equality_sides(con: duckdb.DuckDBPyConnection, sql: str, where: str) -> list[tuple[Expression, Expression]]:
    """The two sides of each equality of a join's `on`. Raises MappingRefused for anything but equalities and AND."""
    tree = _tree(con, sql, where)
    conditions = tree["children"] if tree.get("type") == "CONJUNCTION_AND" else [tree]
    sides = []
    for condition in conditions:
        if condition.get("type") != "COMPARE_EQUAL":
            raise MappingRefused(f'{where}: {sql!r} must be an equality, such as "people.id = CustomerID"')
        left, right = (_text(con, condition[side], where) for side in ("left", "right"))
        sides.append((parse(con, left, where), parse(con, right, where)))
    return sides


def _tree(con: duckdb.DuckDBPyConnection, sql: str, where: str) -> dict:
    row = first_row(con, "select json_serialize_sql(?)", [f"select ({sql}\n) as v"])
    answer = json.loads(row[0]) if row else {"error": True}
    if answer["error"]:
        raise MappingRefused(f"{where}: {sql!r} is no SQL expression ({answer.get('error_message', 'not parsed')})")
    statements = answer["statements"]
    node = statements[0]["node"]
    plain = (
        len(statements) == 1
        and node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
    )
    if not plain:
        raise MappingRefused(f"{where}: {sql!r} must be one expression over the columns of one row")
    return node["select_list"][0]


def _text(con: duckdb.DuckDBPyConnection, node: dict, where: str) -> str:
    row = first_row(con, "select json_serialize_sql('select 1')")
    statement = json.loads(row[0]) if row else {}
    statement["statements"][0]["node"]["select_list"] = [{**node, "alias": ""}]
    back = first_row(con, "select json_deserialize_sql(?::json)", [json.dumps(statement)])
    if back is None:
        raise MappingRefused(f"{where}: can't be read back")
    return str(back[0]).removeprefix("SELECT ")


def _walk(node: object) -> list[dict]:
    found = []
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "class" in item:
                found.append(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found
