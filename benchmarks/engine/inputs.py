"""The populations as files, made once and kept: what our programs read (Parquet) and what the peers do (arrays).

Belongs here: files, columns, the cache. Not here: what is drawn (populations.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.engine.populations import BG_NBD, Ints, Population, blocks, draw_purchases, draw_sales, histories

CUSTOMERS, ORDERS, TRUTH = "customers.parquet", "orders.parquet", "truth.json"
ROWS, GROUPED, ORDERS_NPZ = "rows.npz", "grouped.npz", "orders.npz"

_MONEY = pa.decimal128(18, 4)
_FIRST_DAY = np.datetime64("2022-01-01")
_MARGIN_SHARE = 0.3
_CUSTOMERS_SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("transactions", "frequency", "recency", "T")),
        *(pa.field(name, _MONEY) for name in ("repeat_sales", "net_sales", "revenue_total", "margin_total")),
    ]
)
_ORDERS_SCHEMA = pa.schema([pa.field("customer_id", pa.int64()), pa.field("ordered_at", pa.timestamp("us"))])


def customers_of(population: Population, model: str, customers: int, home: Path) -> Path:
    """Folder with one row per customer (`customers.parquet` for us, `rows.npz` for the peers) and the same rows grouped.

    `rows.npz`: x, t_x, T (days), sales (total of the repeats) and `group`, each one's row in `grouped.npz`: distinct
    x, t_x, T and their count.
    """

    def write(folder: Path) -> None:
        parts: list[tuple[Ints, ...]] = []
        sales = []
        with pq.ParquetWriter(folder / CUSTOMERS, _CUSTOMERS_SCHEMA) as file:
            for block in blocks(customers):
                found = histories(population, draw_purchases(population, model, block))
                spent = draw_sales(population, model, block, found[0])
                file.write_table(_snapshot(block, found, spent))
                parts.append(tuple(column.astype(np.int32) for column in found))
                sales.append(spent)
        x, t_x, T = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        packed = (x.astype(np.int64) << 32) | (t_x.astype(np.int64) << 16) | T
        distinct, group, count = np.unique(packed, return_inverse=True, return_counts=True)
        np.savez(folder / ROWS, x=x, t_x=t_x, T=T, sales=np.concatenate(sales), group=group.astype(np.int32))
        each = [column.astype(np.int32) for column in (distinct >> 32, (distinct >> 16) & 0xFFFF, distinct & 0xFFFF)]
        np.savez(folder / GROUPED, x=each[0], t_x=each[1], T=each[2], count=count)
        _tell(folder, customers=customers, groups=distinct.size, repeats_mean=float(x.mean()))

    return _kept(home, f"{population.key}-{model}-{customers}", population, write)


def orders_of(population: Population, orders: int, home: Path) -> Path:
    """Folder with `orders.parquet` and `orders.npz`: customer_id and ordered_at of exactly so many orders, as they came
    in over time.
    """

    def write(folder: Path) -> None:
        customer, moment, found = [], [], 0
        for block in blocks(orders):
            bought = draw_purchases(population, BG_NBD, block)
            customer.append(bought.customer + block.start)
            moment.append(bought.moment)
            found += bought.customer.size
            if found >= orders:
                break
        ids, moments = np.concatenate(customer)[:orders], np.concatenate(moment)[:orders]
        by_time = np.argsort(moments)
        seconds = (moments[by_time] * 86_400.0).astype("timedelta64[s]")
        at = (_FIRST_DAY + seconds).astype("datetime64[us]")
        # A shop's numbers say nothing of when somebody came: spread over the whole range.
        number = ids[by_time] * 7_919 % 1_000_003_997
        pq.write_table(pa.table([pa.array(number), pa.array(at)], schema=_ORDERS_SCHEMA), folder / ORDERS)
        np.savez(folder / ORDERS_NPZ, customer_id=number, ordered_at=at)
        as_of = (_FIRST_DAY + np.timedelta64(population.observed, "D")).astype(str)
        _tell(folder, orders=orders, customers=np.unique(ids).size, as_of=as_of)

    return _kept(home, f"{population.key}-orders-{orders}", population, write)


def _snapshot(block: range, found: tuple[Ints, Ints, Ints], sales: np.ndarray) -> pa.Table:
    x, t_x, T = found
    number = pc.utf8_lpad(pa.array(np.arange(block.start, block.stop)).cast(pa.string()), 8, "0")
    mean = np.where(x > 0, sales / np.maximum(x, 1), 35.0)
    total = sales + mean
    money = (sales, total, total, total * _MARGIN_SHARE)
    columns = [pc.binary_join_element_wise("C", number, ""), *(pa.array(c) for c in (x + 1, x, t_x, T))]
    columns += [pc.round(pa.array(amount), 4).cast(_MONEY, safe=False) for amount in money]
    return pa.table(columns, schema=_CUSTOMERS_SCHEMA)


def _tell(folder: Path, **facts: object) -> None:
    (folder / TRUTH).write_text(json.dumps(facts))


def _kept(home: Path, name: str, population: Population, write: Callable[[Path], None]) -> Path:
    """The folder of that name and content; it appears when it is whole."""
    code = b"".join(Path(__file__).with_name(each).read_bytes() for each in ("populations.py", "inputs.py"))
    content = hashlib.sha256(json.dumps(dataclasses.asdict(population)).encode() + code).hexdigest()
    folder = home / f"engine-{name}-{content[:10]}"
    if not (folder / TRUTH).exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write(partial)
        partial.rename(folder)
    return folder
