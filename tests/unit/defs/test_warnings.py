"""Early warning over a work file: what is read, tested and written, and what of the published past is remembered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.config.home import Home
from cvm_pipeline.config.project import Project
from cvm_pipeline.config.settings import Clv, Warnings
from cvm_pipeline.defs import warnings as edge
from cvm_pipeline.domain.calendar import is_period_end
from cvm_pipeline.domain.contracts import CUSTOMER_VALUE_HISTORY, EARLY_WARNING, WARNING_TEST
from cvm_pipeline.domain.early_warning.lengths import WINDOW_DAYS
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.pricing import Pricing
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Probability, Timing
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend
from cvm_pipeline.warehouse.ddl import create_table_sql
from cvm_pipeline.warehouse.work import connect

JUNE, MAY = dt.date(2026, 6, 30), dt.date(2026, 5, 31)
FIT = Fit({"r": 2.0, "alpha": 4.0, "a": 0.2, "b": 5.0}, {}, None, 100.0, True, 0.0, time_unit_days=7.0)
TIMING = Timing(transaction_model("mbg_nbd"), FIT)
SPEND = Spend(Fit({"p": 3.0, "q": 5.0, "v": 60.0}, {}, None, 100.0, True, 0.0), 40.0, False)
PRICING = Pricing(Probability(TIMING), TIMING, SPEND, MarginParameters(0.5, 0.0, 0.0, 9, True), 12, 0.1)
VERSION = "2026-06-01T000000Z-0001"


def write_transactions(con: duckdb.DuckDBPyConnection) -> None:
    """300 customers of rates around one in 12 days over 3 years; those numbered below 30 stop 200 days before June's end."""
    rng = np.random.default_rng(8)
    rows = []
    for number in range(300):
        rate = rng.gamma(3.0, 1 / 36.0)
        days = np.unique(np.ceil(np.cumsum(rng.exponential(1 / rate, 400))))
        days = days[(days <= 1100) & ((days <= 900) | (number >= 30))]
        nu = rng.gamma(5.0, 1 / 60.0)
        first = JUNE - dt.timedelta(days=1100)
        rows += [(f"c{number:03}", first + dt.timedelta(days=int(day)), float(rng.gamma(3.0, 1 / nu))) for day in days]
    customer, day, value = zip(*rows, strict=True)
    table = pa.table({"customer_id": customer, "ordered_date": day, "value": value})
    con.register("given", table)
    con.execute(
        "create or replace table marts.fct_transactions as select customer_id, ordered_date, value::decimal(18,4) as net_value from given"
    )
    con.unregister("given")


def write_marts(con: duckdb.DuckDBPyConnection, flagged: str = "c100") -> None:
    """The marts and scores that warnings read, derived from the transactions as dbt and the value asset do."""
    history = """count(*) as transactions, count(*) - 1 as frequency, max(ordered_date) - min(ordered_date) as recency,
        {day} - min(ordered_date) as "T", sum(net_value)::decimal(18,4) as net_sales,
        (sum(net_value) - min_by(net_value, ordered_date))::decimal(18,4) as repeat_sales"""
    parts = [
        f"select {days} as window_days, customer_id, {history.format(day=f'date {str(JUNE - dt.timedelta(days))!r}')} "
        f"from marts.fct_transactions where ordered_date <= date '{JUNE - dt.timedelta(days)}' group by customer_id"
        for days in WINDOW_DAYS
    ]
    con.execute(f"create or replace table marts.fct_window_histories as {' union all '.join(parts)}")
    con.execute(
        f"""create or replace table marts.fct_customer_snapshot as
        select date '{JUNE}' as as_of_date, customer_id, null::varchar as customer_type,
          case when customer_id = '{flagged}' then 'reseller' end as flag, {history.format(day=f"date '{JUNE}'")},
          sum(net_value)::decimal(18,4) as revenue_total, sum(net_value)::decimal(18,4) as margin_total
        from marts.fct_transactions group by customer_id"""
    )
    rows = con.sql(
        'select customer_id, frequency, recency, "T", repeat_sales from marts.fct_customer_snapshot'
    ).to_arrow_table()
    x, t_x, T, sales = (rows[name].to_numpy().astype(float) for name in ("frequency", "recency", "T", "repeat_sales"))
    scores = pa.table(
        {"customer_id": rows["customer_id"], "p_alive": TIMING.p_alive(x, t_x, T),
         "value": PRICING.clv(x, t_x, T, sales, np.full(x.size, 0.5))}
    )  # fmt: skip
    con.register("scored", scores)
    con.execute(
        "create or replace table value.customer_scores as select customer_id, p_alive, value::decimal(18,4) as clv from scored"
    )
    con.unregister("scored")
    con.execute(
        "create or replace table value.clv_model_card as select 'mbg_nbd' as model, 'gives_p_alive' as metric, 1.0 as value"
    )


class Shop:
    """A project with a work file, and what it published."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / ".cvm")
        self.project: Any = SimpleNamespace(
            home=self.home, warnings=Warnings(), clv=Clv(), is_on_grid=lambda day: is_period_end(day, "monthly")
        )

    def publish(self, alarms: list[dict], tests: list[dict], lost: list[dict]) -> None:
        """A standing version that holds these rows of earlier snapshots."""
        folder = self.home.versions / VERSION
        folder.mkdir(parents=True)
        with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
            con.execute("create schema cvm")
            for table, rows in ((EARLY_WARNING, alarms), (WARNING_TEST, tests), (CUSTOMER_VALUE_HISTORY, lost)):
                catalog = con.execute("select current_database()").fetchall()[0][0]
                sql = create_table_sql(table, catalog)
                con.execute(sql.replace(" not null", "").replace(" NOT NULL", ""))
                for row in rows:
                    names = ", ".join(f'"{name}"' for name in row)
                    con.execute(
                        f"insert into cvm.{table.name} ({names}) values ({', '.join('?' * len(row))})",
                        list(row.values()),
                    )
        self.home.current.symlink_to(Path("versions") / VERSION)


def alarm(customer: str, raised_on: dt.date, days: int, snapshot: dt.date | None = None) -> dict:
    return {
        "as_of_date": snapshot or raised_on, "customer_id": customer, "status": "standing" if snapshot else "new",
        "level": "warning", "signals": "frequency", "window_days": days, "p_value": 0.001, "value_at_risk": 30,
        "reasons": "as told then", "raised_on": raised_on, "lapses_on": raised_on + dt.timedelta(days=days),
        "publication_id": VERSION,
    }  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def con(shop: Shop) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(shop.home) as con:
        write_transactions(con)
        write_marts(con)
        yield con


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, dict]:
    return {row["customer_id"]: row for row in con.sql(sql).to_arrow_table().to_pylist()}


def test_who_stopped_is_warned_and_few_others(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    found = edge.warn(con, shop.project, JUNE, PRICING)
    warned = rows(con, "select * from value.early_warning")
    assert len(warned) == found.raised > 5
    assert sum(customer < "c030" for customer in warned) >= 0.8 * len(warned)
    tested = rows(con, "select * from value.warning_test")
    assert {customer for customer, test in tested.items() if test["is_raised"]} == set(warned)
    assert "c100" not in tested, "the flagged are never tested"
    raised = [test["p_value"] for test in tested.values() if test["is_raised"]]
    spared = [test["p_value"] for test in tested.values() if test["is_testable"] and not test["is_raised"]]
    assert max(raised) <= found.threshold < min(spared)
    told = dict(con.execute("select parameter, value from value.warning_parameters").fetchall())
    assert (told["raised_count"], told["tested_count"]) == (found.raised, found.tested)
    assert any(name.startswith("index_untyped_") for name in told)


def test_nothing_that_comes_after_a_start_moves_what_was_expected_there(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    edge.warn(con, shop.project, JUNE, PRICING)
    expected = "select customer_id, window_days, expected_transactions from value.warning_test where window_days >= 91"
    before = rows(con, expected)
    con.execute(f"delete from marts.fct_transactions where ordered_date > date '{JUNE - dt.timedelta(days=91)}'")
    edge.warn(con, shop.project, JUNE, PRICING)
    assert rows(con, expected) == before


def test_the_order_of_rows_moves_nothing(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    edge.warn(con, shop.project, JUNE, PRICING)
    before = [rows(con, f"select * from value.{name}") for name in ("warning_test", "early_warning")]
    for table in ("fct_customer_snapshot", "fct_window_histories", "fct_transactions"):
        con.execute(f"create or replace table marts.{table} as select * from marts.{table} order by hash(customer_id)")
    edge.warn(con, shop.project, JUNE, PRICING)
    assert [rows(con, f"select * from value.{name}") for name in ("warning_test", "early_warning")] == before


def test_an_alarm_stands_untested_and_when_it_has_lapsed_only_what_came_after_it_is_tested(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    edge.warn(con, shop.project, JUNE, PRICING)
    first = rows(con, "select * from value.early_warning")
    stands, lapsed = sorted(first)[:2]
    long_ago = dt.date(2026, 2, 28)
    off_grid = dt.date(2026, 6, 15)
    others = [customer for customer in rows(con, "select * from value.warning_test") if customer > "c150"][:1]
    shop.publish(
        [alarm(stands, MAY, 91), alarm(lapsed, long_ago, 91), alarm(others[0], off_grid, 364)], [],
        [{"as_of_date": day, "customer_id": stands, "publication_id": VERSION} for day in (long_ago, MAY, off_grid)],
    )  # fmt: skip
    found = edge.warn(con, shop.project, JUNE, PRICING)
    now, tested = rows(con, "select * from value.early_warning"), rows(con, "select * from value.warning_test")
    assert (now[stands]["status"], now[stands]["reasons"], now[stands]["raised_on"]) == (
        "standing",
        "as told then",
        MAY,
    )
    assert stands not in tested
    assert found.standing == 1
    # February's alarm leaves windows of at most 122 days; by then this customer had gone, so none begins there.
    assert lapsed not in tested or tested[lapsed]["window_days"] <= (JUNE - long_ago).days
    assert lapsed not in now or now[lapsed]["status"] == "new"
    assert others[0] in tested, "a snapshot off the grid is no memory"


def test_the_record_judges_alarms_whose_next_window_has_ended_within_a_year(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    long_ago, too_new, too_old = dt.date(2025, 10, 31), dt.date(2026, 5, 31), dt.date(2024, 3, 31)
    test = {
        "window_days": 91,
        "expected_transactions": 7.5,
        "is_testable": True,
        "base_index": 1.0,
        "publication_id": VERSION,
    }
    shop.publish(
        [alarm("c001", long_ago, 91), alarm("c200", long_ago, 91), alarm("c002", too_new, 91), alarm("c003", too_old, 91)],
        [test | {"as_of_date": day, "customer_id": f"c{n:03}"}
         for day in (long_ago, too_new, too_old) for n in (1, 2, 3, 200, 201, 202)],
        [{"as_of_date": day, "customer_id": "c001", "lifecycle_stage": stage, "publication_id": VERSION}
         for day, stage in ((too_old, "new"), (long_ago, "mature"), (dt.date(2025, 12, 31), "lost"), (dt.date(2026, 1, 31), "lost"),
                            (too_new, "lost"))],
    )  # fmt: skip
    edge.warn(con, shop.project, JUNE, PRICING)
    found = {row["level"]: row for row in con.sql("select * from value.warning_record").to_arrow_table().to_pylist()}
    assert (found["all"]["tested"], found["all"]["warned"]) == (6, 2)
    ((expected_fell,),) = con.execute(
        f"""select count(*) from (select customer_id, count(*) filter (where ordered_date > date '{long_ago}'
              and ordered_date <= date '{long_ago}' + 91) as after from marts.fct_transactions
              where customer_id in ('c001', 'c200') group by customer_id) where after < 7.5"""
    ).fetchall()
    assert found["warning"]["fell"] == expected_fell
    assert found["all"]["median_lead_days"] == (dt.date(2025, 12, 31) - long_ago).days


def test_a_base_without_a_model_of_rates_is_not_tested_and_that_is_told(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    con.execute("update value.clv_model_card set model = 'pooled_rate'")
    found = edge.warn(con, shop.project, JUNE, PRICING)
    assert (found.tested, found.raised, found.starts_without_model) == (0, 0, len(WINDOW_DAYS))
    assert con.execute("select count(*) from value.warning_test").fetchall() == [(0,)]


def test_levels_in_money_come_from_the_configuration(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.project.warnings = Warnings(warning_from=0.01, critical_from=10**9)
    edge.warn(con, shop.project, JUNE, PRICING)
    assert {row["level"] for row in rows(con, "select * from value.early_warning").values()} == {"warning"}


def test_the_projects_own_settings_are_the_defaults() -> None:
    assert Project.model_fields["warnings"].default == Warnings(fdr=0.1, dependence="independence")
