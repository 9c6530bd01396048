"""Delimited text (CSV, TSV, runs of white space) into columns of text, with the line of each record; bad records apart.

Arrow parses whole blocks at once; only lines that it can't be trusted with (a quote that doesn't close, NUL bytes, lines
beyond all measure) are looked at one by one, so that good rows pay nothing for the bad ones. What a record is depends on
the text alone, never on where a block ends.
Not here: encodings (`decode.py`), what columns mean (`mapping.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from cvm_pipeline.sources.dialect import GIVE_A_HEADER, Dialect, Grammar
from cvm_pipeline.sources.errors import FileRefused, RowsDoNotBalance

RAW_KEPT = 10_000
# What every landed record has beside its columns: a file's own column of that name is given a suffix.
OWN_COLUMNS = ("_file", "_line")
_LF, _CR, _NUL = 10, 13, 0


@dataclass(frozen=True)
class Reject:
    """A record that could not be parsed: the line it starts at, its text (its first 10,000 characters), why."""

    line: int
    raw: str
    rule: str
    detail: str


@dataclass
class Parsed:
    """One block's records: text columns and `lines`, the line at which each starts (1-based)."""

    table: pa.Table
    lines: np.ndarray
    rejects: list[Reject] = field(default_factory=list)


def unique_names(names: Iterable[str]) -> list[str]:
    """Header names as columns: trimmed, empty ones numbered, repeated ones (whatever their case) given a suffix."""
    taken = set(OWN_COLUMNS)
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
    grammar = Grammar(dialect, file)
    columns: list[str] | None = unique_names(dialect.names) if dialect.names else None
    if columns is None and not dialect.header:
        raise FileRefused(file, "has no header, and no names are given", GIVE_A_HEADER)
    to_skip, header_due = dialect.skip_rows, dialect.header
    carry, line = b"", 1
    splitter: _Splitter | None = None
    for block, final in _with_last(_with_line_feeds(blocks, dialect.max_record_bytes)):
        buffer = carry + block
        if final and buffer and not buffer.endswith(b"\n"):
            buffer += b"\n"
        while to_skip and b"\n" in buffer:
            buffer = buffer.partition(b"\n")[2]
            line, to_skip = line + 1, to_skip - 1
        if to_skip or (header_due and not (header := grammar.header(buffer, final))):
            carry = buffer
            continue
        if header_due:
            columns = columns or unique_names(grammar.names(header))
            buffer, line, header_due = buffer[len(header) :], line + header.count(b"\n"), False
        splitter = splitter or _Splitter(grammar, columns or [])
        parsed, carry, passed = splitter.parse(buffer, line, final)
        line += passed
        yield parsed


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The blocks, then an empty one marked as the last."""
    for block in blocks:
        yield block, False
    yield b"", True


def _with_line_feeds(blocks: Iterator[bytes], judged: int) -> Iterator[bytes]:
    """The same text; where its first `judged` bytes end lines by carriage returns alone, as old Macs did, by line feeds."""
    head = b""
    for block in blocks:
        head += block
        if b"\n" in head[:judged] or len(head) >= judged:
            break
    old_mac = b"\r" in head[:judged] and b"\n" not in head[:judged]
    for block in chain([head], blocks):
        yield block.replace(b"\r", b"\n") if old_mac else block


class _Splitter:
    """Cuts a buffer into records and hands the sound ones to Arrow in one go."""

    def __init__(self, grammar: Grammar, columns: list[str]) -> None:
        self.grammar = grammar
        self.columns = columns
        self.record = grammar.record_of(len(columns))
        self.schema = pa.schema([(name, pa.string()) for name in columns])

    def parse(self, buffer: bytes, first_line: int, final: bool) -> tuple[Parsed, bytes, int]:
        """The buffer's whole records, the bytes that wait for the next block, and the lines passed."""
        end = buffer.rfind(b"\n") + 1
        written = buffer[:end]
        body = self.grammar.fold(written)
        marks = np.frombuffer(body, dtype=np.uint8)
        stops = np.flatnonzero(marks == _LF) + 1
        starts = np.concatenate(([0], stops[:-1])) if len(stops) else stops
        opens = stops - starts > 1
        if len(stops):
            opens &= (stops - starts > 2) | (marks[starts] != _CR)
        suspects = self._suspects(body, marks, starts, stops)
        available = len(body) if final else len(body) + len(buffer) - end
        refused, several, passed = self._judge(body, starts, stops, np.flatnonzero(suspects), opens, available, final)
        carry = buffer[end:]
        if passed < len(stops):
            carry = body[starts[passed] :] + carry
        elif len(carry) > self.grammar.limit and not final:
            carry = carry[: self.grammar.limit + 1]  # the rest of an endless line adds nothing to its refusal
        records = np.flatnonzero(opens[:passed])
        raw = _Raw(written if self.grammar.folded else body, self.grammar.limit)
        rejects = [Reject(first_line + at, raw.line(at), rule, detail) for at, rule, detail in refused]
        body = self._without(body, starts, stops, [at for at, _, _ in refused], passed)
        table, records, ragged = self._arrow(body, records, several)
        rejects += [
            Reject(first_line + at, raw.line(at), "column_count", f"{len(self.columns)} columns expected, {n} found")
            for at, n in ragged
        ]  # fmt: skip
        return Parsed(table, first_line + records, sorted(rejects, key=lambda r: r.line)), carry, passed

    def _suspects(self, body: bytes, marks: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """Which lines Arrow might read otherwise than they are meant."""
        suspects = stops - starts > self.grammar.limit
        if b"\0" in body:
            suspects[np.searchsorted(stops, np.flatnonzero(marks == _NUL), side="right")] = True
        if b"\r" in body and body.count(b"\r") != body.count(b"\r\n"):
            alone = np.flatnonzero((marks[:-1] == _CR) & (marks[1:] != _LF))
            suspects[np.searchsorted(stops, alone, side="right")] = True
        if self.grammar.quote and self.grammar.quote in body:
            quote, delimiter = self.grammar.quote[0], self.grammar.delimiter[0]
            quotes = np.flatnonzero(marks == quote)
            line = np.searchsorted(stops, quotes, side="right")
            count = np.bincount(line, minlength=len(starts))
            # In a line that is plainly sound, quotes open and close in turn, each beside a delimiter, a line end or its twin.
            closes = (np.arange(len(quotes)) - (np.cumsum(count) - count)[line]) % 2 == 1
            beside = np.where(closes, marks[quotes + 1], marks[quotes - 1])
            beside[(quotes == 0) & ~closes] = _LF
            sound = (beside == delimiter) | (beside == _LF) | (beside == quote) | (closes & (beside == _CR))
            suspects |= count % 2 == 1
            suspects[line[~sound]] = True
        return suspects

    def _judge(
        self,
        body: bytes,
        starts: np.ndarray,
        stops: np.ndarray,
        suspects: np.ndarray,
        opens: np.ndarray,
        available: int,
        final: bool,
    ) -> tuple[list[tuple[int, str, str]], bool, int]:
        """Refused lines with their reasons, whether any record has several lines, and how many lines are settled.

        `opens` (which lines open a record) is corrected in place.
        """
        grammar = self.grammar
        refused: list[tuple[int, str, str]] = []
        several, settled = False, 0
        for at in suspects.tolist():
            if at < settled:
                continue
            start, stop = int(starts[at]), int(stops[at])
            settled = at + 1
            if stop - start > grammar.limit:
                reason = ("record_too_long", f"longer than {grammar.limit:,} bytes (quality.max_record_bytes)")
            elif body.find(b"\0", start, stop) >= 0:
                reason = ("nul_byte", "holds a NUL byte")
            elif grammar.line.fullmatch(body, start, stop):
                continue
            elif grammar.line.fullmatch(body[start : stop - 1].replace(b"\r", b"") + b"\n"):
                reason = ("lone_carriage_return", "holds a carriage return without a line feed outside quotes")
            elif matched := self.record.match(body, start, min(len(body), start + grammar.limit)):
                settled = int(np.searchsorted(stops, matched.end(), side="left")) + 1
                opens[at + 1 : settled] = False
                several = True
                continue
            elif not final and available - start <= grammar.limit:
                return refused, several, at
            else:
                reason = ("unclosed_quote", "a quote opens here and doesn't close before the record must end")
            opens[at] = False
            refused.append((at, *reason))
        return refused, several, len(stops)

    @staticmethod
    def _without(body: bytes, starts: np.ndarray, stops: np.ndarray, refused: list[int], passed: int) -> bytes:
        """The lines that are settled and not refused."""
        if not refused and passed == len(stops):
            return body
        begins = [0, *(int(stops[at]) for at in refused)]
        ends = [*(int(starts[at]) for at in refused), int(stops[passed - 1]) if passed else 0]
        return b"".join(body[a:b] for a, b in zip(begins, ends, strict=True))

    def _arrow(
        self, body: bytes, records: np.ndarray, several: bool
    ) -> tuple[pa.Table, np.ndarray, list[tuple[int, int]]]:
        """The table, the line of each of its rows, and (line, number of fields) of those of another width."""
        if not len(records):
            return self.schema.empty_table(), records, []
        wrong: list[tuple[int, int]] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            wrong.append((row.number - 1, row.actual_columns))
            return "skip"

        table = pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(column_names=self.columns, use_threads=False, block_size=len(body) + 1),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.grammar.delimiter.decode(), quote_char=self.grammar.quote.decode() or False,
                newlines_in_values=several, invalid_row_handler=refuse,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=self.schema, strings_can_be_null=False, quoted_strings_can_be_null=False
            ),
        )  # fmt: skip
        if table.num_rows + len(wrong) != len(records):
            raise RowsDoNotBalance(
                f"{self.grammar.file}: {len(records)} records were counted and {table.num_rows + len(wrong)} read."
                " This is a fault of the pipeline: please report it with the file; nothing was landed"
            )
        ragged = [(int(records[at]), found) for at, found in wrong]
        return table, np.delete(records, [at for at, _ in wrong]) if wrong else records, ragged


class _Raw:
    """The text of lines as they were written, found again only where some are refused."""

    def __init__(self, body: bytes, limit: int) -> None:
        self.body = body
        self.most = min(4 * RAW_KEPT, limit)
        self.stops: np.ndarray | None = None

    def line(self, at: int) -> str:
        """Line `at` of the block, cut to what a quarantine keeps."""
        if self.stops is None:
            self.stops = np.flatnonzero(np.frombuffer(self.body, dtype=np.uint8) == _LF) + 1
        start = int(self.stops[at - 1]) if at else 0
        raw = self.body[start : min(int(self.stops[at]), start + self.most)]
        return raw.decode("utf-8", "ignore").rstrip("\r\n")[:RAW_KEPT].replace("\0", "\\0")
