"""What the first bytes of a text file tell: its encoding, its delimiter, its header, its first rows.

Belongs here: judgements of a sample of bytes that was read elsewhere. Not here: opening files (`heads.py`), what a column
means (`synonyms.py`, `proposal.py`), what a value's look means (`looks.py`).
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field

SAMPLE_BYTES = 65536
_ROWS = 1000
_DELIMITERS = (",", ";", "\t", "|")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# In the order of trust where the detector is undecided; each reads nearly any bytes, so they come after it.
_LEGACY = ["gb18030", "big5", "shift_jis", "cp1252"]


class UnreadableSampleError(ValueError):
    """Nothing can be proposed from this sample; the message says why."""


@dataclass(frozen=True)
class Head:
    """The first rows of a file as text. `read` holds what its reader must be told."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    format: str
    read: dict[str, object] = field(default_factory=dict)

    def values(self, column: str) -> list[str]:
        """The column's values in the sample that are not empty."""
        at = self.columns.index(column)
        return [row[at].strip() for row in self.rows if at < len(row) and row[at].strip()]


def sniff_text(sample: bytes, format: str, whole: bool) -> Head:
    """Read the head of a delimited or JSON lines file. `whole`: the sample is the file, not just its beginning.

    Raises UnreadableSampleError where there is no header to read.
    """
    if not sample.strip(b"\x00\xff\xfe\xef\xbb\xbf \r\n\t"):
        raise UnreadableSampleError("the file is empty")
    encoding = sniff_encoding(sample, whole)
    text = _decode(sample, encoding, whole)
    if not whole:
        # The sample ends anywhere: its last line is most likely half a line.
        text = text[: text.rfind("\n") + 1] or text
    read: dict[str, object] = {} if encoding == "utf-8" else {"encoding": encoding}
    return _json_head(text, read) if format == "jsonl" else _delimited_head(text, format, read)


def sniff_encoding(sample: bytes, whole: bool = True) -> str:
    """The name of the encoding that the sample most likely has; UTF-8 wherever it fits."""
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    nul = sample.count(0)
    if nul * 5 > len(sample):
        return "utf-16-le" if sample[1::2].count(0) * 2 > nul else "utf-16-be"
    if _fits(sample, "utf-8", whole):
        return "utf-8"
    from charset_normalizer import from_bytes

    # A character cut in half at the end would speak against every multi-byte encoding.
    lines = sample if whole else sample[: sample.rfind(b"\n") + 1] or sample
    best = from_bytes(lines, cp_isolation=_LEGACY).best()
    if best is not None:
        return best.encoding.replace("_", "-")
    return next((name for name in _LEGACY if _fits(sample, name, whole)), "latin-1")


def _fits(sample: bytes, encoding: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(sample, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _decode(sample: bytes, encoding: str, whole: bool) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)("replace")
    return decoder.decode(sample, final=whole).replace("\r\n", "\n").replace("\r", "\n")


def _json_head(text: str, read: dict[str, object]) -> Head:
    records: list[dict[str, object]] = []
    for line in text.splitlines()[:_ROWS]:
        try:
            record = json.loads(line, parse_float=str, parse_int=str)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    if not columns:
        raise UnreadableSampleError("no line of it is a JSON object")
    rows = tuple(tuple(_text(record.get(key)) for key in columns) for record in records)
    return Head(columns, rows, "jsonl", read)


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _delimited_head(text: str, format: str, read: dict[str, object]) -> Head:
    delimiter = _sniff_delimiter(text)
    rows = _split(text, delimiter)
    if not rows:
        raise UnreadableSampleError("the file is empty")
    if delimiter != ("\t" if format == "tsv" else ","):
        read = {"delimiter": {"\t": "tab"}.get(delimiter, delimiter), **read}
    if _is_header(rows[0]):
        names = [name.strip() or f"column_{at}" for at, name in enumerate(rows[0], start=1)]
        body = rows[1:]
    else:
        names = [f"column_{at}" for at in range(1, len(rows[0]) + 1)]
        body = rows
        read = {**read, "header": False, "names": names}
    return Head(tuple(names), tuple(map(tuple, body)), format, read)


def _sniff_delimiter(text: str) -> str:
    """The delimiter whose rows are most often as wide as the first; among equals the one that gives most columns."""
    best, best_score = ",", (0.0, 1)
    for delimiter in (*_DELIMITERS, "whitespace"):
        widths = Counter(len(row) for row in _split(text, delimiter))
        first = len(next(iter(_split(text, delimiter)), []))
        if first < 2:
            continue
        # Blanks inside texts make many words of a line: white space must fit better than any sign, not as well.
        score = (round(widths[first] / widths.total(), 1), first)
        beats = score[0] > max(best_score[0], 0.6) if delimiter == "whitespace" else score > best_score
        if beats:
            best, best_score = delimiter, score
    return best


def _split(text: str, delimiter: str) -> list[list[str]]:
    if delimiter == "whitespace":
        return [line.split() for line in text.split("\n")[:_ROWS] if line.strip()]
    rows = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) == _ROWS:
                break
    except csv.Error:
        # A NUL or a field beyond all measure: what came before it is sample enough.
        return rows
    return rows


def _is_header(row: list[str]) -> bool:
    """A header names its columns: no cell is a number or begins with a digit, hardly one is empty, none twice."""
    cells = [cell.strip() for cell in row]
    named = [cell for cell in cells if cell]
    looks_like_data = any(re.match(r"[-+(]?[\d.]", cell) for cell in named)
    return len(named) * 2 > len(cells) and not looks_like_data and len(set(named)) == len(named)
