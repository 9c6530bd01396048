"""The promises of the source contract, on any files: rows are conserved, landing is idempotent, order plays no part."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixture import Shop, source

from cvm_pipeline.sources.clean import build_clean_if_changed
from cvm_pipeline.sources.errors import QuarantineTooLarge
from cvm_pipeline.sources.ingest import landed
from cvm_pipeline.sources.spec import CleanSettings, SourceSpec

RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail"

ORDERS = source("orders", "order_id ordered_at amount customer_id status updated_at currency", where="amount <> '0'")
LINES = source("order_lines", "order_id ordered_at product_id quantity unit_price customer_id status")
CUSTOMERS = source("customers", "customer_id city updated_at")
RATES = source("exchange_rates", "currency rate_date rate")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path) as shop:
        yield shop


ID = st.sampled_from(["a", "b", "c", "007", "", '"x', "é😀"])
DAY = st.sampled_from(["2020-01-01", "2020-01-02", "2020-13-01", "", "1900-01-01", "2020-01-01T10:00+02:00"])
NUMBER = st.sampled_from(["1", "-1", "0", "2.55555", "1e309", "NaN", "", "1.000,5", "9999999999999"])
STATUS = st.sampled_from(["", "completed", "pending", "cancelled", "returned", "lost"])
CURRENCY = st.sampled_from(["", "EUR", "usd", "CHF"])
DIRT = st.sampled_from(["", "\n", ",,,,,,\n", "x\n", '"\n', "a\0b,,,,,,\n", '"a\nb",2020-01-01,1,,,,\n'])


def csv_of(head: str, *cells: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    row = st.tuples(*cells).map(lambda texts: ",".join(texts) + "\n")
    return st.lists(st.one_of(row, row, row, DIRT), max_size=12).map(lambda lines: head + "\n" + "".join(lines))


ORDER_FILE = csv_of(
    "order_id,ordered_at,amount,customer_id,status,updated_at,currency", ID, DAY, NUMBER, ID, STATUS, DAY, CURRENCY
)
LINE_FILE = csv_of(
    "order_id,ordered_at,product_id,quantity,unit_price,customer_id,status", ID, DAY, ID, NUMBER, NUMBER, ID, STATUS
)
CUSTOMER_FILE = csv_of("customer_id,city,updated_at", ID, ID, DAY)


@given(st.lists(ORDER_FILE, min_size=1, max_size=3), st.lists(LINE_FILE, min_size=1, max_size=3), CUSTOMER_FILE)
@settings(max_examples=25, deadline=None)
def test_every_row_read_is_accepted_quarantined_duplicate_filtered_or_superseded(
    orders: list[str], lines: list[str], customers: str
) -> None:
    specs = [ORDERS, LINES, CUSTOMERS, RATES]
    with tempfile.TemporaryDirectory() as folder, Shop(Path(folder)) as shop:
        for name, files in (("orders", orders), ("order_lines", lines), ("customers", [customers])):
            for number, text in enumerate(files):
                shop.write(
                    f"{name}{number}.csv", text + ("k,2020-01-01,1,1,1,c,\n" if name == "order_lines" else "q\n")
                )
        shop.write("exchange_rates.csv", "currency,rate_date,rate\nUSD,2020-01-01,0.9\n")
        accounts = shop.run(*specs)  # raises RowsDoNotBalance where a row is lost or counted twice
        told = (accounts.accepted, accounts.quarantined, accounts.duplicate, accounts.filtered, accounts.superseded)
        assert accounts.read == sum(told)
        assert shop.rows("select count(*) from clean.quarantine") == [(accounts.quarantined,)]
        standing = shop.rows("""
            select (select count(*) from clean.orders where file like 'orders%'), (select count(*) from clean.order_lines)
        """)[0]
        audited = shop.rows("select entity, sum(rows_accepted) from clean.ingest_audit group by entity")
        assert standing == (int(dict(audited)["orders"]), int(dict(audited)["order_lines"]))
        for file, line, raw in shop.rows("select file, line, raw from clean.quarantine"):
            written = (shop.root / file).read_text().split("\n")[line - 1]
            assert raw.split("\n")[0].replace('"', "").replace("\\0", "\0") == written.replace('"', ""), (file, line)


def test_a_refused_row_is_kept_with_its_source_entity_file_line_text_rule_detail_and_time(shop: Shop) -> None:
    shop.write("orders.csv", 'order_id,ordered_at,amount\n"a\nb",2020-01-01,1\n\n2,"x, y",3\n4,2020-01-01\n')
    spec = source("orders", "order_id ordered_at amount", name="till")
    shop.run(source("orders", spec.columns, name="till"))
    assert shop.rows("select source, entity, file, line, raw, rule, detail, cast(quarantined_at as varchar) from clean.quarantine order by line") == [
        ("till", "orders", "orders.csv", 5, '2,"x, y",3', "not_a_date",
         "ordered_at: x, y is not ISO 8601; use strptime() where it is written otherwise", "2026-06-01 12:00:00"),
        ("till", "orders", "orders.csv", 6, "4,2020-01-01", "column_count", "3 columns expected, 2 found", "2026-06-01 12:00:00"),
    ]  # fmt: skip


def test_a_mended_row_landed_again_is_accepted(shop: Shop) -> None:
    spec = source("orders", "order_id ordered_at amount")
    shop.write("orders1.csv", "order_id,ordered_at,amount\n1,2020-01-01,x\n2,2020-01-01,2\n")
    shop.run(spec)
    shop.write("orders2.csv", "order_id,ordered_at,amount\n1,2020-01-01,1\n")
    shop.run(spec)
    assert sorted(shop.column("select order_id from clean.orders")) == ["1", "2"]


def test_a_changed_mapping_rebuilds_what_is_landed(shop: Shop) -> None:
    shop.write("orders.csv", "order_id,ordered_at,amount,net\n1,2020-01-01,3,2\n")
    shop.run(source("orders", "order_id ordered_at amount"))
    shop.build(source("orders", {"order_id": "order_id", "ordered_at": "ordered_at", "amount": "net"}))
    assert [int(amount) for amount in shop.column("select amount from clean.orders")] == [2]


def test_the_clean_state_is_built_anew_only_where_files_configuration_or_day_have_changed(shop: Shop) -> None:
    spec = source("orders", "order_id ordered_at amount")

    def built(config: str = "one", day: int = 1, share: float = 1.0) -> bool:
        shop.land(spec)
        rules = CleanSettings("EUR", "UTC", dt.datetime(2026, 6, day), max_quarantine_share=share)
        return build_clean_if_changed(shop.con, landed([spec], shop.landing), rules, config)

    shop.write("orders.csv", "order_id,ordered_at,amount\n1,2020-01-01,1\n")
    assert [built(), built()] == [True, False]
    assert [built("two"), built("two"), built("two", 2), built("two", 2)] == [True, False, True, False]
    shop.write("orders.csv", "order_id,ordered_at,amount\n1,2020-01-01,x\n")
    for _ in range(2):
        with pytest.raises(QuarantineTooLarge):
            built("two", 2, 0.05)
    shop.write("orders.csv", "order_id,ordered_at,amount\n1,2020-01-01,2\n")
    assert built("two", 2)
    assert [int(amount) for amount in shop.column("select amount from clean.orders")] == [2]


def _arrivals(root: Path, files: dict[str, bytes], order: list[list[str]], specs: list[SourceSpec]) -> dict[str, list]:
    """The clean tables after files have come in this order, landed and cleaned at each step."""
    with Shop(root) as shop:
        for names in order:
            for name in names:
                shop.write(name, files[name])
            shop.land(*specs)
        shop.build(*specs)
        return shop.clean_tables()


def test_the_order_in_which_files_come_plays_no_part(tmp_path: Path) -> None:
    rng = random.Random(7)

    def lines(n: int) -> str:
        return "order_id,ordered_at,product_id,quantity,unit_price,customer_id,status\n" + "".join(
            f"{rng.choice('abcdefg')},2020-01-0{rng.randint(1, 9)},{rng.choice('pq')},{rng.choice([1, 2, -1])},{rng.randint(1, 9)},"
            f"c{rng.randint(1, 3)},{rng.choice(['', 'returned', 'cancelled'])}\n"
            for _ in range(n)
        )

    files = {f"order_lines{i}.csv": lines(8).encode() for i in range(4)}
    files["again/order_lines9.csv"] = files["order_lines0.csv"]
    spec = source("order_lines", LINES.columns, path="**/order_lines*.csv")
    whole = _arrivals(tmp_path / "all", files, [list(files)], [spec])
    assert whole["return_allocations"] and whole["orders"]
    for number, order in enumerate(itertools.islice(itertools.permutations(files), 0, 120, 17)):
        steps = [[name] for name in order] + [[order[0]]]
        assert _arrivals(tmp_path / str(number), files, steps, [spec]) == whole, order


@pytest.mark.shared_data
@pytest.mark.skipif(not RETAIL.is_dir(), reason="../shared/data is not here")
def test_real_daily_files_landed_one_by_one_in_any_order_end_as_all_at_once(tmp_path: Path) -> None:
    chosen = sorted(RETAIL.glob("*.csv"))[:60:5]
    files = {f"in/{path.name}": path.read_bytes() for path in chosen}
    spec = source(
        "order_lines",
        {"order_id": "InvoiceNo", "customer_id": "regexp_replace(nullif(trim(CustomerID), ''), '\\.0$', '')",
         "ordered_at": "InvoiceDate", "product_id": "StockCode", "quantity": "Quantity", "unit_price": "UnitPrice",
         "status": "case when InvoiceNo like 'C%' then 'C' end"},
        path="in/*.csv", values={"status": {"C": "returned"}},
    )  # fmt: skip
    whole = _arrivals(tmp_path / "all", files, [list(files)], [spec])
    assert len(whole["order_lines"]) > 10_000
    names = list(files)
    random.Random(3).shuffle(names)
    steps = [[name] for name in names] + [[names[4]]]
    assert _arrivals(tmp_path / "daily", files, steps, [spec]) == whole
