"""One Parquet file: the rows of a part, which several files may hold in turn.

Belongs here: writing one, telling whether it is as a version has it, and writing it anew without a person. Not here: which
files there are and who names them (`parquet.py`).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.files import step, sync

_ROW_GROUP = 200_000


def number(path: Path) -> int:
    """Which of the files of its part it is."""
    return int(path.stem.removeprefix("part-"))


def next_file(folder: Path) -> Path:
    """The name of the next file in a part's folder."""
    return folder / f"part-{max(map(number, folder.glob('part-*.parquet')), default=-1) + 1}.parquet"


def holds(path: Path, schema: pa.Schema, rows: int) -> bool:
    """Whether a part's file is as the version has it. A column that a later contract added may be missing: it is null."""
    try:
        with pq.ParquetFile(path) as file:
            found, there = file.schema_arrow, file.metadata.num_rows
    except pa.ArrowInvalid:
        # No whole file: the part is written anew.
        return False
    return there == rows and all(
        name in schema.names and found.field(name).type == schema.field(name).type for name in found.names
    )


def write_rows(path: Path, rows: pa.RecordBatchReader, mode: int) -> None:
    """Write a file batch by batch, to the disk; it never exists with a wider mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file, pq.ParquetWriter(file, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch, row_group_size=_ROW_GROUP)
    sync(path)


def without_customers(path: Path, customer_ids: Collection[str], redaction: Redaction) -> tuple[Path, int]:
    """A part's file without the customers (itself where it holds none), and how many rows went."""
    names = pq.read_schema(path).names
    if "customer_id" in names:
        found = pc.is_in(
            pq.read_table(path, columns=["customer_id"])["customer_id"], value_set=pa.array(sorted(customer_ids))
        )
        gone = int(pc.sum(found).as_py() or 0)
    else:
        gone = 0
    if not gone and not ("observed" in names and _told(path, redaction)):
        return path, 0
    target = next_file(path.parent)
    spare = path.with_name(f".writing-{target.name}")
    step(f"write {path.parent.name} anew")
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, path.stat().st_mode & 0o777)
    with (
        os.fdopen(descriptor, "wb") as out,
        pq.ParquetFile(path) as old,
        pq.ParquetWriter(out, old.schema_arrow, compression="zstd") as writer,
    ):
        for batch in old.iter_batches():
            table = pa.Table.from_batches([batch])
            if "customer_id" in names:
                table = table.filter(
                    pc.invert(pc.is_in(table["customer_id"], value_set=pa.array(sorted(customer_ids))))
                )
            if "observed" in names:
                texts = [None if text is None else redaction.text(text) for text in table["observed"].to_pylist()]
                table = table.set_column(names.index("observed"), "observed", pa.array(texts, table["observed"].type))
            writer.write_table(table, row_group_size=_ROW_GROUP)
    sync(spare)
    step(f"name {target.name}")
    spare.rename(target)
    sync(target.parent)
    return target, gone


def _told(path: Path, redaction: Redaction) -> bool:
    """Whether what a gate observed names somebody who is to go."""
    texts = pq.read_table(path, columns=["observed"])["observed"].unique().to_pylist()
    return any(text is not None and redaction.text(text) != text for text in texts)
