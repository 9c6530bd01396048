"""Casts: what is a number, an instant, a word or a flag, and what is refused rather than guessed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from source_fixture import Shop, source

AMOUNTS = source("orders", "order_id ordered_at amount")
LINES = source("order_lines", "order_id ordered_at product_id quantity unit_price")


def amounts(shop: Shop, *texts: str) -> None:
    quoted = (text.replace('"', '""') for text in texts)
    shop.write(
        "orders.csv", "order_id,ordered_at,amount\n" + "".join(f'{i},2020-01-01,"{t}"\n' for i, t in enumerate(quoted))
    )
    shop.run(AMOUNTS)


REFUSED = (
    "1.234,56", "1,234.56", "(12.00)", "1e309", "-1e309", "NaN", "inf", "-Infinity", "1_000", "12abc", "１２", "٣", "0x1F",
    "1 000", "$5", "5%", "--5", "1e", ".", "100000000000000", "true",
)  # fmt: skip


def test_what_is_no_plain_finite_number_is_refused_and_shown(shop: Shop) -> None:
    amounts(shop, *REFUSED)
    assert shop.rows("select count(*) from clean.orders") == [(0,)]
    found = shop.rows("select rule, detail from clean.quarantine order by line")
    assert [rule for rule, _ in found] == ["not_a_number"] * len(REFUSED)
    assert [detail for _, detail in found] == [f"amount: {t} is not a number such as 1234.56" for t in REFUSED]


def test_plain_numbers_are_read_exactly(shop: Shop) -> None:
    texts = ("5", "+5", "-5.10", ".5", "5.", " 7 ", "1e3", "007", "99999999999.9999", "0.1")
    amounts(shop, *texts)
    expected = ("5", "5", "-5.10", "0.5", "5", "7", "1000", "7", "99999999999.9999", "0.1")
    assert shop.column("select amount from clean.orders order by line") == [Decimal(x) for x in expected]


def test_an_empty_required_value_is_missing_and_not_a_wrong_number(shop: Shop) -> None:
    amounts(shop, "", "  ")
    assert shop.rows("select line, rule, detail from clean.quarantine order by line") == [
        (2, "missing", "amount is empty"), (3, "missing", "amount is empty")]  # fmt: skip


def test_amounts_are_rounded_half_even_at_the_fourth_decimal(shop: Shop) -> None:
    amounts(shop, "1.00005", "1.00015", "-1.00005", "99999999999.00005", "2.00005000001")
    assert shop.column("select amount from clean.orders order by line") == [
        Decimal(x) for x in ("1.0000", "1.0002", "-1.0000", "99999999999.0000", "2.0001")
    ]


def test_lines_keep_their_digits_and_are_rounded_at_the_order_s_total_only(shop: Shop) -> None:
    shop.write(
        "order_lines.csv",
        "order_id,ordered_at,product_id,quantity,unit_price\n"
        "a,2020-01-01,p,1,0.00003\na,2020-01-01,q,1,0.00003\nb,2020-01-01,p,0.5,0.0001\nc,2020-01-01,p,1.5,0.0001\n",
    )
    shop.run(LINES)
    assert shop.rows("select order_id, amount from clean.orders order by all") == [
        ("a", Decimal("0.0001")), ("b", Decimal("0.0000")), ("c", Decimal("0.0002"))]  # fmt: skip
    assert shop.column("select amount from clean.order_lines order by order_id, line")[0] == Decimal("0.00003")


def test_prices_in_millions_are_no_overflow_and_a_slip_of_the_point_is_refused(shop: Shop) -> None:
    shop.write(
        "order_lines.csv",
        "order_id,ordered_at,product_id,quantity,unit_price\n"
        "a,2020-01-01,p,3,25990000\nb,2020-01-01,p,999999999999,9999999999\nc,2020-01-01,p,1,999999999\n",
    )
    shop.run(LINES)
    assert shop.rows("select order_id, amount from clean.orders order by all") == [
        ("a", Decimal(77970000)), ("c", Decimal(999999999))]  # fmt: skip
    assert shop.quarantine() == [(3, "too_large")]


def test_ids_are_text_as_it_stands(shop: Shop) -> None:
    ids = [
        "007",
        "7",
        "7.0",
        "😀",
        "it's",
        'say "x"',
        "a;b",
        "'; drop table clean.orders; --",
        "行-1",
        "NA",
        "null",
        "1e5",
    ]
    body = "".join(
        f'"{i.replace(chr(34), chr(34) * 2)}",2020-01-01,5,"{i.replace(chr(34), chr(34) * 2)}"\n' for i in ids
    )
    shop.write("orders.csv", "order_id,ordered_at,amount,customer_id\n" + body)
    shop.run(source("orders", "order_id ordered_at amount customer_id"))
    assert shop.rows("select order_id, customer_id from clean.orders order by line") == [(i, i) for i in ids]


def instants(shop: Shop, texts: list[str], zone: str = "UTC", **more: object) -> dict[str, dt.datetime]:
    """Text -> UTC instant of those accepted."""
    body = "".join(f'{i},"{t}",1\n' for i, t in enumerate(texts))
    shop.write("orders.csv", "order_id,ordered_at,amount\n" + body)
    shop.run(source("orders", "order_id ordered_at amount", **more), timezone=zone)
    return {texts[int(i)]: at for i, at in shop.rows("select order_id, ordered_at from clean.orders order by line")}


def test_instants_are_iso_8601_and_nothing_guesses_day_and_month(shop: Shop) -> None:
    good = {
        "2020-01-02": dt.datetime(2020, 1, 2),
        "2020-01-02 03:04": dt.datetime(2020, 1, 2, 3, 4),
        "2020-01-02T03:04:05Z": dt.datetime(2020, 1, 2, 3, 4, 5),
        "2020-01-02T03:04:05.678": dt.datetime(2020, 1, 2, 3, 4, 5, 678000),
        "2020-01-02 03:04:05,5": dt.datetime(2020, 1, 2, 3, 4, 5, 500000),
        "2020-01-02T03:04:05+02:00": dt.datetime(2020, 1, 2, 1, 4, 5),
        "2020-01-02T03:04:05-0530": dt.datetime(2020, 1, 2, 8, 34, 5),
        "2020-01-02 03:04:05+02": dt.datetime(2020, 1, 2, 1, 4, 5),
    }
    bad = [
        "02/01/2020",
        "2020-1-2",
        "2020-02-30",
        "20200102",
        "2020-01-02 25:00",
        "tomorrow",
        "1577923200",
        "2020-13-01",
    ]
    assert instants(shop, [*good, *bad]) == good
    assert [rule for _, rule in shop.quarantine()] == ["not_a_date"] * len(bad)


def test_days_before_the_earliest_and_after_now_are_refused_as_such(shop: Shop) -> None:
    assert list(instants(shop, ["1900-01-01", "2999-12-31", "1970-01-01", "2026-06-02"])) == [
        "1970-01-01",
        "2026-06-02",
    ]
    assert shop.quarantine() == [(2, "too_early"), (3, "in_future")]


def test_a_bare_instant_is_in_the_project_s_zone_or_the_source_s_own(shop: Shop) -> None:
    assert instants(shop, ["2020-07-01 12:00"], "America/New_York") == {"2020-07-01 12:00": dt.datetime(2020, 7, 1, 16)}
    assert instants(shop, ["2020-07-01 12:00"], "America/New_York", timezone="Asia/Tokyo") == {
        "2020-07-01 12:00": dt.datetime(2020, 7, 1, 3)
    }
    assert instants(shop, ["2020-07-01 23:30Z"], "Asia/Tokyo") == {"2020-07-01 23:30Z": dt.datetime(2020, 7, 1, 23, 30)}
    assert shop.column("select ordered_date from clean.orders") == [dt.date(2020, 7, 2)]


@pytest.mark.parametrize(
    ("zone", "ambiguous", "first", "skipped"),
    [
        ("America/New_York", "2020-11-01 01:30", dt.datetime(2020, 11, 1, 5, 30), "2020-03-08 02:30"),
        ("Europe/Berlin", "2020-10-25 02:30", dt.datetime(2020, 10, 25, 0, 30), "2020-03-29 02:30"),
        ("Australia/Lord_Howe", "2020-04-05 01:45", dt.datetime(2020, 4, 4, 14, 45), "2020-10-04 02:15"),
    ],
)
def test_an_ambiguous_hour_is_the_first_and_a_skipped_one_is_refused(
    shop: Shop, zone: str, ambiguous: str, first: dt.datetime, skipped: str
) -> None:
    assert instants(shop, [ambiguous, skipped], zone) == {ambiguous: first}
    assert shop.quarantine() == [(3, "hour_skipped")]


def test_an_unambiguous_hour_beside_the_change_is_read_as_it_is(shop: Shop) -> None:
    texts = ["2020-11-01 00:30", "2020-11-01 02:30", "2020-03-08 01:59", "2020-03-08 03:00"]
    assert list(instants(shop, texts, "America/New_York").values()) == [
        dt.datetime(2020, 11, 1, 4, 30), dt.datetime(2020, 11, 1, 7, 30),
        dt.datetime(2020, 3, 8, 6, 59), dt.datetime(2020, 3, 8, 7, 0)]  # fmt: skip


CUSTOMERS = source(
    "customers", "customer_id customer_type birth_date employees annual_revenue marketing_consent created_at flag"
)


def test_words_flags_dates_and_counts_are_refused_where_they_say_something_else(shop: Shop) -> None:
    shop.write(
        "customers.csv",
        "customer_id,customer_type,birth_date,employees,annual_revenue,marketing_consent,created_at,flag\n"
        "a,Company,1980-02-29,12,1e6,Yes,2020-01-01,TEST\n"
        "b,firm,,,,,,\nc,,1981-02-29,,,,,\nd,,,12.5,,,,\ne,,,,,maybe,,\nf,,,,x,,,\ng,,,,,,2999-01-01,\nh,,,,,,,friend\n"
        "i,,,,,,,\n",
    )
    shop.run(CUSTOMERS)
    assert shop.quarantine() == [
        (3, "unknown_word"), (4, "not_a_date"), (5, "not_a_number"), (6, "not_a_flag"), (7, "not_a_number"),
        (8, "in_future"), (9, "unknown_word"),
    ]  # fmt: skip
    columns = "customer_id, customer_type, birth_date, employees, annual_revenue, marketing_consent, flag"
    assert shop.rows(f"select {columns} from clean.customers order by 1") == [
        ("a", "company", dt.date(1980, 2, 29), 12, Decimal(1000000), True, "test"),
        ("i", None, None, None, None, None, None),
    ]


def test_unknown_words_name_the_known_ones(shop: Shop) -> None:
    shop.write("orders.csv", "order_id,ordered_at,amount,status\n1,2020-01-01,5,shipped\n")
    shop.run(source("orders", "order_id ordered_at amount status"))
    assert shop.column("select detail from clean.quarantine") == [
        "status: shipped is none of completed, pending, cancelled, returned; map it under `values:`"
    ]
