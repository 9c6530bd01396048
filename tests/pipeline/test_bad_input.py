"""Bad input: each with one clear message or its own place in the quarantine, and nothing lost."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from source_fixture import Shop, source

from cvm_pipeline.sources import landing
from cvm_pipeline.sources.errors import FileRefused, MappingRefused, QuarantineTooLarge, SourceError

HEAD = "order_id,ordered_at,amount,customer_id\n"
GOOD = HEAD + "1,2020-01-01,5,a\n"
ORDERS = source("orders", "order_id ordered_at amount customer_id")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path) as shop:
        yield shop


def ids(shop: Shop) -> list[str]:
    return sorted(shop.column("select order_id from clean.orders"))


@pytest.mark.parametrize("content", ["", HEAD, HEAD.strip(), HEAD + "\n\n"], ids=["empty", "header", "no end", "blank"])
def test_a_source_of_nothing_but_empty_files_is_refused_by_name(shop: Shop, content: str) -> None:
    shop.write("orders.csv", content)
    with pytest.raises(SourceError, match=r"source orders: its files hold no rows \(orders\.csv\)"):
        shop.run(ORDERS)


@pytest.mark.parametrize("content", ["", HEAD], ids=["empty", "header only"])
def test_an_empty_file_beside_a_full_one_is_landed_and_told(shop: Shop, content: str) -> None:
    shop.write("orders1.csv", content)
    shop.write("orders2.csv", GOOD)
    report = shop.land(ORDERS)[0]
    shop.build(ORDERS)
    assert report.empty == ["orders1.csv"]
    assert ids(shop) == ["1"]
    assert shop.rows("select file, rows_read from clean.ingest_audit order by 1") == [
        ("orders1.csv", 0),
        ("orders2.csv", 1),
    ]


def test_a_column_renamed_between_two_files_is_refused_by_the_file(shop: Shop) -> None:
    shop.write("orders1.csv", GOOD)
    shop.write("orders2.csv", GOOD.replace("amount", "total_amount"))
    with pytest.raises(
        MappingRefused, match=r"orders2\.csv: has no column 'amount'.*did you mean 'total_amount'\?.*It has: order_id"
    ):
        shop.run(ORDERS)


def test_a_truncated_gzip_lands_nothing_of_itself_and_its_neighbours_whole(shop: Shop) -> None:
    spec = source("orders", ORDERS.columns, path="orders*")
    shop.write("orders1.csv.gz", gzip.compress((HEAD + "2,2020-01-01,5,b\n" * 9999).encode())[:-9])
    shop.write("orders2.csv", GOOD)
    with pytest.raises(FileRefused, match=r"orders1\.csv\.gz: the gzip stream is truncated"):
        shop.land(spec)
    shop.build(spec)
    assert ids(shop) == ["1"]


def test_a_wrong_encoding_names_the_file_the_byte_and_a_likely_one(shop: Shop) -> None:
    shop.write("orders.csv", (GOOD + "2,2020-01-01,5,张伟先生\n").encode("gbk"))
    with pytest.raises(
        FileRefused, match=rf"orders\.csv: byte {len(GOOD) + 15} is not valid utf-8. Likely encoding: \w+"
    ):
        shop.run(ORDERS)


def test_nul_bytes_and_unclosed_quotes_cost_their_own_rows_only(shop: Shop) -> None:
    shop.write(
        "orders.csv", GOOD + '2,2020-01-01,5,\0b\n3,2020-01-01,5,"c\n4,2020-01-01,5,"d ""e"""\n5,2020-01-01,5,f"\n'
    )
    shop.run(ORDERS)
    assert ids(shop) == ["1", "4", "5"]
    assert shop.rows("select line, rule, raw from clean.quarantine order by line") == [
        (3, "nul_byte", "2,2020-01-01,5,\\0b"), (4, "unclosed_quote", '3,2020-01-01,5,"c')]  # fmt: skip


def test_a_line_of_50_megabytes_is_one_refused_row(shop: Shop) -> None:
    shop.write("orders.csv", HEAD.encode() + b"1,2020-01-01,5," + b"x" * (50 << 20) + b"\n2,2020-01-01,5,b\n")
    shop.run(ORDERS)
    assert ids(shop) == ["2"]
    assert shop.quarantine() == [(2, "record_too_long")]
    assert shop.column("select length(raw) from clean.quarantine") == [10_000]


def test_dates_of_1900_and_2999_and_odd_amounts_are_refused_each_with_its_reason(shop: Shop) -> None:
    shop.write(
        "orders.csv",
        HEAD
        + '1,1900-01-01,5,a\n2,2999-01-01,5,a\n3,2020-01-01,"1.234,56",a\n4,2020-01-01,(12.00),a\n5,2020-01-01,1e309,a\n'
        "6,2020-01-01,NaN,a\n7,2020-01-01,5,a\n",
    )
    shop.run(ORDERS)
    assert ids(shop) == ["7"]
    assert [rule for _, rule in shop.quarantine()] == ["too_early", "in_future", *["not_a_number"] * 4]


def test_ids_are_data_whatever_they_hold(shop: Shop) -> None:
    hostile = ["007", "😀", "it's", "a;b", "'; drop table clean.orders; --", '"quoted"', "$1", "%s", "\\n", "a\tb"]
    body = "".join('"{0}",2020-01-01,5,"{0}"\n'.format(i.replace('"', '""')) for i in hostile)
    shop.write("orders.csv", HEAD + body)
    shop.run(ORDERS)
    assert ids(shop) == sorted(hostile)
    assert sorted(shop.column("select distinct customer_id from clean.orders")) == sorted(hostile)


def test_a_duplicate_id_with_other_content_is_superseded_and_counted(shop: Shop) -> None:
    shop.write("orders.csv", GOOD + "1,2020-01-01,6,a\n1,2020-01-01,6,a\n")
    accounts = shop.run(ORDERS)
    assert shop.column("select amount from clean.orders") == [Decimal(6)]
    assert (accounts.accepted, accounts.duplicate, accounts.superseded) == (1, 1, 1)


def test_a_file_that_grows_without_end_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop.write("orders.csv", GOOD)
    monkeypatch.setattr(landing, "_PATIENCE_SECONDS", (0.0,))
    real = landing.read_file

    def growing(*args: object) -> object:
        with path.open("a") as stream:
            stream.write("2,2020-01-01,5,b\n")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(landing, "read_file", growing)
    with pytest.raises(FileRefused, match=r"changed while it was read.*renaming them into place"):
        shop.land(ORDERS)


def test_a_home_that_can_t_be_written_says_so(shop: Shop) -> None:
    shop.write("orders.csv", GOOD)
    shop.write(".cvm", "in the way")
    with pytest.raises(SourceError, match=r"can't be written.*Check free disk and permissions; nothing was changed"):
        shop.land(ORDERS)


def test_too_large_a_quarantine_names_the_three_commonest_reasons_with_an_example_each(shop: Shop) -> None:
    bad = ["x,2020-01-01,x,a"] * 3 + ["y,2020-13-01,1,a"] * 2 + ["z,2020-01-01,1"] * 4 + ["w,,1,a"]
    shop.write("orders.csv", GOOD + "".join(f"g{i},2020-01-01,1,a\n" for i in range(9)) + "\n".join(bad) + "\n")
    with pytest.raises(QuarantineTooLarge) as caught:
        shop.run(ORDERS, max_quarantine_share=0.05)
    message = str(caught.value)
    assert "source orders: 10 of 20 rows are quarantined (50.0%, allowed 5.0%)" in message
    assert "column_count x 4 (such as orders.csv:17 4 columns expected, 3 found)" in message
    assert "not_a_number x 3 (such as orders.csv:12 amount: x is not a number such as 1234.56)" in message
    assert "not_a_date x 2 (such as orders.csv:15 ordered_at: 2020-13-01 is not ISO 8601" in message
    assert "missing" not in message
    assert len(shop.quarantine()) == 10, "what was refused can be looked at"


def test_a_mended_file_is_not_judged_by_what_it_mended(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01\n2,x,5,a\n")
    with pytest.raises(QuarantineTooLarge):
        shop.run(ORDERS, max_quarantine_share=0.05)
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n2,2020-01-01,5,a\n")
    shop.run(ORDERS, max_quarantine_share=0.05)
    assert ids(shop) == ["1", "2"]
    assert shop.quarantine() == []
