"""A small clean schema for dbt to read: made from plain rows, and a random but repeatable history of some customers.

Belongs here: what `sources/` would have written, and running dbt on it in this process. Not here: expectations.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from cvm_pipeline.domain.returns import ORDER_PRODUCTS, ORDERS, RETURNS, allocate_returns

PROJECT = Path(__file__).parents[2] / "dbt_project"
_WHERE = ("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT))
START = dt.date(2021, 1, 1)
Build = Callable[..., Path]

_DDL = """
create schema clean;
create table clean.orders (order_id varchar, source_system varchar, customer_id varchar, ordered_at timestamp,
  ordered_date date, amount decimal(18,4), cost decimal(18,4), discount decimal(18,4), channel varchar, status varchar,
  void_date date, refers_to varchar, is_return boolean, source varchar, file varchar, line bigint);
create table clean.order_lines (order_id varchar, line integer, product_id varchar, quantity decimal(18,6),
  unit_price decimal(18,8), discount decimal(18,8), amount decimal(28,10), cost decimal(28,10), status varchar,
  void_date date, file varchar, file_line bigint);
create table clean.return_allocations (return_id varchar, return_line integer, order_id varchar, customer_id varchar,
  ordered_date date, returned_date date, amount decimal(18,4), kind varchar);
create table clean.unmatched_returns (order_id varchar, line integer, customer_id varchar, returned_at timestamp,
  returned_date date, amount decimal(18,4));
create table clean.products (product_id varchar, source_system varchar, name varchar, category varchar,
  unit_cost decimal(18,4));
create table clean.customers (customer_id varchar, source_system varchar, name varchar, customer_type varchar,
  email varchar, phone varchar, birth_date date, gender varchar, country varchar, region varchar, city varchar,
  postal_code varchar, industry varchar, employees bigint, annual_revenue decimal(18,4), created_date date,
  acquisition_channel varchar, acquisition_cost decimal(18,4), referred_by varchar, marketing_consent boolean,
  flag varchar, version_date date, is_current boolean);
"""


@dataclass
class History:
    """Rows by name; what a row leaves out is null. An order may carry `returned_date`, which the clean table does not."""

    orders: list[dict] = field(default_factory=list)
    customers: list[dict] = field(default_factory=list)
    lines: list[dict] = field(default_factory=list)
    products: list[dict] = field(default_factory=list)

    def known_by(self, date: dt.date) -> History:
        """The same history as it could have been written down on that day."""
        hidden = ("void_date", "returned_date")
        orders = [
            row | {name: row[name] for name in hidden if row.get(name) and row[name] <= date} | _gone(row, hidden, date)
            for row in self.orders
            if row["ordered_date"] <= date
        ]
        kept = {row["order_id"] for row in orders}
        customers = [
            row
            for row in self.customers
            if (row.get("version_date") or row.get("created_date") or date) <= date
            and (row.get("created_date") or date) <= date
        ]
        return replace(
            self, orders=orders, customers=customers, lines=[row for row in self.lines if row["order_id"] in kept]
        )

    def allocations(self) -> tuple[list[dict], list[dict]]:
        """What the clean step would make of the returns: (allocations, unmatched)."""
        sales = [row for row in self.orders if row["amount"] >= 0]
        documents = [
            {
                "return_id": row["order_id"],
                "line": 0,
                "returned_date": row["ordered_date"],
                "returned_at": row["ordered_at"],
                "amount": -row["amount"],
            }
            | {name: row.get(name) for name in ("customer_id", "refers_to")}
            for row in self.orders
            if row["amount"] < 0
        ]
        tables = ((sales, ORDERS), (documents, RETURNS), ([], ORDER_PRODUCTS))
        found = allocate_returns(*(pa.Table.from_pylist(rows, schema=schema) for rows, schema in tables))
        return found[0].to_pylist(), found[1].to_pylist()


def _gone(row: dict, names: tuple[str, ...], date: dt.date) -> dict:
    return {name: None for name in names if row.get(name) and row[name] > date}


def order(order_id: str, customer_id: str | None, on: dt.date, amount: str | int | Decimal, **more: object) -> dict:
    """One order (amount >= 0) or return document, at noon."""
    return {
        "order_id": order_id,
        "customer_id": customer_id,
        "source_system": "default",
        "ordered_at": dt.datetime.combine(on, dt.time(12)),
        "ordered_date": on,
        "amount": Decimal(amount),
        "status": "completed",
    } | more


def random_history(customers: int = 300, seed: int = 7) -> History:
    """Some years of purchases with everything that can happen to them, the same at every call."""
    rng = random.Random(seed)

    def day(first: int, last: int) -> dt.date:
        return START + dt.timedelta(days=rng.randint(first, last))

    def money() -> Decimal:
        return Decimal(rng.choice([0, *[rng.randint(1, 4_000_000)] * 19])) / 10_000

    history = History()
    for number in range(customers):
        customer_id = None if number % 50 == 49 else f"c{number:04}"
        joined, pace = rng.randint(0, 500), rng.choice([5, 20, 60, 200])
        clock = joined
        for position in range(rng.choice([0, 1, 1, 2, 4, 8, 20])):
            clock += rng.choice([0, 1 + int(rng.expovariate(1 / pace))])
            on = START + dt.timedelta(days=clock)
            row = order(f"o{number:04}-{position:02}", customer_id, on, money())
            row["cost"] = row["amount"] * Decimal(rng.choice(["0.5", "0.25", "1.5"])) if rng.random() < 0.8 else None
            if row["cost"] is not None:
                row["cost"] = row["cost"].quantize(Decimal("0.0001"))
            fate = rng.random()
            if fate < 0.06:
                row |= {"status": "cancelled", "void_date": on + dt.timedelta(days=rng.choice([0, 1, 30, 400]))}
            elif fate < 0.12:
                row |= {"status": "returned", "returned_date": on + dt.timedelta(days=rng.choice([0, 1, 30, 400]))}
            elif fate < 0.30:
                later = on + dt.timedelta(days=rng.choice([0, 0, 3, 90, 400]))
                back = rng.choice([row["amount"], money(), row["amount"] / 3])
                back = back.quantize(Decimal("0.0001"))
                if back:
                    refers_to = rng.choice([row["order_id"], None, "nowhere"])
                    document = f"r{number:04}-{position:02}"
                    cost = rng.choice([None, -back / 2])
                    cost = cost.quantize(Decimal("0.0001")) if cost is not None else None
                    history.orders.append(order(document, customer_id, later, -back, refers_to=refers_to, cost=cost))
            history.orders.append(row)
        if customer_id and number % 3:
            created = rng.choice([None, START + dt.timedelta(days=joined), day(0, 1400)])
            for version in [None] if number % 3 == 1 else [created or day(0, 600), day(1401, 1500)]:
                flag = rng.choice([None] * 9 + ["employee"])
                kind = rng.choice(["individual", "company"])
                history.customers.append(
                    {"customer_id": customer_id, "source_system": "default", "name": f"Name of {customer_id}",
                     "customer_type": kind, "flag": flag, "created_date": created, "version_date": version,
                     "is_current": True}
                )  # fmt: skip
            if number % 3 == 2:
                history.customers[-2]["is_current"] = False
    return history


def write_clean(path: Path, history: History) -> None:
    """Writes the clean schema anew; what else is in the file stays."""
    allocations, unmatched = history.allocations()
    tables = {
        "orders": [row | {"is_return": row["amount"] < 0} for row in history.orders],
        "order_lines": history.lines,
        "return_allocations": allocations,
        "unmatched_returns": unmatched,
        "products": history.products,
        "customers": history.customers,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(path, config={"storage_compatibility_version": "v1.2.0"}) as con:
        con.execute("drop schema if exists clean cascade")
        con.execute(_DDL)
        for name, rows in tables.items():
            empty = con.sql(f"select * from clean.{name}").to_arrow_table()
            complete = [{column: row.get(column) for column in empty.column_names} for row in rows]
            con.register("made", pa.Table.from_pylist(complete, schema=empty.schema))
            con.execute(f"insert into clean.{name} select * from made")
            con.unregister("made")


@cache
def _manifest() -> Manifest:
    """The project parsed once, as production does: what a run is about must reach dbt through the environment alone."""
    parsed = dbtRunner().invoke(["parse", *_WHERE, "--quiet"])
    assert parsed.success, parsed.exception
    return parsed.result


def run_dbt(*arguments: str) -> dbtRunnerResult:
    """One dbt command in this process; the file is free again after it."""
    manifest = _manifest()
    try:
        return dbtRunner(manifest=manifest).invoke([*arguments, *_WHERE, "--quiet"])
    finally:
        DuckDBConnectionManager.close_all_connections()


@contextmanager
def builds_facts(home: Path, told: Mapping[str, str]) -> Iterator[Build]:
    """Gives build(history, as_of, **more) -> the work file, one for each history; variables are `told`, `more` stands in.

    `more` names them in small letters and without CVM_.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DBT_TARGET_PATH", str(home / "target"))
        environment.setenv("DBT_LOG_PATH", str(home / "logs"))

        # Kept, or another history might get the id, and so the file, of one that is gone.
        written: list[History] = []

        def build(history: History, as_of: dt.date, **more: str) -> Path:
            path = home / str(id(history)) / "work.duckdb"
            if not path.exists():
                write_clean(path, history)
                written.append(history)
            told_now = {**told, "CVM_WORK_DB": str(path), "CVM_AS_OF_DATE": as_of.isoformat()}
            told_now |= {f"CVM_{name.upper()}": value for name, value in more.items()}
            for name, value in told_now.items():
                environment.setenv(name, value)
            result = run_dbt("build", "--exclude", "test_type:unit")
            assert result.success, [row.message for row in result.result or [] if str(row.status) in ("error", "fail")]
            return path

        yield build
