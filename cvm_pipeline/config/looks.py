"""What the look of a column's values allows: formats of dates, signs of numbers. Never a guess between two that fit.

Belongs here: judgements of values in a sample, and the SQL that reads them. Not here: which column they come from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?")
_PLAIN_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_COMMA_DECIMAL = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?")
_COMMA_THOUSANDS = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")

_IN_NUMBERS = [
    sign.join(order)
    for sign in "/-."
    for year in ("%Y", "%y")
    for order in (("%d", "%m", year), ("%m", "%d", year), (year, "%m", "%d"))
]
_IN_WORDS = ["%Y年%m月%d日", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"]
_DAYS = (*_IN_NUMBERS, *_IN_WORDS, "%Y%m%d")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")


# So many of a column's values may be dirt and it is still known how the others are read.
_DIRT = 0.05
# Of each shape, as many values are asked which formats could be meant.
_SEEN = 20


@dataclass(frozen=True)
class DateLook:
    """`choices` are the lists of formats that read the values: one is certain, none is unknown, more must be asked.

    `unread` are values that each of the choices leaves unread, dirt most likely: one in twenty at most.
    """

    is_iso: bool
    choices: tuple[tuple[str, ...], ...] = ()
    example: str = ""
    unread: tuple[str, ...] = ()


def look_at_dates(values: Sequence[str]) -> DateLook:
    """Which formats read these values. A column may mix shapes (1/31/2017 and 31-01-17): each is judged alone."""
    known = {value: bool(_ISO.fullmatch(value) or next(_formats(value), None)) for value in dict.fromkeys(values)}
    readable = [value for value in values if known[value]]
    unread = tuple(value for value in values if not known[value])
    if len(unread) > _DIRT * len(values):
        return DateLook(False, (), unread[0])
    if all(map(_ISO.fullmatch, readable)):
        return DateLook(bool(readable), (), "", unread)
    look = _all_read(readable, 0)
    if not look.choices:
        look = _all_read(readable, int(_DIRT * len(values)) - len(unread))
    return replace(look, unread=unread + look.unread)


def _all_read(values: Sequence[str], but: int) -> DateLook:
    """Which formats read all of these values but so many of each shape."""
    counted = Counter(values)
    by_shape: dict[str, list[str]] = {}
    for value in counted:
        # Runs of digits count alike but for a year's four, so that 9/1/2017 and 10/12/2017 are judged together.
        shape = re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", lambda run: "9999" if len(run[0]) == 4 else "9", value))
        by_shape.setdefault(shape, []).append(value)
    choices: list[tuple[str, ...]] = [()]
    example, unread = "", []
    for shaped in by_shape.values():
        missed = {
            form: [value for value in shaped if not _parses(value, form)]
            for form in dict.fromkeys(form for value in shaped[:_SEEN] for form in _formats(value))
        }
        fitting = [form for form, left in missed.items() if sum(counted[value] for value in left) <= but]
        if len(fitting) > 1:
            example = example or shaped[0]
        elif fitting:
            left_out = set(missed[fitting[0]])
            unread += [value for value in values if value in left_out]
        choices = [(*choice, form) for choice in choices for form in fitting]
    return DateLook(False, tuple(choices), example or values[0], tuple(unread))


def _formats(value: str) -> Iterator[str]:
    for day in _DAYS:
        if (day == "%Y%m%d") != value[:8].isdigit():
            continue
        for time in _TIMES:
            if _parses(value, day + time):
                yield day + time
                break


def _parses(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class NumberLook:
    """How to read a column of numbers: `choices` are SQL expressions; one is certain, more must be asked."""

    choices: tuple[str, ...]
    example: str = ""


def look_at_numbers(values: Sequence[str], column: str) -> NumberLook:
    """The SQL that makes plain numbers of these values; `column` is the column as SQL. What isn't known is left alone."""
    bare = [re.sub(r"[^-+\d.,]", "", value) for value in values]
    if bare != list(values) and all(re.fullmatch(r"(\W|[A-Z]{1,3}\b)*[-+\d.,]+\W*", value) for value in values):
        column = f"regexp_replace({column}, '[^-0-9.,]', '', 'g')"
    elif bare != list(values):
        return NumberLook((column,))
    if all(_PLAIN_NUMBER.fullmatch(value) for value in bare):
        return NumberLook((column,))
    readings = (
        (_COMMA_DECIMAL, f"replace(replace({column}, '.', ''), ',', '.')"),
        (_COMMA_THOUSANDS, f"replace({column}, ',', '')"),
    )
    choices = tuple(sql for pattern, sql in readings if all(pattern.fullmatch(value) for value in bare))
    return NumberLook(choices or (column,), next((value for value in values if "," in value), ""))


def are_shares(values: Sequence[str]) -> bool:
    """Whether a discount is written as a share: all within 0..1, and at least one between."""
    if not all(_PLAIN_NUMBER.fullmatch(value) for value in values):
        return False
    numbers = [float(value) for value in values]
    return all(0 <= number <= 1 for number in numbers) and any(0 < number < 1 for number in numbers)
