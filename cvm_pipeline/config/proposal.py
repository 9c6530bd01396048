"""From the heads of files to what `cvm.yml` should say of them: which entity, which column, how it is read.

Belongs here: judgements of heads already read. What can't be known is asked in a comment, never guessed. Not here:
opening files (`heads.py`), the text of the file (`template.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape
from itertools import takewhile
from pathlib import Path

from cvm_pipeline.config.entity_names import ENTITIES, ORDER_ENTITIES
from cvm_pipeline.config.looks import are_shares, look_at_dates, look_at_numbers
from cvm_pipeline.config.sniff import Head
from cvm_pipeline.config.synonyms import SYNONYMS, match_columns, plain, status_of
from cvm_pipeline.domain.sql_text import literal, quoted

_DATES = ("ordered_at", "rate_date", "birth_date", "created_at", "updated_at")
_NUMBERS = ("amount", "quantity", "unit_price", "unit_cost", "cost", "discount", "rate", "annual_revenue")
_EXAMPLES = 3
_OF_PEOPLE = {"email", "phone", "birth_date", "gender"}
_DATE_IN_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})")


@dataclass
class Entry:
    """One proposed source. `notes` are comments: by canonical column before its line, under '' at the entry's end."""

    entity: str
    path: str
    head: Head
    columns: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    join: dict[str, dict[str, object]] = field(default_factory=dict)
    effective_at: str = ""

    def note(self, column: str, text: str) -> None:
        self.notes.setdefault(column, []).append(text)


@dataclass
class Proposal:
    """The proposed sources, orders first, the files that fit no entity, and the currency that most orders are in."""

    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    currency: str = "USD"


def propose(heads: Mapping[str, Head]) -> Proposal:
    """What these files (path as cvm.yml will write it -> head) most likely are."""
    proposal = Proposal()
    nearest: tuple[int, Entry] | None = None
    for path, (names, head) in _group(heads).items():
        entity = entity_of(head.columns)
        entry = _entry(entity or "orders", path, names, head)
        if entity is not None:
            proposal.entries.append(entry)
        else:
            proposal.left_out.append(path)
            if nearest is None or len(entry.columns) > nearest[0]:
                nearest = len(entry.columns), entry
    _join_lines_to_orders(proposal.entries)
    if nearest and not any(entry.entity in ORDER_ENTITIES for entry in proposal.entries):
        # A project without orders is none: the user is asked about the file that comes nearest.
        proposal.entries.append(nearest[1])
        proposal.left_out.remove(nearest[1].path)
    order = list(ENTITIES)
    proposal.entries.sort(key=lambda entry: (order.index(entry.entity), entry.path))
    for entry in proposal.entries:
        _ask_for_the_missing(entry)
        codes = _codes(entry) if entry.entity in ORDER_ENTITIES else []
        if codes:
            proposal.currency = max(codes, key=codes.count)
    return proposal


def entity_of(columns: Sequence[str]) -> str | None:
    """The entity that a file of these columns most likely holds, or None."""
    found = {entity: match_columns(columns, entity).keys() for entity in SYNONYMS}
    lines, orders, products, customers = (found[name] for name in ("order_lines", "orders", "products", "customers"))
    if {"product_id", "unit_price"} <= lines and ({"order_id"} <= lines or {"ordered_at", "quantity"} <= lines):
        return "order_lines"
    # An order's file may hold the shipping address too: what has a day and an order, or a sum, is an order.
    if "ordered_at" in orders and ("order_id" in orders or {"customer_id", "amount"} <= orders):
        return "orders"
    if {"currency", "rate_date", "rate"} <= found["exchange_rates"]:
        return "exchange_rates"
    if "order_id" in orders:
        return None
    if "product_id" in products and len(products) >= len(customers):
        return "products"
    if "customer_id" not in customers or len(customers) < 2:
        return None
    # Anything may have an `id` and a name: only people have these.
    bare = plain(match_columns(columns, "customers")["customer_id"]) == "id"
    return "customers" if not bare or customers & _OF_PEOPLE else None


def _group(heads: Mapping[str, Head]) -> dict[str, tuple[list[str], Head]]:
    """Files of one folder and one layout become one glob, unless it would catch another file too."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for path, head in heads.items():
        layout = (Path(path).parent, head.columns, head.format, tuple(sorted(map(str, head.read.items()))))
        alike.setdefault(layout, []).append(path)
    groups: dict[str, tuple[list[str], Head]] = {}
    for paths in alike.values():
        names = [Path(path).name for path in paths]
        pattern = _pattern(paths, names, heads)
        if pattern is not None:
            rows = tuple(row for path in paths[:20] for row in heads[path].rows)
            groups[pattern] = (names, replace(heads[paths[0]], rows=rows))
        else:
            groups.update({escape(path): ([Path(path).name], heads[path]) for path in paths})
    return groups


def _pattern(paths: Sequence[str], names: Sequence[str], known: Iterable[str]) -> str | None:
    """The glob that catches these files of one folder and no other known one, or None."""
    if len(paths) < 2:
        return None
    common = "".join(letters[0] for letters in takewhile(lambda seen: len(set(seen)) == 1, zip(*names, strict=False)))
    # The digits that the names share are most likely the beginning of a date: next year's differ.
    for start in (common.rstrip("0123456789-."), common):
        pattern = str(Path(escape(str(Path(paths[0]).parent))) / f"{escape(start)}*{Path(names[0]).suffix}")
        if {path for path in known if fnmatchcase(path, pattern)} == set(paths):
            return pattern
    return None


def _entry(entity: str, path: str, names: list[str], head: Head) -> Entry:
    entry = Entry(entity, path, head)
    for canonical, column in match_columns(head.columns, entity).items():
        _map(entry, canonical, column)
    parts = match_columns(head.columns, "order_lines")
    if entity == "orders" and "amount" not in entry.columns and {"quantity", "unit_price"} <= parts.keys():
        entry.columns["amount"] = _product(parts["quantity"], parts["unit_price"])
    if entity == "order_lines" and "quantity" not in entry.columns:
        entry.note("quantity", "No column looked like quantity: each row counts as one piece")
        entry.columns["quantity"] = "1"
    if len(names) > 1 and all(_DATE_IN_NAME.search(name) for name in names):
        entry.effective_at = _DATE_IN_NAME.pattern
    return entry


def _map(entry: Entry, canonical: str, column: str) -> None:
    values = entry.head.values(column)
    entry.columns[canonical] = column
    if canonical in _DATES:
        _map_date(entry, canonical, column, values)
    elif canonical == "discount" and entry.entity == "order_lines" and are_shares(values):
        _discount_of_a_share(entry, column)
    elif canonical in _NUMBERS:
        look = look_at_numbers(values, identifier(column))
        if len(look.choices) == 1 and look.choices[0] != identifier(column):
            entry.columns[canonical] = look.choices[0]
        elif len(look.choices) > 1:
            entry.note(
                canonical, f"The comma of {look.example} may be a decimal or a thousands sign: use the right one"
            )
            for choice in look.choices:
                entry.note(canonical, f"{canonical}: {choice}")
    elif canonical == "status":
        _map_status(entry, column, list(dict.fromkeys(values))[:50])


def _map_status(entry: Entry, column: str, words: list[str]) -> None:
    known = {word: meant for word in words if (meant := status_of(word))}
    if not known:
        # Whatever this column holds (a state of the union, perhaps), it is no status: left among those not used.
        del entry.columns["status"]
        return
    entry.values["status"] = known
    unknown = [word for word in words if word not in known]
    if unknown:
        entry.note("status", f"Words to map under values, else their rows are quarantined: {', '.join(unknown)}")


def _map_date(entry: Entry, canonical: str, column: str, values: list[str]) -> None:
    if not values:
        return
    look = look_at_dates(values)
    if look.unread:
        examples = ", ".join(list(dict.fromkeys(look.unread))[:_EXAMPLES])
        entry.note(
            canonical,
            f"{len(look.unread):,} of the {len(values):,} values that were looked at are no such date ({examples}): their rows"
            " are quarantined",
        )
    if look.is_iso:
        return
    readings = [f"strptime({identifier(column)}, {_sql_list(choice)})" for choice in look.choices]
    if len(readings) == 1:
        entry.columns[canonical] = readings[0]
    elif not readings:
        entry.note(
            canonical,
            f"No format reads {look.example} together with the other {column}: as this line is, every row is quarantined whose "
            f"{column} is no ISO date. Write strptime(column, 'format')",
        )
    else:
        entry.note(canonical, f"Day and month of {look.example} can't be told apart in the sample: use the right one")
        for reading in readings[:6]:
            entry.note(canonical, f"{canonical}: {reading}")


def _discount_of_a_share(entry: Entry, column: str) -> None:
    matched = match_columns(entry.head.columns, "order_lines")
    if {"unit_price", "quantity"} <= matched.keys():
        entry.note("discount", f"{column} holds shares: as money of the line")
        entry.columns["discount"] = _product(matched["unit_price"], matched["quantity"], column)


def _codes(entry: Entry) -> list[str]:
    column = entry.columns.get("currency")
    values = entry.head.values(column) if column in entry.head.columns and column else []
    return [value for value in values if re.fullmatch(r"[A-Z]{3}", value)]


def _product(*columns: str) -> str:
    return " * ".join(f"cast({identifier(column)} as decimal(18,6))" for column in columns)


def _join_lines_to_orders(entries: list[Entry]) -> None:
    """Lines without a day take it, and the customer, from the file of orders, which then is no source of its own."""
    lines = next((e for e in entries if e.entity == "order_lines" and "ordered_at" not in e.columns), None)
    orders = next((e for e in entries if e.entity == "orders" and {"order_id", "ordered_at"} <= e.columns.keys()), None)
    if lines is None or orders is None or "order_id" not in lines.columns:
        return
    alias = "orders" if "orders" not in map(str.casefold, lines.head.columns) else "order_head"
    key = f"{alias}.{identifier(orders.columns['order_id'])}"
    join: dict[str, object] = {"path": orders.path, "on": f"{key} = {identifier(lines.columns['order_id'])}"}
    if orders.head.read:
        join["read"] = orders.head.read
    lines.join[alias] = join
    for canonical in ("customer_id", "ordered_at", "status", "currency", "channel"):
        if canonical in orders.columns and canonical not in lines.columns:
            lines.columns[canonical] = _through(alias, orders.columns[canonical], orders.head.columns)
            for note in orders.notes.get(canonical, ()):
                lines.note(canonical, _through(alias, note, orders.head.columns))
            if canonical in orders.values:
                lines.values[canonical] = orders.values[canonical]
    entries.remove(orders)


def _through(alias: str, expression: str, columns: Sequence[str]) -> str:
    """An expression over a joined file's columns: a column alone, or the first argument of a function."""
    if expression in columns:
        return f"{alias}.{identifier(expression)}"
    for column in columns:
        expression = expression.replace(f"({identifier(column)},", f"({alias}.{identifier(column)},")
    return expression


def _ask_for_the_missing(entry: Entry) -> None:
    for canonical in ENTITIES[entry.entity].required:
        if canonical not in entry.columns:
            entry.columns[canonical] = canonical
            entry.note(canonical, f"No column looked like {canonical}: write the right one, or an SQL expression")
    order = ENTITIES[entry.entity].columns
    entry.columns = {canonical: entry.columns[canonical] for canonical in order if canonical in entry.columns}
    used = " ".join(plain(expression) for expression in entry.columns.values())
    left = [column for column in entry.head.columns if plain(column) not in used]
    if left:
        entry.note("", f"Not used: {', '.join(left)}")


def identifier(column: str) -> str:
    """A column's name in an SQL expression."""
    return column if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column) else quoted(column)


def _sql_list(formats: Sequence[str]) -> str:
    texts = [literal(form) for form in formats]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
