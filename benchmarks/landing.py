"""What landing a CSV costs beside DuckDB's own reader from the same CSV to Parquet, all columns as text.

    python benchmarks/landing.py [FILE.csv] [--megabytes 250] [--kind plain|quoted|dirty] [--rounds 3]

Landing hashes the file, finds every record's line, keeps the text of bad ones and flushes to disk: the contract
(sources.md, promise 7) allows it four times DuckDB's time. Without a file one is made; `quoted` has every field in quotes and
line breaks in a tenth of them, `dirty` a stray quote or a missing field in every hundredth row, which DuckDB is told to ignore.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from cvm_pipeline.sources.formats import Reading
from cvm_pipeline.sources.landing import LandingZone, land_source
from cvm_pipeline.sources.sql import literal

ALLOWED = 4.0
HEAD = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")


def make_csv(path: Path, megabytes: int, kind: str) -> None:
    """A retail file of about that size; repeatable."""
    rng = random.Random(1)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL if kind == "quoted" else csv.QUOTE_MINIMAL)
        writer.writerow(HEAD)
        block = [
            (536365 + i // 9, f"{rng.randint(10000, 99999)}A",
             "WHITE HANGING\nHEART" if kind == "quoted" and i % 10 == 0 else "WHITE HANGING HEART T-LIGHT HOLDER",
             rng.randint(1, 50), f"2010-12-{rng.randint(1, 28):02} 08:26:00", f"{rng.random() * 20:.2f}", rng.randint(12000, 18000))
            for i in range(100_000)
        ]  # fmt: skip
        while stream.tell() < megabytes << 20:
            writer.writerows(block)
            if kind == "dirty":
                stream.write('1,2\n1,2,5" DISK,1,2010-12-01,1,1\n' * 500)


def land_csv(path: Path, folder: Path) -> None:
    land_source(LandingZone(folder / "zone"), "s", str(path), path.parent, Reading(), "2020-01-01 00:00:00")


def convert_with_duckdb(path: Path, folder: Path) -> None:
    options = "all_varchar = true, delim = ',', quote = '\"', ignore_errors = true, strict_mode = false"
    with duckdb.connect() as con:
        con.execute(
            f"copy (select * from read_csv({literal(str(path))}, {options})) to {literal(str(folder / 'd.parquet'))}"
        )


def compare(path: Path, rounds: int) -> tuple[float, float]:
    """Best seconds of landing and of DuckDB, taken in turns."""
    seconds: dict[Callable[[Path, Path], None], list[float]] = {land_csv: [], convert_with_duckdb: []}
    for _ in range(rounds):
        for work, taken in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                work(path, Path(folder))
                taken.append(time.perf_counter() - began)
    return min(seconds[land_csv]), min(seconds[convert_with_duckdb])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--megabytes", type=int, default=250)
    parser.add_argument("--kind", choices=("plain", "quoted", "dirty"), default="plain")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.file
        if path is None:
            path = Path(folder) / f"{given.kind}.csv"
            make_csv(path, given.megabytes, given.kind)
        ours, theirs = compare(path.resolve(), given.rounds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{path.name}: {path.stat().st_size / 2**20:.0f} MB; landing {ours:.2f} s, DuckDB to Parquet {theirs:.2f} s"
        )
        print(f"ratio {ours / theirs:.2f} (allowed {ALLOWED:.0f}); peak memory of both in one process {peak:.0f} MB")


if __name__ == "__main__":
    main()
