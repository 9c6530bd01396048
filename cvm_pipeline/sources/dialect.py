"""How a delimited file is written: its dialect, and the patterns of a line, a header and a record over several lines.

Not here: blocks, line numbers, tables (`delimited.py`).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Literal

from cvm_pipeline.sources.errors import FileRefused

GIVE_A_HEADER = "Give `read: {header: false, names: [...]}`, or `skip_rows` where the header stands lower"


@dataclass(frozen=True)
class Dialect:
    """How a file is delimited. `delimiter` 'whitespace' is any run of blanks and tabs, and knows no quotes."""

    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    names: tuple[str, ...] = ()
    skip_rows: int = 0
    max_record_bytes: int = 1 << 20


class Grammar:
    """A dialect as patterns over bytes: what one line, and what one record over several lines, may look like."""

    def __init__(self, dialect: Dialect, file: str) -> None:
        self.file = file
        self.limit = dialect.max_record_bytes
        self.folded = dialect.delimiter == "whitespace"
        self.delimiter = b"\t" if self.folded else dialect.delimiter.encode()
        self.quote = b"" if self.folded else dialect.quote.encode()
        if len(self.delimiter) != 1 or len(self.quote) > 1:
            raise FileRefused(file, "its delimiter and quote must be plain ASCII", "Declare one such as ',' ';' or tab")
        d, q = re.escape(self.delimiter), re.escape(self.quote)
        # A field opens with a quote or not at all; a quote elsewhere is a letter, and so is what follows a closing one.
        bare = rb"[^" + d + rb"\n\r]*+"
        one_line = several = bare
        if self.quote:
            one_line = rb"(?:" + q + _inside(q, rb"\n") + q + bare + rb"|(?!" + q + rb")" + bare + rb")"
            several = rb"(?:" + q + _inside(q, rb"\0") + q + rb"|(?!" + q + rb")" + bare + rb")"
        self.line = re.compile(one_line + rb"(?:" + d + one_line + rb")*+\r?\n")
        self.any_record = re.compile(several + rb"(?:" + d + several + rb")*+\r?\n")
        self._several, self._delimiter = several, d

    def record_of(self, width: int) -> re.Pattern[bytes]:
        """A record of so many fields that may hold line feeds in quotes: nothing may follow a closing quote there, or a
        quote left open would end at the next one that opens, and swallow the rows between."""
        return re.compile(self._several + rb"(?:" + self._delimiter + self._several + rb"){%d}\r?\n" % (width - 1))

    def header(self, buffer: bytes, final: bool) -> bytes:
        """The header at the buffer's start; empty where more must be read, or nothing is there. Raises FileRefused."""
        if not buffer or (b"\n" not in buffer and len(buffer) <= self.limit):
            return b""
        matched = self.line.match(buffer, 0, self.limit) or self.any_record.match(buffer, 0, self.limit)
        if matched is not None and b"\0" not in matched.group():
            return matched.group()
        if not final and len(buffer) <= self.limit:
            return b""
        raise FileRefused(self.file, "its header can't be read: a quote that never closes, a NUL, or no line end", GIVE_A_HEADER)  # fmt: skip

    def names(self, header: bytes) -> list[str]:
        """The header's fields. Raises FileRefused where all are blank."""
        text = self.fold(header).decode()
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter.decode(), quotechar=self.quote.decode() or None, quoting=quoting)  # fmt: skip
        names = next(rows, [])
        if not any(name.strip() for name in names):
            raise FileRefused(self.file, "its header is blank", GIVE_A_HEADER)
        return names

    def fold(self, body: bytes) -> bytes:
        """Whole lines with runs of white space as one tab; as they are where the delimiter is a character."""
        if not self.folded:
            return body
        body = re.sub(rb"[ \t]*\r?\n[ \t]*", b"\n", body)
        return re.sub(rb"[ \t]+", b"\t", body).lstrip(b"\t")


def _inside(quote: bytes, never: bytes) -> bytes:
    rest = rb"[^" + quote + never + rb"]*+"
    return rest + rb"(?:" + quote + quote + rest + rb")*+"
