"""Delimited text (CSV, TSV, runs of white space) into columns of text, with the line of each record; bad records apart.

Arrow parses whole blocks at once; only what Arrow can't be trusted with (a quote that never closes, NUL bytes, lines
beyond all measure) is looked at line by line, so that good rows pay nothing for the bad ones.
Not here: encodings (`decode.py`), what columns mean (`mapping.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from cvm_pipeline.sources.errors import FileRefused

RAW_KEPT = 10_000


@dataclass(frozen=True)
class Reject:
    """A record that could not be parsed: the line it starts at, its text (its first 10,000 characters), why."""

    line: int
    raw: str
    rule: str
    detail: str


@dataclass(frozen=True)
class Dialect:
    """How a file is delimited. `delimiter` 'whitespace' is any run of blanks and tabs, and knows no quotes."""

    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    names: tuple[str, ...] = ()
    skip_rows: int = 0
    max_record_bytes: int = 1 << 20


@dataclass
class Parsed:
    """One block's records: text columns and `lines`, the line at which each starts (1-based)."""

    table: pa.Table
    lines: np.ndarray
    rejects: list[Reject] = field(default_factory=list)


def unique_names(names: Iterable[str]) -> list[str]:
    """Header names as columns: trimmed, empty ones numbered, repeated ones (whatever their case) given a suffix."""
    taken: set[str] = set()
    unique = []
    for position, name in enumerate(names, start=1):
        base = name.strip() or f"column_{position}"
        candidate, n = base, 1
        while candidate.lower() in taken:
            n += 1
            candidate = f"{base}_{n}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique


def read_delimited(blocks: Iterator[bytes], dialect: Dialect, file: str) -> Iterator[Parsed]:
    """Parse a stream of UTF-8 blocks. The first result carries the columns even where the file has no record.

    Raises FileRefused where the header can't be read. An empty file gives nothing at all.
    """
    splitter = _Splitter(dialect)
    columns: list[str] | None = unique_names(dialect.names) if dialect.names else None
    to_skip = dialect.skip_rows + (1 if dialect.header else 0)
    carry, line, final = b"", 1, False
    old_mac: bool | None = None
    stream = iter(blocks)
    while not final:
        block = next(stream, None)
        final = block is None
        if old_mac is None:
            old_mac = block is not None and b"\r" in block and b"\n" not in block
        buffer = carry + ((block or b"").replace(b"\r", b"\n") if old_mac else block or b"")
        if final and buffer and not buffer.endswith(b"\n"):
            buffer += b"\n"
        while to_skip and b"\n" in buffer:
            row, _, rest = buffer.partition(b"\n")
            if to_skip == 1 and dialect.header:
                row, rest = _whole_header(row, rest, dialect)
                if not dialect.names:
                    columns = unique_names(_header_fields(row, dialect, file))
            line += row.count(b"\n") + 1
            buffer = rest
            to_skip -= 1
        if to_skip:
            carry = buffer
            continue
        if columns is None:
            raise FileRefused(
                file, "has no header, and no names are given", "Give `read: {header: false, names: [...]}`"
            )
        parsed, carry = splitter.parse(buffer, line, columns, final)
        line += buffer.count(b"\n", 0, len(buffer) - len(carry))
        yield parsed


def _whole_header(row: bytes, rest: bytes, dialect: Dialect) -> tuple[bytes, bytes]:
    """A header name may hold a line break inside quotes: take lines until the quotes close."""
    quote = dialect.quote.encode()
    while quote and row.count(quote) % 2 and b"\n" in rest:
        more, _, rest = rest.partition(b"\n")
        row = row + b"\n" + more
    return row, rest


def _header_fields(row: bytes, dialect: Dialect, file: str) -> list[str]:
    names = _Splitter(dialect).fields(row)
    if not any(name.strip() for name in names):
        raise FileRefused(file, "its header is blank", "Give `read: {header: false, names: [...]}` or mend the file")
    return names


class _Splitter:
    """Cuts a buffer into records and hands the sound ones to Arrow in one go."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.folded = dialect.delimiter == "whitespace"
        self.delimiter = b"\t" if self.folded else dialect.delimiter.encode()
        self.quote = b"" if self.folded else dialect.quote.encode()
        if self.quote:
            q, d = re.escape(self.quote), re.escape(self.delimiter)
            # A field opens with a quote or not at all; text after the closing quote still belongs to the field.
            self.field = re.compile(
                rb"(?:" + q + rb"((?:[^" + q + rb"]|" + q + q + rb")*)" + q + rb"([^" + d + rb"\n]*)|([^" + d + rb"\n]*))"
                rb"(" + d + rb"|\n|$)"
            )  # fmt: skip

    def parse(self, buffer: bytes, first_line: int, columns: list[str], final: bool) -> tuple[Parsed, bytes]:
        """The buffer's whole records, and the bytes that wait for the next block."""
        end = buffer.rfind(b"\n") + 1
        body, carry = buffer[:end], buffer[end:]
        if self.folded:
            body = re.sub(rb"[ \t]*\r?\n[ \t]*", b"\n", body)
            body = re.sub(rb"[ \t]+", b"\t", body).lstrip(b"\t")
        marks = np.frombuffer(body, dtype=np.uint8)
        stops = np.flatnonzero(marks == 10) + 1
        starts = np.concatenate(([0], stops[:-1])) if len(stops) else stops
        spans, rejects, open_from = self._records(body, marks, starts, stops, first_line, len(columns), final)
        if open_from is not None:
            carry = body[open_from:] + carry
        if not final and len(carry) > self.dialect.max_record_bytes and open_from is None:
            carry = carry[
                : self.dialect.max_record_bytes + 1
            ]  # the rest of an endless line adds nothing to its refusal
        keep = body if spans is None else b"".join(body[a:b] for a, b in spans)
        if spans is None:
            blank = (stops - starts == 1) | ((stops - starts == 2) & (marks[starts] == 13)) if len(stops) else stops
            lines = first_line + np.flatnonzero(~blank.astype(bool)) if len(stops) else np.empty(0, dtype=np.int64)
        else:
            line_of = np.searchsorted(starts, [a for a, _ in spans])
            lines = first_line + line_of.astype(np.int64)
        table, lines, refused = self._arrow(keep, lines.astype(np.int64), columns, multiline=spans is not None)
        return Parsed(table, lines, rejects + refused), carry

    def _records(
        self,
        body: bytes,
        marks: np.ndarray,
        starts: np.ndarray,
        stops: np.ndarray,
        first_line: int,
        width: int,
        final: bool,
    ) -> tuple[list[tuple[int, int]] | None, list[Reject], int | None]:
        """Byte spans of the sound records, or None where every line is one record; rejects; where an open record starts."""
        limit = self.dialect.max_record_bytes
        suspects = np.zeros(len(starts), dtype=bool)
        if len(starts):
            suspects |= (stops - starts) > limit
            if (nul := np.flatnonzero(marks == 0)).size:
                suspects[np.searchsorted(stops, nul, side="right")] = True
            if body.count(b"\r") != body.count(b"\r\n"):
                alone = np.flatnonzero((marks[:-1] == 13) & (marks[1:] != 10))
                suspects[np.searchsorted(stops, alone, side="right")] = True
            if self.quote and self.quote in body:
                quotes = np.flatnonzero(marks == self.quote[0])
                at = np.searchsorted(stops, quotes, side="right")
                suspects |= np.bincount(at, minlength=len(starts)) % 2 == 1
        if not suspects.any():
            return None, [], None
        spans: list[tuple[int, int]] = []
        rejects: list[Reject] = []
        i, clean_from = 0, 0
        for suspect in np.flatnonzero(suspects):
            if suspect < i:
                continue
            spans.extend(
                (int(a), int(b)) for a, b in zip(starts[clean_from:suspect], stops[clean_from:suspect], strict=True)
                if body[a:b].strip(b"\r\n")
            )  # fmt: skip
            start, stop = int(starts[suspect]), int(stops[suspect])
            i = int(suspect) + 1
            line = body[start:stop]
            where = first_line + int(suspect)
            if stop - start > limit:
                rejects.append(_reject(where, line, "record_too_long", f"longer than {limit:,} bytes"))
            elif b"\0" in line:
                rejects.append(_reject(where, line, "nul_byte", "holds a NUL byte"))
            elif (last := self._closes(body, stops, int(suspect), width)) is not None:
                spans.append((start, int(stops[last])))
                i = last + 1
            elif not final and len(body) - start <= limit:
                return spans, rejects, start
            else:
                rejects.append(_reject(where, line, "unclosed_quote", "a quote opens here and never closes"))
            clean_from = i
        spans.extend(
            (int(a), int(b))
            for a, b in zip(starts[clean_from:], stops[clean_from:], strict=True)
            if body[a:b].strip(b"\r\n")
        )
        return spans, rejects, None

    def _closes(self, body: bytes, stops: np.ndarray, first: int, width: int) -> int | None:
        """The line at which the record that starts at line `first` ends; None where its quotes never close."""
        start = int(stops[first - 1]) if first else 0
        at, fields = start, 0
        horizon = start + self.dialect.max_record_bytes
        while at <= len(body):
            if body[at : at + 1] == self.quote and self.quote:
                matched = self.field.match(body, at, min(len(body), horizon))
                if matched is None or matched.group(1) is None:
                    return None
            else:
                matched = None
                ends = [e for e in (body.find(self.delimiter, at), body.find(b"\n", at)) if e >= 0]
                stop = min(ends) if ends else len(body)
                fields += 1
                if body[stop : stop + 1] != self.delimiter:
                    return self._line_of(stops, stop, first, fields, width)
                at = stop + 1
                continue
            fields += 1
            at = matched.end()
            if matched.group(4) != self.delimiter:
                return self._line_of(stops, at - 1, first, fields, width)
        return None

    @staticmethod
    def _line_of(stops: np.ndarray, position: int, first: int, fields: int, width: int) -> int | None:
        last = int(np.searchsorted(stops, position, side="right"))
        # A record over several lines with the wrong number of fields is a quote left open that met a later one.
        return None if last > first and fields != width else min(last, len(stops) - 1)

    def fields(self, record: bytes) -> list[str]:
        """The fields of one record, as text."""
        if not self.quote:
            return [part.decode() for part in re.sub(rb"[ \t]+", b"\t", record.strip(b" \t\r\n")).split(b"\t")]
        out, at, record = [], 0, record.rstrip(b"\r\n")
        while True:
            matched = self.field.match(record, at)
            if matched is None:
                return [*out, record[at:].decode()]
            quoted, tail, bare, stop = matched.groups()
            value = bare if quoted is None else quoted.replace(self.quote * 2, self.quote) + tail
            out.append(value.decode())
            if stop != self.delimiter:
                return out
            at = matched.end()

    def _arrow(
        self, body: bytes, lines: np.ndarray, columns: list[str], multiline: bool
    ) -> tuple[pa.Table, np.ndarray, list[Reject]]:
        schema = pa.schema([(name, pa.string()) for name in columns])
        if not len(lines):
            return schema.empty_table(), lines, []
        wrong: list[tuple[int, str, int]] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            wrong.append((row.number - 1, row.text, row.actual_columns))
            return "skip"

        try:
            table = pa_csv.read_csv(
                pa.BufferReader(body),
                read_options=pa_csv.ReadOptions(column_names=columns, use_threads=False, block_size=len(body) + 1),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self.delimiter.decode(), quote_char=self.quote.decode() or False,
                    newlines_in_values=multiline, invalid_row_handler=refuse,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=schema, strings_can_be_null=False, quoted_strings_can_be_null=False
                ),
            )  # fmt: skip
        except pa.ArrowInvalid:
            return self._one_by_one(body, lines, columns, schema)
        if table.num_rows + len(wrong) != len(lines):
            return self._one_by_one(body, lines, columns, schema)
        rejects = [_width(int(lines[at]), text, len(columns), found) for at, text, found in wrong]
        if wrong:
            lines = np.delete(lines, [at for at, _, _ in wrong])
        return table, lines, rejects

    def _one_by_one(
        self, body: bytes, lines: np.ndarray, columns: list[str], schema: pa.Schema
    ) -> tuple[pa.Table, np.ndarray, list[Reject]]:
        """Where Arrow sees other records than we do (a stray quote in the middle of a field): each line for itself."""
        rows, kept, rejects = [], [], []
        records = [record for record in body.split(b"\n") if record.strip(b"\r")]
        if len(records) != len(lines):  # multi-line records: cut again where our own reading says
            stops = np.flatnonzero(np.frombuffer(body, dtype=np.uint8) == 10) + 1
            records, line = [], 0
            while line < len(stops):
                start = int(stops[line - 1]) if line else 0
                last = self._closes(body, stops, line, len(columns))
                last = line if last is None else last
                if body[start : int(stops[last])].strip(b"\r\n"):
                    records.append(body[start : int(stops[last])])
                line = last + 1
        for record, where in zip(records, lines, strict=True):
            fields = self.fields(record)
            if len(fields) == len(columns):
                rows.append(fields)
                kept.append(where)
            else:
                rejects.append(_width(int(where), record.decode(), len(columns), len(fields)))
        arrays = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)] if rows else None
        table = pa.Table.from_arrays(arrays, schema=schema) if arrays else schema.empty_table()
        return table, np.array(kept, dtype=np.int64), rejects


def _width(line: int, raw: str, expected: int, found: int) -> Reject:
    return Reject(line, raw[:RAW_KEPT], "column_count", f"{expected} columns expected, {found} found")


def _reject(line: int, raw: bytes, rule: str, detail: str) -> Reject:
    text = raw[: 4 * RAW_KEPT].decode("utf-8", "ignore").rstrip("\r\n")[:RAW_KEPT].replace("\0", "\\0")
    return Reject(line, text, rule, detail)
