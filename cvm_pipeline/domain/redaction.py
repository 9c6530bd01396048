"""Taking a person out of text that others wrote: messages, previews, failing rows.

Belongs here: what of a text names the person, and what stands in its place. Not here: files and stores of text.

An id is replaced as a whole word. Ids of digits alone, or of fewer than four characters, are words of many texts (a count,
a year): of them, only a cell of a preview's table, and a value under a key such as `customer_id`, is known to be the person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

PLACEHOLDER = "[forgotten]"
_SHORTEST_WORD = 4


def is_telling(id_: str) -> bool:
    """Whether an id is known for one wherever it stands: no number, and no word of a few letters."""
    return len(id_) >= _SHORTEST_WORD and not id_.isdigit()


class Redaction:
    """`ids` are customer and order ids; `values` e-mail addresses, phones and names, replaced wherever they stand."""

    def __init__(self, ids: Iterable[str], values: Iterable[str]) -> None:
        self._ids = frozenset(filter(None, ids))
        words = [id_ for id_ in self._ids if is_telling(id_)]
        texts = [value for value in values if value and len(value.strip()) >= _SHORTEST_WORD]
        # The longest first: an order's id may begin with its customer's.
        ordered = sorted(words, key=lambda word: (-len(word), word))
        alternatives = [re.escape(text) for text in sorted(texts, key=lambda text: (-len(text), text))]
        alternatives += [rf"(?<!\w){re.escape(word)}(?!\w)" for word in ordered]
        self._pattern = re.compile("|".join(alternatives), re.IGNORECASE) if alternatives else None

    def text(self, text: str) -> str:
        """The text without the person; lines of a preview's table that are the person's row are gone."""
        if "|" in text:
            text = "\n".join(line for line in text.split("\n") if not self._is_their_row(line))
        return self._pattern.sub(PLACEHOLDER, text) if self._pattern else text

    def json(self, value: Any, key: str = "") -> Any:
        """The same of every text in a JSON value."""
        if isinstance(value, dict):
            return {name: self.json(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.json(inner, key) for inner in value]
        if not isinstance(value, str):
            return value
        if key.endswith("_id") and value in self._ids:
            return PLACEHOLDER
        return self.text(value)

    def _is_their_row(self, line: str) -> bool:
        return line.lstrip().startswith("|") and any(cell.strip() in self._ids for cell in line.split("|"))
