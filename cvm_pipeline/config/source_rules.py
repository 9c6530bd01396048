"""The rules of a source between its keys: its columns against its entity's contract, and what excludes what.

They judge the raw tree, not the model, so that they speak even where other keys of the same source are wrong.
Not here: the rules of single values (`source.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cvm_pipeline.config.entity_names import ORDER_ENTITIES, EntityNames
from cvm_pipeline.config.errors import Mistake, did_you_mean, nearest
from cvm_pipeline.config.source import TEXT_FORMATS, format_of
from cvm_pipeline.config.yaml_tree import Loc, Tree

Entities = Mapping[str, EntityNames]


def name_sources(tree: Tree) -> None:
    """Give each source without a name its entity's, made unique: orders, orders_2."""
    sources = [source for _, source in _sources(tree)]
    taken = {str(source["name"]).casefold() for source in sources if "name" in source}
    for source in sources:
        if "name" not in source:
            base = name = re.sub(r"\W", "_", str(source.get("entity", "source")))[:50] or "source"
            number = 1
            while name.casefold() in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name.casefold())
            source["name"] = name


def source_mistakes(tree: Tree, entities: Entities) -> Iterator[Mistake]:
    """All mistakes of these rules, over all sources."""
    names: dict[str, int] = {}
    for index, source in _sources(tree):
        loc: Loc = ("sources", index)
        folded = str(source.get("name", "")).casefold()
        if folded and folded in names:
            yield tree.mistake((*loc, "name"), f"{source['name']!r} names sources[{names[folded]}] too")
        names.setdefault(folded, index)
        entity = entities.get(str(source.get("entity")))
        if entity is not None:
            yield from _columns(tree, loc, source, entity)
            yield from _values(tree, loc, source, entity)
        yield from _reading(tree, loc, source)
        yield from _exclusions(tree, loc, source)
    yield from _some_orders(tree)


def _sources(tree: Tree) -> Iterator[tuple[int, dict[str, Any]]]:
    sources = tree.data.get("sources")
    for index, source in enumerate(sources if isinstance(sources, list) else []):
        if isinstance(source, dict):
            yield index, source


def _section(source: dict[str, Any], key: str) -> dict[str, Any]:
    found = source.get(key)
    return found if isinstance(found, dict) else {}


def _columns(tree: Tree, loc: Loc, source: dict[str, Any], entity: EntityNames) -> Iterator[Mistake]:
    if not isinstance(source.get("columns"), dict):
        return
    columns = source["columns"]
    given = {*columns, *(key for key in ("currency", "source_system") if key in source)}
    for column in columns:
        if column not in entity.columns:
            hint = did_you_mean(column, entity.columns)
            yield tree.mistake((*loc, "columns", column), f"{source['entity']} have no column {column!r}", hint)
            # One slip is one mistake: the required column that was meant is not missing as well.
            given.add(nearest(column, entity.columns) or column)
    for column in entity.required:
        if column not in given:
            yield tree.mistake(
                (*loc, "columns"),
                f"{source['entity']} need the column {column}",
                f"write {column}: the file's column, or an SQL expression",
            )


def _values(tree: Tree, loc: Loc, source: dict[str, Any], entity: EntityNames) -> Iterator[Mistake]:
    columns = _section(source, "columns")
    for column, words in _section(source, "values").items():
        here: Loc = (*loc, "values", column)
        if column not in entity.columns:
            yield tree.mistake(
                here, f"{source['entity']} have no column {column!r}", did_you_mean(column, entity.columns)
            )
        elif column not in columns:
            yield tree.mistake(here, f"the words of {column} are mapped, but {column} is not among the columns")
        vocabulary = entity.vocabularies.get(column)
        if vocabulary and isinstance(words, dict):
            for word, meaning in words.items():
                if isinstance(meaning, str) and meaning not in vocabulary:
                    hint = did_you_mean(meaning, vocabulary)
                    yield tree.mistake((*here, word), f"{meaning!r} is no word of {column}", hint)


def _reading(tree: Tree, loc: Loc, source: dict[str, Any]) -> Iterator[Mistake]:
    readings = [(loc, source)]
    for alias, join in _section(source, "join").items():
        if isinstance(join, dict):
            readings.append(((*loc, "join", alias), join))
    for where, entry in readings:
        read = _section(entry, "read")
        kind = entry.get("format", format_of(str(entry.get("path", ""))))
        if kind in TEXT_FORMATS and str(read.get("header")).casefold() in ("false", "no") and not read.get("names"):
            yield tree.mistake((*where, "read", "header"), "a file without a header needs names", "names: [a, b, c]")
        if kind is not None and kind != "xlsx" and "sheet" in read:
            yield tree.mistake((*where, "read", "sheet"), f"a {kind} file has no sheets")
        if kind is not None and kind not in TEXT_FORMATS:
            for key in ("delimiter", "quote"):
                if key in read:
                    yield tree.mistake((*where, "read", key), f"a {kind} file has no {key}")


def _exclusions(tree: Tree, loc: Loc, source: dict[str, Any]) -> Iterator[Mistake]:
    columns = _section(source, "columns")
    for key in ("source_system", "currency"):
        if key in source and key in columns:
            yield tree.mistake(
                (*loc, key), f"{key} is given twice, for the whole source and as a column", "keep one of the two"
            )
    if "lines" in source and source.get("entity") != "order_lines":
        yield tree.mistake((*loc, "lines"), "is for order_lines only")


def _some_orders(tree: Tree) -> Iterator[Mistake]:
    given = [str(source.get("entity")) for _, source in _sources(tree)]
    # A misspelt entity may well be the orders: that mistake speaks for itself.
    unknown = [entity for entity in given if entity not in ("products", "customers", "exchange_rates")]
    if given and not unknown:
        wanted = " or ".join(ORDER_ENTITIES)
        yield tree.mistake(("sources",), f"one source must hold {wanted}", "everything else is optional")
