"""One reader for every format a file may have: columns of text with the line of each record, and what could not be parsed.

Every column is text exactly as it stands; types are the mapping's affair. Adding a format is adding a function here.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cvm_pipeline.sources.decode import read_utf8
from cvm_pipeline.sources.delimited import RAW_KEPT, Dialect, Parsed, Reject, read_delimited, unique_names
from cvm_pipeline.sources.errors import FileRefused

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Reading:
    """How one file is to be read. `names` replaces the header; `sheet` is for workbooks (default: the first)."""

    format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str | None = None
    quote: str = '"'
    header: bool = True
    names: tuple[str, ...] = ()
    skip_rows: int = 0
    sheet: str | None = None
    max_record_bytes: int = 1 << 20

    @property
    def key(self) -> str:
        """What decides the landed text of a file besides its bytes."""
        return "|".join(
            str(part) for part in (
                self.format, self.encoding, self.delimiter, self.quote, self.header, self.names, self.skip_rows, self.sheet,
                self.max_record_bytes,
            )
        )  # fmt: skip


def read_file(path: Path, file: str, reading: Reading) -> Iterator[Parsed]:
    """The file's records in order. Raises FileRefused where the file as a whole can't be read."""
    return _READERS[reading.format](path, file, reading)


def _delimited(path: Path, file: str, reading: Reading) -> Iterator[Parsed]:
    delimiter = reading.delimiter or ("\t" if reading.format == "tsv" else ",")
    dialect = Dialect(
        delimiter, reading.quote, reading.header, reading.names, reading.skip_rows, reading.max_record_bytes
    )  # fmt: skip
    return read_delimited(read_utf8(path, file, reading.encoding), dialect, file)


def _json_lines(path: Path, file: str, reading: Reading) -> Iterator[Parsed]:
    """Numbers keep their own digits, nested values their JSON. Read twice: the columns are the union of all keys."""
    columns: dict[str, None] = {}
    for _, record, _ in _json_records(path, file, reading):
        if record is not None:
            columns.update(dict.fromkeys(record))
    names = unique_names(columns)
    keys = list(columns)
    schema = pa.schema([(name, pa.string()) for name in names])
    rows: list[dict[str, object]] = []
    lines: list[int] = []
    rejects: list[Reject] = []

    def batch() -> Parsed:
        arrays = [pa.array([_json_text(row.get(key)) for row in rows], pa.string()) for key in keys]
        table = pa.Table.from_arrays(arrays, schema=schema) if keys else schema.empty_table()
        return Parsed(table, np.array(lines, dtype=np.int64), list(rejects))

    for line, record, raw in _json_records(path, file, reading):
        if record is None:
            text = raw[: 4 * RAW_KEPT].decode("utf-8", "ignore").rstrip("\r")[:RAW_KEPT]
            if len(raw) > reading.max_record_bytes:
                detail = f"longer than {reading.max_record_bytes:,} bytes (quality.max_record_bytes)"
                rejects.append(Reject(line, text, "record_too_long", detail))
            else:
                rejects.append(Reject(line, text, "json", "not a JSON object"))
            continue
        rows.append(record)
        lines.append(line)
        if len(rows) == _ROWS_AT_ONCE:
            yield batch()
            rows, lines, rejects = [], [], []
    yield batch()


def _json_records(path: Path, file: str, reading: Reading) -> Iterator[tuple[int, dict[str, object] | None, bytes]]:
    carry, line = b"", 0
    for block in _with_end(read_utf8(path, file, reading.encoding)):
        *whole, carry = (carry + block).split(b"\n")
        carry = carry[: reading.max_record_bytes + 1]  # the rest of an endless line adds nothing to its refusal
        for raw in whole:
            line += 1
            if raw.strip():
                yield line, _json_record(raw) if len(raw) <= reading.max_record_bytes else None, raw


class _Number(str):
    """A number with the digits it was written with."""


def _json_record(raw: bytes) -> dict[str, object] | None:
    """The object on a line, or None where there is none, or one that no text can hold (half a surrogate pair)."""
    try:
        record = json.loads(raw, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        if b"\\ud" in raw.lower():
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _with_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from blocks
    yield b"\n"


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _json_inside(value)


def _json_inside(value: object) -> str:
    """A nested value as JSON again, numbers as they were written."""
    match value:
        case _Number():
            return value
        case dict():
            return "{" + ", ".join(f"{_json_inside(str(k))}: {_json_inside(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_json_inside, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _parquet(path: Path, file: str, reading: Reading) -> Iterator[Parsed]:
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(path)
        names = unique_names(source.schema_arrow.names)
        line = 1
        yield Parsed(pa.schema([(n, pa.string()) for n in names]).empty_table(), np.empty(0, np.int64))
        for batch in source.iter_batches(_ROWS_AT_ONCE):
            arrays = [_arrow_text(column) for column in batch.columns]
            table = pa.Table.from_arrays(arrays, names=names)
            yield Parsed(table, np.arange(line, line + batch.num_rows, dtype=np.int64))
            line += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRefused(
            file, f"is not a whole Parquet file ({error})", "Copy it again; nothing of it was landed"
        ) from error


def _arrow_text(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array(
            [None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in column.to_pylist()],
            pa.string(),
        )


def _xlsx(path: Path, file: str, reading: Reading) -> Iterator[Parsed]:
    import zipfile
    import zlib
    from xml.etree.ElementTree import ParseError

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            yield from _sheet(book, file, reading)
        finally:
            book.close()
    except (
        InvalidFileException,
        zipfile.BadZipFile,
        zlib.error,
        ParseError,
        EOFError,
        KeyError,
        OSError,
        ValueError,
    ) as error:
        raise FileRefused(file, f"is not a readable workbook ({error})", "Save it as .xlsx again") from error


def _sheet(book: Any, file: str, reading: Reading) -> Iterator[Parsed]:
    if not book.worksheets or (reading.sheet is not None and reading.sheet not in book.sheetnames):
        raise FileRefused(
            file, f"has no sheet {reading.sheet or ''!r}", f"Its sheets: {', '.join(book.sheetnames) or 'none'}"
        )
    sheet = book[reading.sheet] if reading.sheet is not None else book.worksheets[0]
    sheet.reset_dimensions()  # what a workbook says of its own size is often wrong
    rows = enumerate(sheet.iter_rows(values_only=True), start=1)
    for _ in range(reading.skip_rows):
        next(rows, None)
    names = list(reading.names)
    if reading.header:
        _, head = next(rows, (0, ()))
        found = [_cell_text(cell) or "" for cell in head]
        while found and not found[-1]:
            found.pop()
        names = names or found
        if not names:
            if any(any(cell is not None for cell in cells) for _, cells in rows):
                raise FileRefused(file, "its header is blank", "Give `skip_rows`, or `header: false` with names")
            return
    yield from _cell_batches(rows, unique_names(names))


def _cell_batches(rows: Iterator[tuple[int, tuple[object, ...]]], columns: list[str]) -> Iterator[Parsed]:
    schema = pa.schema([(name, pa.string()) for name in columns])
    taken: list[list[str | None]] = []
    lines: list[int] = []
    rejects: list[Reject] = []

    def batch() -> Parsed:
        arrays = [pa.array([row[i] for row in taken], pa.string()) for i in range(len(columns))]
        return Parsed(pa.Table.from_arrays(arrays, schema=schema), np.array(lines, dtype=np.int64), list(rejects))

    for line, cells in rows:
        texts = [_cell_text(cell) for cell in cells]
        while len(texts) > len(columns) and texts[-1] is None:
            texts.pop()
        if not any(text for text in texts):
            continue
        if len(texts) > len(columns):
            raw = ",".join(text or "" for text in texts)[:RAW_KEPT]
            rejects.append(Reject(line, raw, "column_count", f"{len(columns)} columns expected, {len(texts)} found"))
            continue
        taken.append(texts + [None] * (len(columns) - len(texts)))
        lines.append(line)
        if len(taken) == _ROWS_AT_ONCE:
            yield batch()
            taken, lines, rejects = [], [], []
    yield batch()


def _cell_text(cell: object) -> str | None:
    """A cell as a person reads it: whole numbers without '.0', instants in ISO 8601."""
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        # A workbook shows 15 digits; what it stores beyond them is the noise of binary fractions.
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(cell, ".15g")
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(sep=" ")
    return str(cell)


_READERS: dict[str, Callable[[Path, str, Reading], Iterator[Parsed]]] = {
    "csv": _delimited,
    "tsv": _delimited,
    "jsonl": _json_lines,
    "parquet": _parquet,
    "xlsx": _xlsx,
}
FORMATS = tuple(_READERS)


def format_of(path: str) -> str:
    """The format that a file's name promises; csv where it promises none."""
    name = path.lower().removesuffix(".gz")
    for ending, format_ in ((".tsv", "tsv"), (".jsonl", "jsonl"), (".ndjson", "jsonl"), (".json", "jsonl"),
                            (".parquet", "parquet"), (".xlsx", "xlsx")):  # fmt: skip
        if name.endswith(ending):
            return format_
    return "csv"
