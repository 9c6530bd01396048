"""The retail base as files: CSV order lines, one file a quarter, the cvm.yml that reads them, and what is true of them.

Belongs here: how a till spells a line, files, the cache. Not here: what is drawn (retail_base.py).

    python -m benchmarks.retail_data --customers 20000 --lines 400000 --folder /tmp/retail
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from benchmarks.retail_base import FIRST_DAY, LAST_DAY, Lines, RetailBase, draw_lines, lines_per_order

LANDING, TRUTH, CONFIG, HOME = "landing", "truth.json", "cvm.yml", "home"

_COLUMNS = ("receipt", "sold_at", "card", "article", "pieces", "price", "credits")
_SCHEMA = pa.schema([(name, pa.string()) for name in _COLUMNS])
_BAD_NUMBER, _BAD_DATE, _NO_ARTICLE, _NO_RECEIPT = 1, 2, 3, 4
# More orders a customer than a block will ever see on average: numbers of two blocks never meet.
_NUMBERS_PER_CUSTOMER = 1_000

_CVM_YML = """\
# Made by benchmarks/retail_data.py: a retail base of known parameters.
project: retail benchmark
home: {home}
currency: EUR
history_start: {first}
sources:
  - entity: order_lines
    path: {landing}/retail-*.csv
    columns:
      order_id: receipt
      ordered_at: sold_at
      customer_id: card
      product_id: article
      quantity: pieces
      unit_price: price
      refers_to: credits
"""


def folder_of(base: RetailBase, cache: Path) -> Path:
    """Where this base is kept: named by its size and by all that decides its content, this code included."""
    code = b"".join((Path(__file__).parent / name).read_bytes() for name in ("retail_base.py", "retail_data.py"))
    content = hashlib.sha256(json.dumps(dataclasses.asdict(base)).encode() + code).hexdigest()
    return cache / f"retail-{base.customers}x{base.lines}-{content[:10]}"


def write_base(base: RetailBase, folder: Path) -> dict[str, Any]:
    """Write the base to `folder` unless it stands there already; returns what is true of it.

    It appears under its name when it is whole; what an interrupted run left is written over. Raises ValueError as
    `lines_per_order`, OSError where the disk is full.
    """
    truth = folder / TRUTH
    if not truth.exists():
        basket = lines_per_order(base)
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / LANDING).mkdir(parents=True)
        facts = _write_lines(base, basket, partial / LANDING)
        (partial / TRUTH).write_text(json.dumps(facts, indent=1))
        (partial / CONFIG).write_text(_CVM_YML.format(home=HOME, first=FIRST_DAY, landing=LANDING))
        partial.rename(folder)
    found: dict[str, Any] = json.loads(truth.read_text())
    return found


def _write_lines(base: RetailBase, basket: float, landing: Path) -> dict[str, Any]:
    rows = returns = broken = 0
    starts = _quarters()
    # The day's first second of each quarter but the first, since FIRST_DAY.
    cuts = [(start - FIRST_DAY).days * 86_400 for start in starts[1:]]
    options = pa_csv.WriteOptions(quoting_style="none", include_header=True)
    with ExitStack() as files:
        writers = [
            files.enter_context(pa_csv.CSVWriter(landing / _name(start), _SCHEMA, write_options=options))
            for start in starts
        ]
        for block, lines in draw_lines(base, basket):
            table = _spelled(lines, block)
            ends = [0, *np.searchsorted(lines.second, cuts).tolist(), table.num_rows]
            for writer, begin, end in zip(writers, ends[:-1], ends[1:], strict=True):
                if end > begin:
                    writer.write_table(table.slice(begin, end - begin))
            rows += table.num_rows
            returns += int(lines.is_return.sum())
            broken += int((lines.broken > 0).sum())
    return {
        "base": dataclasses.asdict(base),
        "as_of": LAST_DAY.isoformat(),
        "lines_per_order": basket,
        "rows": rows,
        "returned": returns,
        "broken": broken,
        "bytes": sum(file.stat().st_size for file in landing.iterdir()),
    }


def _spelled(lines: Lines, block: range) -> pa.Table:
    """The rows as text. A line that arrives broken stands beside the same line whole."""
    number = 10**9 + _NUMBERS_PER_CUSTOMER * block.start + lines.order
    order = _id("S", number)
    receipt = pc.if_else(pa.array(lines.is_return), _id("R", number), order)
    moment = pa.array(lines.second + _epoch_seconds(FIRST_DAY), pa.int64()).cast(pa.timestamp("s"))
    spoiled = {wrong: pa.array(lines.broken == wrong) for wrong in (_BAD_NUMBER, _BAD_DATE, _NO_ARTICLE, _NO_RECEIPT)}
    nothing = pa.scalar(None, pa.string())
    columns = {
        "receipt": pc.if_else(spoiled[_NO_RECEIPT], nothing, receipt),
        "sold_at": pc.if_else(spoiled[_BAD_DATE], "2024-02-30 25:61:00", moment.cast(pa.string())),
        "card": _id("C", 10_000_000 + block.start + lines.customer),
        "article": pc.if_else(spoiled[_NO_ARTICLE], nothing, _id("P", 100_000 + lines.product)),
        "pieces": pc.if_else(spoiled[_BAD_NUMBER], "1.O", pa.array(lines.pieces).cast(pa.string())),
        "price": pa.array(lines.cents / 100.0).cast(pa.string()),
        "credits": pc.if_else(pa.array(lines.names_order), order, nothing),
    }
    return pa.table(columns, schema=_SCHEMA)


def _id(letter: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")


def _epoch_seconds(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * 86_400


def _quarters() -> list[dt.date]:
    def first_days() -> Iterator[dt.date]:
        for year in range(FIRST_DAY.year, LAST_DAY.year + 1):
            yield from (dt.date(year, month, 1) for month in (1, 4, 7, 10))

    return list(first_days())


def _name(start: dt.date) -> str:
    return f"retail-{start.year}-Q{(start.month + 2) // 3}.csv"


def main(argv: Sequence[str] | None = None) -> None:
    """Write a base and print what is true of it, as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retail_data", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--customers", type=int, default=RetailBase.customers)
    parser.add_argument("--lines", type=int, default=RetailBase.lines)
    parser.add_argument("--seed", type=int, default=RetailBase.seed)
    parser.add_argument("--folder", type=Path, required=True, help="where the base is written")
    given = parser.parse_args(argv)
    base = RetailBase(customers=given.customers, lines=given.lines, seed=given.seed)
    print(json.dumps(write_base(base, given.folder), indent=1))


if __name__ == "__main__":
    main()
