"""From what a source's expression gave to what the contract promises: one strict SQL cast for each kind of column.

Each cast is a pair of SQL expressions: the value (null where it can't be had) and the reason why it can't. Strict means
that nothing is guessed: no thousands separators, no order of day and month, no rounding before a total.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cvm_pipeline.sources.entities import SQL_TYPE, Field
from cvm_pipeline.sources.sql import literal

_ISO_INSTANT = (
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?"  # a date, or an instant
)
_TRUE = "('true','t','yes','y','1')"
_FALSE = "('false','f','no','n','0')"
_INTEGERS = ("tinyint", "smallint", "int", "bigint", "hugeint")
_FLOATS = ("double", "float", "real")


@dataclass(frozen=True)
class Cast:
    """`value` and `problem` are SQL over a column `v` of the given type; `problem` is null where the value is sound."""

    value: str
    problem: str


@dataclass(frozen=True)
class TimeRules:
    """In which zone a source's bare instants are, and between which days they may lie."""

    zone: str
    earliest: dt.date
    now: dt.datetime


def is_text(sql_type: str) -> bool:
    """Whether an expression of this type still is text, to be cast strictly."""
    return sql_type.upper() in {"VARCHAR", '"NULL"', "NULL"}


def cast_for(field: Field, v: str, sql_type: str, rules: TimeRules, words: dict[str, str]) -> Cast:
    """The cast of one canonical column from SQL expression `v` of `sql_type`."""
    text = f"nullif(trim({v}), '')" if is_text(sql_type) else f"cast({v} as varchar)"
    if words:
        whens = " ".join(f"when {literal(word)} then {literal(to)}" for word, to in words.items())
        text = f"case {text} {whens} else {text} end"
    match field.kind:
        case "id" | "text":
            return Cast(text, "null")
        case "word":
            return _word(field, text)
        case "quantity" | "price" | "count" | "amount":
            return _number(field, v, text, sql_type)
        case "instant":
            return _instant(field, v, text, sql_type, rules)
        case "date":
            return _date(v, text, sql_type)
        case "flag":
            return _flag(text)


def _word(field: Field, text: str) -> Cast:
    vocabulary = ", ".join(literal(word) for word in field.vocabulary)
    known = ", ".join(field.vocabulary)
    value = f"case when lower({text}) in ({vocabulary}) then lower({text}) end"
    problem = (
        f"case when {text} is not null and lower({text}) not in ({vocabulary}) then"
        f" 'unknown_word' || chr(31) || {text} || ' is none of {known}; map it under `values:`' end"
    )
    return Cast(value, problem)


def _number(field: Field, v: str, text: str, sql_type: str) -> Cast:
    target = SQL_TYPE[field.kind]
    # Amounts keep their digits until they are rounded half-even; the other kinds hold theirs.
    wide = "decimal(38,12)" if field.kind in ("amount", "count") else target
    if is_text(sql_type):
        # DuckDB would read 1_000 as a thousand.
        number = f"case when not contains({text}, '_') then try_cast({text} as {wide}) end"
    else:
        number = f"try_cast({v} as {wide})"
    value = {"amount": f"try_cast(round_even({number}, 4) as {target})", "count": f"try_cast({number} as bigint)"}.get(
        field.kind, number
    )
    whole = f" and {number} = floor({number})" if field.kind == "count" else ""
    sound = f"({value}) is not null{whole}" + (f" and ({value}) > 0" if field.positive else "")
    wanted = {"count": "a whole number"}.get(field.kind, "a number such as 1234.56")
    problem = (
        f"case when {text} is not null and not coalesce({sound}, false) then"
        f" 'not_a_number' || chr(31) || left({text}, 60) || ' is not {wanted}{' above 0' if field.positive else ''}' end"
    )
    return Cast(value, problem)


def _instant(field: Field, v: str, text: str, sql_type: str, rules: TimeRules) -> Cast:
    kind = sql_type.upper()
    if kind.startswith("TIMESTAMP WITH TIME ZONE"):
        value, present, local = f"timezone('UTC', {v})", f"{v} is not null", None
    elif is_text(sql_type):
        iso = f"regexp_full_match({text}, {literal(_ISO_INSTANT)})"
        offset = f"regexp_matches({text}, '(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$') and length({text}) > 10"
        plain = f"try_cast(replace({text}, ',', '.') as timestamp)"
        with_offset = f"timezone('UTC', try_cast({text} as timestamptz))"
        local = f"case when {iso} and not ({offset}) then {plain} end"
        value = f"case when {iso} then case when {offset} then {with_offset} else {_to_utc(plain, rules.zone)} end end"
        present = f"{text} is not null"
    else:
        local = f"cast({v} as timestamp)"
        value, present = _to_utc(local, rules.zone), f"{v} is not null"
    checks = [f"when {present} and ({value}) is null then {_no_instant(text, local, rules.zone)}"]
    if field.in_past:
        early, late = (
            rules.earliest.isoformat(),
            (rules.now + dt.timedelta(days=1)).isoformat(sep=" ", timespec="seconds"),
        )
        checks += [
            f"when ({value}) < timestamp '{early}' then 'too_early' || chr(31) || {text}"
            f" || ' is before {early}; see quality.earliest_date'",
            f"when ({value}) > timestamp '{late}' then 'in_future' || chr(31) || {text} || ' has not come yet'",
        ]
    return Cast(value, f"case {' '.join(checks)} end")


def _to_utc(local: str, zone: str) -> str:
    """Wall time to UTC. An ambiguous hour is the first, one that doesn't exist is null.

    ICU takes the second of an ambiguous hour; clocks go back by an hour, on Lord Howe Island by half of one.
    """
    if zone in ("UTC", "Etc/UTC"):
        return local
    z = literal(zone)
    at = f"timezone({z}, {local})"
    return (
        f"case when timezone({z}, {at} - interval 1 hour) = {local} then timezone('UTC', {at} - interval 1 hour)"
        f" when timezone({z}, {at} - interval 30 minute) = {local} then timezone('UTC', {at} - interval 30 minute)"
        f" when timezone({z}, {at}) = {local} then timezone('UTC', {at}) end"
    )


def _no_instant(text: str, local: str | None, zone: str) -> str:
    bad = f"'not_a_date' || chr(31) || left({text}, 60) || ' is not ISO 8601; use strptime() where it is written otherwise'"
    if local is None or zone in ("UTC", "Etc/UTC"):
        return bad
    skipped = f"'hour_skipped' || chr(31) || {text} || ' does not exist in {zone}: clocks went forward'"
    return f"case when ({local}) is not null then {skipped} else {bad} end"


def _date(v: str, text: str, sql_type: str) -> Cast:
    if is_text(sql_type):
        value = (
            f"case when regexp_full_match({text}, {literal(_ISO_INSTANT)}) then try_cast(left({text}, 10) as date) end"
        )
    else:
        value = f"try_cast({v} as date)"
    problem = (
        f"case when {text} is not null and ({value}) is null then"
        f" 'not_a_date' || chr(31) || left({text}, 60) || ' is not ISO 8601; use strptime() where it is written otherwise' end"
    )
    return Cast(value, problem)


def _flag(text: str) -> Cast:
    value = f"case when lower({text}) in {_TRUE} then true when lower({text}) in {_FALSE} then false end"
    problem = (
        f"case when {text} is not null and ({value}) is null then"
        f" 'not_a_flag' || chr(31) || left({text}, 60) || ' is neither true nor false' end"
    )
    return Cast(value, problem)


def refused_as(text: str, sql_type: str) -> str:
    """SQL: whether a text that is not empty can't be had as the declared type without loss."""
    value = f"try_cast({text} as {sql_type})"
    refused = [f"{value} is null", f"contains({text}, '_')"]
    if sql_type.startswith(_INTEGERS):
        refused.append(f"coalesce(try_cast({text} as decimal(38,6)) <> {value}, true)")
    elif sql_type.startswith(_FLOATS):
        refused.append(f"not isfinite({value})")
    elif sql_type == "timestamp":
        refused.append(rf"regexp_matches({text}, ':.*(Z|[+-]\d\d(:?\d\d)?)$')")
    return " or ".join(refused)
