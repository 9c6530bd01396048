"""From what a source's expression gave to what the contract promises: one strict SQL cast for each kind of column.

Each cast is the value in SQL (null where it can't be had) and the reasons why it can't. Strict means that nothing is guessed: no thousands separators, no order of day and month, no rounding before a total.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cvm_pipeline.sources.entities import SQL_TYPE, Field
from cvm_pipeline.sources.sql import literal

_ISO_INSTANT = (
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?"  # a date, or an instant
)
_NOT_ISO = "{shown} || ' is not ISO 8601; use strptime() where it is written otherwise'"
_TRUE = "('true','t','yes','y','1')"
_FALSE = "('false','f','no','n','0')"
_INTEGERS = ("tinyint", "smallint", "int", "bigint", "hugeint")
_FLOATS = ("double", "float", "real")


@dataclass(frozen=True)
class Refusal:
    """Why a value can't be had: an SQL condition, the rule's name, and an SQL text of what was found."""

    condition: str
    rule: str
    told: str


@dataclass(frozen=True)
class Cast:
    """Three steps, each SQL over the ones before: the expression as `text`, its `value`, and what refuses it.

    Text and value become columns of their own (`t`, `c`): written out again in each condition they would be computed
    again, row by row.
    """

    text: str
    value: str
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class TimeRules:
    """In which zone a source's bare instants are, and between which days they may lie."""

    zone: str
    earliest: dt.date
    now: dt.datetime


def is_text(sql_type: str) -> bool:
    """Whether an expression of this type still is text, to be cast strictly."""
    return sql_type.upper() in {"VARCHAR", '"NULL"', "NULL"}


def shown(t: str, personal: bool = False, beside_personal: bool = False) -> str:
    """SQL: how a message calls a refused text. Messages are read by many, and land in logs.

    A personal value is never told. Beside personal columns a value may have slipped into its neighbour's place: there its
    shape is told, `99/99/9999`. An e-mail address is none anywhere.
    """
    if personal:
        return literal("a value (personal, so not shown)")
    text = f"left({t}, 60)"
    if beside_personal:
        return rf"regexp_replace(regexp_replace({text}, '\p{{L}}', 'x', 'g'), '\d', '9', 'g')"
    return f"case when contains({t}, '@') then 'a value with an @ (not shown)' else {text} end"


def cast_for(
    field: Field,
    v: str,
    sql_type: str,
    rules: TimeRules,
    words: dict[str, str],
    t: str = "t",
    c: str = "c",
    beside_personal: bool = False,
) -> Cast:
    """The cast of one canonical column from SQL expression `v` of `sql_type`; `t` and `c` name its text and its value."""
    told = shown(t, field.personal, beside_personal)
    text = f"nullif(trim({v}), '')" if is_text(sql_type) else f"cast({v} as varchar)"
    if words:
        whens = " ".join(f"when {literal(word)} then {literal(to)}" for word, to in words.items())
        text = f"case {text} {whens} else {text} end"
    lost = f"{t} is not null and {c} is null"
    match field.kind:
        case "id" | "text":
            return Cast(text, t)
        case "word":
            return _word(field, text, t, shown(t, field.personal), lost)
        case "quantity" | "price" | "rate" | "count" | "amount":
            return _number(field, v, text, sql_type, t, c, told)
        case "instant":
            return _instant(field, v, text, sql_type, rules, t, c, told)
        case "date":
            value = f"try_cast({v} as date)"
            if is_text(sql_type):
                value = f"case when {_is_iso(t)} then try_cast(left({t}, 10) as date) end"
            return Cast(text, value, (Refusal(lost, "not_a_date", _NOT_ISO.format(shown=told)),))
        case "flag":
            value = f"case when lower({t}) in {_TRUE} then true when lower({t}) in {_FALSE} then false end"
            return Cast(text, value, (Refusal(lost, "not_a_flag", f"{told} || ' is neither true nor false'"),))


def _is_iso(text: str) -> str:
    return f"regexp_full_match({text}, {literal(_ISO_INSTANT)})"


def _word(field: Field, text: str, t: str, shown_as: str, lost: str) -> Cast:
    vocabulary = ", ".join(literal(word) for word in field.vocabulary)
    value = f"case when lower({t}) in ({vocabulary}) then lower({t}) end"
    told = f"{shown_as} || ' is none of {', '.join(field.vocabulary)}; map it under `values:`'"
    return Cast(text, value, (Refusal(lost, "unknown_word", told),))


def _number(field: Field, v: str, text: str, sql_type: str, t: str, c: str, shown_as: str) -> Cast:
    target = SQL_TYPE[field.kind]
    # Amounts keep their digits until they are rounded half-even; the other kinds hold theirs.
    wide = "decimal(38,12)" if field.kind in ("amount", "count") else target
    # DuckDB would read 1_000 as a thousand.
    number = f"try_cast({v} as {wide})"
    if is_text(sql_type):
        number = f"case when not contains({t}, '_') then try_cast({t} as {wide}) end"
    value = {
        "amount": f"try_cast(round_even({number}, 4) as {target})",
        "count": f"case when {number} = floor({number}) then try_cast({number} as bigint) end",
    }.get(field.kind, number)
    sound = f"{c} > 0" if field.positive else f"{c} is not null"
    wanted = ("a whole number" if field.kind == "count" else "a number such as 1234.56") + (
        " above 0" if field.positive else ""
    )
    condition = f"{t} is not null and not coalesce({sound}, false)"
    return Cast(text, value, (Refusal(condition, "not_a_number", f"{shown_as} || ' is not {wanted}'"),))


def _instant(field: Field, v: str, text: str, sql_type: str, rules: TimeRules, t: str, c: str, shown_as: str) -> Cast:
    lost = f"{t} is not null and {c} is null"
    skipped = Refusal(
        lost, "hour_skipped", f"{shown_as} || ' does not exist in {rules.zone}: clocks went forward'"
    )  # fmt: skip
    not_iso = Refusal(lost, "not_a_date", _NOT_ISO.format(shown=shown_as))
    if sql_type.upper().startswith("TIMESTAMP WITH TIME ZONE"):
        value, refusals = f"timezone('UTC', {v})", [not_iso]
    elif is_text(sql_type):
        offset = f"length({t}) > 10 and regexp_matches({t}, '(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$')"
        plain = f"try_cast(replace({t}, ',', '.') as timestamp)"
        with_offset = f"timezone('UTC', try_cast({t} as timestamptz))"
        value = f"case when {_is_iso(t)} then case when {offset} then {with_offset} else {_to_utc(plain, rules.zone)} end end"
        local = f"{lost} and {_is_iso(t)} and not ({offset}) and {plain} is not null"
        refusals = [Refusal(local, skipped.rule, skipped.told), not_iso]
    else:
        value = _to_utc(f"cast({v} as timestamp)", rules.zone)
        refusals = [skipped]
    if field.in_past:
        early = rules.earliest.isoformat()
        late = (rules.now + dt.timedelta(days=1)).isoformat(sep=" ", timespec="seconds")
        told = f"{shown_as} || ' is before {early}; see quality.earliest_date'"
        refusals += [
            Refusal(f"{c} < timestamp '{early}'", "too_early", told),
            Refusal(f"{c} > timestamp '{late}'", "in_future", f"{shown_as} || ' has not come yet'"),
        ]
    return Cast(text, value, tuple(refusals))


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
