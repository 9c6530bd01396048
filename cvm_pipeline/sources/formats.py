"""One reader for every format a file may have: columns of text with the line of each record, and what could not be parsed.

Every column is text exactly as it stands; types are the mapping's affair. Adding a format is adding a function here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
            detail = (
                f"not a JSON object: {raw[:80]}" if len(raw) <= reading.max_record_bytes else "longer than the limit"
            )
            rejects.append(Reject(line, raw[:RAW_KEPT], "json", detail))
            continue
        rows.append(record)
        lines.append(line)
        if len(rows) == _ROWS_AT_ONCE:
            yield batch()
            rows, lines, rejects = [], [], []
    yield batch()


def _json_records(path: Path, file: str, reading: Reading) -> Iterator[tuple[int, dict[str, object] | None, str]]:
    carry, line = b"", 0
    for block in _with_end(read_utf8(path, file, reading.encoding)):
        *whole, carry = (carry + block).split(b"\n")
        for raw in whole:
            line += 1
            if not raw.strip():
                continue
            text = raw.decode()
            record = None
            if len(raw) <= reading.max_record_bytes:
                try:
                    record = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
                except (ValueError, RecursionError):
                    record = None
            yield line, record if isinstance(record, dict) else None, text


def _with_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from blocks
    yield b"\n"


def _json_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
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
        return pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string())


def _xlsx(path: Path, file: str, reading: Reading) -> Iterator[Parsed]:
    import zipfile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise FileRefused(file, f"is not a readable workbook ({error})", "Save it as .xlsx again") from error
    try:
        if reading.sheet is not None and reading.sheet not in book.sheetnames:
            raise FileRefused(file, f"has no sheet {reading.sheet!r}", f"Its sheets: {', '.join(book.sheetnames)}")
        sheet = book[reading.sheet] if reading.sheet is not None else book.worksheets[0]
        rows = enumerate(sheet.iter_rows(values_only=True), start=1)
        for _ in range(reading.skip_rows):
            next(rows, None)
        names = list(reading.names)
        if reading.header:
            head = next(rows, None)
            if head is None:
                return
            names = names or [_cell_text(cell) or "" for cell in head]
        columns = unique_names(names)
        yield from _cell_batches(rows, columns)
    finally:
        book.close()


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
    import datetime as dt

    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
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
