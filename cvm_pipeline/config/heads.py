"""The head of a file on disk, whatever its format: the only part of `cvm init` that opens data.

Belongs here: reading a few rows as text. Not here: judging them (`sniff.py`, `proposal.py`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from cvm_pipeline.config.sniff import SAMPLE_BYTES, Head, UnreadableSampleError, sniff_text
from cvm_pipeline.config.source import format_of

_ROWS = 1000


def read_head(path: Path) -> Head:
    """The first rows of a file, as text. Raises UnreadableSampleError, which says why, or OSError."""
    format = format_of(path.name)
    if format is None:
        raise UnreadableSampleError(
            "its name doesn't tell its format; known are csv, txt, tsv, jsonl, parquet and xlsx"
        )
    if format == "parquet":
        return _parquet(path)
    if format == "xlsx":
        return _workbook(path)
    try:
        with gzip.open(path) if path.suffix.casefold() == ".gz" else path.open("rb") as stream:
            sample = stream.read(SAMPLE_BYTES)
            whole = not stream.read(1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableSampleError(f"the gzip stream is truncated or damaged: {error}") from error
    return sniff_text(sample, format, whole)


def _parquet(path: Path) -> Head:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        batch = next(file.iter_batches(batch_size=_ROWS), None)
    except pa.ArrowException as error:
        raise UnreadableSampleError(f"not a parquet file: {error}") from error
    records = [] if batch is None else batch.to_pylist()
    columns = tuple(file.schema_arrow.names)
    return Head(columns, _texts([record[name] for name in columns] for record in records), "parquet")


def _workbook(path: Path) -> Head:
    from zipfile import BadZipFile

    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError) as error:
        raise UnreadableSampleError(f"not a workbook: {error}") from error
    try:
        rows = _texts(islice(book.worksheets[0].iter_rows(values_only=True), _ROWS))
    finally:
        book.close()
    if not rows or not any(rows[0]):
        raise UnreadableSampleError("its first sheet is empty")
    header = tuple(name.strip() or f"column_{at}" for at, name in enumerate(rows[0], start=1))
    return Head(header, rows[1:], "xlsx")


def _texts(rows: Iterable[Iterable[object]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple("" if value is None else str(value) for value in row) for row in rows)
