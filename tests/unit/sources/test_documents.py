"""Which version stands, and the rule of sign: what cancels, returns, voids and converts an order."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from source_fixture import Shop, source

DAY = dt.date(2020, 1, 1)
LATER = dt.date(2020, 2, 1)
ORDER_COLUMNS = (
    "order_id ordered_at amount customer_id status status_at returned_at refers_to currency updated_at source_system"
)
LINE_COLUMNS = (
    "order_id ordered_at product_id quantity unit_price customer_id status status_at returned_at currency updated_at"
    " discount unit_cost source_system refers_to"
)


def table(columns: str, *rows: dict[str, object]) -> str:
    """CSV of rows that name only what matters."""
    names = columns.split()
    standard = {"ordered_at": "2020-01-01", "amount": "10", "product_id": "p", "quantity": "1", "unit_price": "10"}
    lines = [",".join(names)]
    for row in rows:
        unknown = set(row) - set(names)
        assert not unknown, unknown
        lines.append(",".join(str((standard | row).get(name, "")) for name in names))
    return "\n".join(lines) + "\n"


def orders(shop: Shop, *rows: dict[str, object], **settings: Any) -> None:
    shop.write("orders.csv", table(ORDER_COLUMNS, *rows))
    shop.run(source("orders", ORDER_COLUMNS), **settings)


def lines(shop: Shop, *rows: dict[str, object], **settings: Any) -> None:
    shop.write("order_lines.csv", table(LINE_COLUMNS, *rows))
    shop.run(source("order_lines", LINE_COLUMNS), **settings)


def fates(shop: Shop) -> list[tuple[str, int, int, int]]:
    return shop.rows(
        "select file, rows_accepted, rows_duplicate, rows_superseded from clean.ingest_audit order by file"
    )


# --- which version stands


def test_the_newest_file_stands_by_name_and_equal_rows_are_duplicates(shop: Shop) -> None:
    shop.write("orders1.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 1}, {"order_id": "b"}))
    shop.write("orders2.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 2}, {"order_id": "b"}))
    shop.run(source("orders", ORDER_COLUMNS))
    assert shop.rows("select order_id, amount from clean.orders order by 1") == [("a", Decimal(2)), ("b", Decimal(10))]
    assert fates(shop) == [("orders1.csv", 0, 1, 1), ("orders2.csv", 2, 0, 0)]


def test_the_newest_updated_at_wins_over_the_file_and_the_last_line_within_one(shop: Shop) -> None:
    old, new = "2020-01-02", "2020-01-03"
    shop.write("orders1.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 1, "updated_at": new}))
    shop.write(
        "orders2.csv",
        table(ORDER_COLUMNS, {"order_id": "a", "amount": 2, "updated_at": old}, {"order_id": "b", "amount": 3},
              {"order_id": "b", "amount": 4}),
    )  # fmt: skip
    shop.run(source("orders", ORDER_COLUMNS))
    assert shop.rows("select order_id, amount from clean.orders order by 1") == [("a", Decimal(1)), ("b", Decimal(4))]


def test_the_date_in_a_file_s_name_decides_where_a_pattern_says_so(shop: Shop) -> None:
    shop.write("orders-31-01-2020.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 1}))
    shop.write("orders-01-02-2020.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 2}))
    pattern = {"effective_pattern": r"(\d\d-\d\d-\d{4})", "effective_format": "%d-%m-%Y"}
    shop.run(source("orders", ORDER_COLUMNS, **pattern))
    assert shop.column("select amount from clean.orders") == [Decimal(2)]
    shop.run(source("orders", ORDER_COLUMNS))
    assert shop.column("select amount from clean.orders") == [Decimal(1)]


def test_the_newest_landing_replaces_all_lines_of_an_order(shop: Shop) -> None:
    a = {"order_id": "a"}
    shop.write(
        "order_lines1.csv", table(LINE_COLUMNS, a | {"product_id": "p"}, a | {"product_id": "q"}, {"order_id": "b"})
    )
    shop.write("order_lines2.csv", table(LINE_COLUMNS, a | {"product_id": "q"}, a | {"product_id": "r", "quantity": 2}))
    shop.run(source("order_lines", LINE_COLUMNS))
    assert shop.rows("select order_id, amount from clean.orders order by 1") == [("a", Decimal(30)), ("b", Decimal(10))]
    assert fates(shop) == [("order_lines1.csv", 1, 1, 1), ("order_lines2.csv", 2, 0, 0)]


def test_lines_are_appended_where_a_source_delivers_an_order_in_pieces(shop: Shop) -> None:
    shop.write("order_lines1.csv", table(LINE_COLUMNS, {"order_id": "a"}, {"order_id": "a"}))
    shop.write("order_lines2.csv", table(LINE_COLUMNS, {"order_id": "a", "unit_price": 5}))
    shop.run(source("order_lines", LINE_COLUMNS, append_lines=True))
    assert shop.column("select amount from clean.orders") == [Decimal(25)]
    assert shop.column("select line from clean.order_lines order by 1") == [1, 2, 3]


def test_equal_lines_in_one_order_all_count(shop: Shop) -> None:
    lines(shop, {"order_id": "a"}, {"order_id": "a"}, {"order_id": "a"})
    assert shop.column("select amount from clean.orders") == [Decimal(30)]
    assert fates(shop) == [("order_lines.csv", 3, 0, 0)]


def test_a_line_that_names_another_customer_is_quarantined(shop: Shop) -> None:
    a = {"order_id": "a"}
    lines(shop, a, a | {"customer_id": "x"}, a | {"customer_id": "y"}, a | {"customer_id": "x"})
    assert shop.rows("select customer_id, amount from clean.orders") == [("x", Decimal(30))]
    assert shop.quarantine() == [(4, "conflicting_customer")]


def test_with_several_systems_the_published_id_is_system_and_id(shop: Shop) -> None:
    orders(shop, {"order_id": "1", "customer_id": "a", "source_system": "till"},
           {"order_id": "1", "customer_id": "a", "source_system": "web", "refers_to": "0"}, {"order_id": "2"})  # fmt: skip
    assert shop.rows("select order_id, customer_id, refers_to from clean.orders order by 1") == [
        ("default:2", None, None), ("till:1", "till:a", None), ("web:1", "web:a", "web:0")]  # fmt: skip
    orders(shop, {"order_id": "1", "customer_id": "a", "source_system": "till"})
    assert shop.rows("select order_id, customer_id, source_system from clean.orders") == [("1", "a", "till")]


def test_customers_keep_every_dated_version_and_the_newest_is_current(shop: Shop) -> None:
    shop.write("customers1.csv", "customer_id,city,updated_at\na,Ulm,2020-01-01\nb,Ulm,\n")
    shop.write("customers2.csv", "customer_id,city,updated_at\na,Bonn,2019-01-01\na,Köln,2020-01-01\nb,Bonn,\n")
    shop.run(source("customers", "customer_id city updated_at"))
    assert shop.rows("select customer_id, city, version_date, is_current from clean.customers order by all") == [
        ("a", "Bonn", dt.date(2019, 1, 1), False), ("a", "Köln", DAY, True), ("b", "Bonn", None, True)]  # fmt: skip


# --- orders of lines, and both


def test_an_order_given_by_itself_and_by_its_lines_is_counted_once_as_given(shop: Shop) -> None:
    shop.write("orders.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 9}))
    shop.write("order_lines.csv", table(LINE_COLUMNS, {"order_id": "a"}, {"order_id": "b"}))
    shop.run(source("orders", ORDER_COLUMNS), source("order_lines", LINE_COLUMNS))
    assert shop.rows("select order_id, amount from clean.orders order by 1") == [("a", Decimal(9)), ("b", Decimal(10))]
    assert shop.rows("select count(*) from clean.order_lines") == [(2,)]


def test_an_order_without_a_customer_is_accepted_as_anonymous(shop: Shop) -> None:
    orders(shop, {"order_id": "a"}, {"order_id": "b", "customer_id": " "})
    assert shop.rows("select customer_id, amount from clean.orders") == [(None, Decimal(10))] * 2


def test_a_line_s_amount_is_net_of_its_discount_and_an_order_s_rounded_half_even(shop: Shop) -> None:
    lines(
        shop,
        {"order_id": "a", "quantity": 3, "unit_price": "0.33335", "discount": "0.5"},
        {"order_id": "a", "unit_price": "0.00005"},
    )
    assert shop.rows("select amount, discount from clean.orders") == [(Decimal("0.5001"), Decimal("0.5"))]


def test_costs_come_from_the_line_else_from_the_product(shop: Shop) -> None:
    shop.write("products.csv", "product_id,unit_cost\np,4\nq,\n")
    shop.write("order_lines.csv", table(LINE_COLUMNS, {"order_id": "a", "quantity": 2}, {"order_id": "a", "unit_cost": 1},
                                        {"order_id": "b"}, {"order_id": "b", "product_id": "q"}))  # fmt: skip
    shop.run(source("products", "product_id unit_cost"), source("order_lines", LINE_COLUMNS))
    assert shop.rows("select order_id, cost from clean.orders order by 1") == [("a", Decimal(9)), ("b", None)]


def test_an_order_whose_lines_add_up_beyond_any_table_is_quarantined_as_a_whole(shop: Shop) -> None:
    lines(shop, *[{"order_id": "a", "unit_price": 900_000_000, "quantity": 1000}] * 12, {"order_id": "b"})
    assert shop.column("select order_id from clean.orders") == ["b"]
    assert [rule for _, rule in shop.quarantine()] == ["too_large"] * 12


# --- money of other currencies


def test_other_currencies_take_the_rate_of_the_order_s_day_whatever_their_case(shop: Shop) -> None:
    shop.write("exchange_rates.csv", "currency,rate_date,rate\nusd,2020-01-01,0.5\nUSD,2020-01-02,0.25\n")
    shop.write("orders.csv", table(
        ORDER_COLUMNS, {"order_id": "a", "currency": "USD"}, {"order_id": "b", "currency": "Usd", "ordered_at": "2020-01-02"},
        {"order_id": "c", "currency": "eur"}, {"order_id": "d"}, {"order_id": "e", "currency": "CHF"},
        {"order_id": "f", "currency": "USD", "ordered_at": "2020-01-03"}))  # fmt: skip
    shop.run(source("exchange_rates", "currency rate_date rate"), source("orders", ORDER_COLUMNS))
    assert shop.rows("select order_id, amount from clean.orders order by 1") == [
        ("a", Decimal(5)), ("b", Decimal("2.5")), ("c", Decimal(10)), ("d", Decimal(10))]  # fmt: skip
    assert shop.quarantine() == [(6, "missing_rate"), (7, "missing_rate")]


def test_a_rate_is_taken_on_the_project_s_day(shop: Shop) -> None:
    shop.write("exchange_rates.csv", "currency,rate_date,rate\nUSD,2020-01-02,0.5\n")
    shop.write(
        "order_lines.csv", table(LINE_COLUMNS, {"order_id": "a", "currency": "USD", "ordered_at": "2020-01-01T20:00Z"})
    )
    shop.run(
        source("exchange_rates", "currency rate_date rate"), source("order_lines", LINE_COLUMNS), timezone="Asia/Tokyo"
    )
    assert shop.rows("select amount, ordered_date from clean.orders") == [(Decimal(5), dt.date(2020, 1, 2))]


def test_a_rate_of_nought_or_less_is_refused(shop: Shop) -> None:
    shop.write("exchange_rates.csv", "currency,rate_date,rate\nUSD,2020-01-01,0\nCHF,2020-01-01,-1\n")
    shop.run(source("exchange_rates", "currency rate_date rate"))
    assert shop.quarantine() == [(2, "not_a_number"), (3, "not_a_number")]


# --- the rule of sign


def void_dates(shop: Shop) -> dict[str, dt.date | None]:
    return dict(shop.rows("select order_id, void_date from clean.orders"))


def allocations(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows(
        "select return_id, order_id, returned_date, amount, kind from clean.return_allocations order by all"
    )


def test_a_positive_order_that_is_pending_or_cancelled_is_void_from_its_day_or_status_at(shop: Shop) -> None:
    c = {"customer_id": "c"}
    orders(shop, c | {"order_id": "done"}, c | {"order_id": "pending", "status": "pending", "status_at": "2020-02-01"},
           c | {"order_id": "cancelled", "status": "cancelled"},
           c | {"order_id": "later", "status": "cancelled", "status_at": "2020-02-01"},
           c | {"order_id": "before", "status": "cancelled", "status_at": "2019-02-01"})  # fmt: skip
    assert void_dates(shop) == {"done": None, "pending": DAY, "cancelled": DAY, "later": LATER, "before": DAY}
    assert allocations(shop) == [("later", "later", LATER, Decimal(10), "void")]


def test_a_returned_order_falls_to_nought_from_returned_at(shop: Shop) -> None:
    c = {"customer_id": "c", "status": "returned"}
    orders(shop, c | {"order_id": "a"}, c | {"order_id": "b", "returned_at": "2020-02-01"})
    assert allocations(shop) == [("a", "a", DAY, Decimal(10), "return"), ("b", "b", LATER, Decimal(10), "return")]
    assert void_dates(shop) == {"a": None, "b": None}


def test_a_negative_amount_is_a_return_whatever_its_status(shop: Shop) -> None:
    c = {"customer_id": "c"}
    statuses = ("completed", "pending", "cancelled", "returned")
    returns = [c | {"order_id": f"r-{s}", "amount": -1, "status": s, "ordered_at": "2020-02-01"} for s in statuses]
    orders(shop, c | {"order_id": "a"}, *returns)
    assert [row[:4] for row in allocations(shop)] == [(f"r-{s}", "a", LATER, Decimal(1)) for s in sorted(statuses)]
    assert set(void_dates(shop).values()) == {None}
    assert shop.column("select count(*) from clean.orders where is_return") == [4]


def test_what_no_order_can_bear_is_unmatched_and_an_anonymous_return_is_not_listed(shop: Shop) -> None:
    orders(
        shop,
        {"order_id": "a", "customer_id": "c"},
        {"order_id": "r", "customer_id": "c", "amount": -25},
        {"order_id": "x", "amount": -5},
    )
    assert shop.rows("select order_id, line, customer_id, amount from clean.unmatched_returns") == [
        ("r", 0, "c", Decimal(15))
    ]


def test_some_lines_of_an_order_cancelled_at_once_are_never_in_it(shop: Shop) -> None:
    a = {"order_id": "a", "customer_id": "c"}
    lines(shop, a, a | {"status": "cancelled"}, a | {"status": "pending"})
    assert shop.rows("select amount, void_date from clean.orders") == [(Decimal(10), None)]
    assert allocations(shop) == []


def test_some_lines_cancelled_or_returned_later_are_taken_back_on_their_day(shop: Shop) -> None:
    a = {"order_id": "a", "customer_id": "c"}
    lines(shop, a, a | {"status": "cancelled", "status_at": "2020-02-01", "unit_price": 3},
          a | {"status": "returned", "returned_at": "2020-03-01", "unit_price": 4}, a | {"status": "returned", "unit_price": 5})  # fmt: skip
    assert shop.rows("select amount, void_date from clean.orders") == [(Decimal(22), None)]
    assert [row[2:4] for row in allocations(shop)] == [
        (DAY, Decimal(5)), (LATER, Decimal(3)), (dt.date(2020, 3, 1), Decimal(4))]  # fmt: skip


def test_an_order_of_lines_that_are_all_cancelled_or_returned_is_so_as_a_whole(shop: Shop) -> None:
    gone = {"status": "cancelled", "status_at": "2020-02-01", "customer_id": "c"}
    back = {"status": "returned", "returned_at": "2020-02-01", "customer_id": "c"}
    lines(shop, gone | {"order_id": "a"}, gone | {"order_id": "a"}, back | {"order_id": "b"}, back | {"order_id": "b"})
    assert void_dates(shop) == {"a": LATER, "b": None}
    assert allocations(shop) == [("a", "a", LATER, Decimal(20), "void"), ("b", "b", LATER, Decimal(20), "return")]


def test_credit_lines_of_a_return_document_go_against_the_order_with_that_product(shop: Shop) -> None:
    c = {"customer_id": "c"}
    lines(shop, c | {"order_id": "1"}, c | {"order_id": "2", "product_id": "q"},
          c | {"order_id": "3", "quantity": -1, "ordered_at": "2020-02-01"})  # fmt: skip
    assert allocations(shop) == [("3", "1", LATER, Decimal(10), "return")]


def test_every_return_is_allocated_or_unmatched_to_the_cent(shop: Shop) -> None:
    c = {"customer_id": "c"}
    lines(shop, c | {"order_id": "1", "unit_price": "3.33335"}, c | {"order_id": "1", "unit_price": "3.33335", "product_id": "q"},
          c | {"order_id": "2", "quantity": -1, "unit_price": "1.11115"}, c | {"order_id": "2", "quantity": -2, "unit_price": "9.00005", "product_id": "z"})  # fmt: skip
    returned = shop.rows("select -sum(amount) from clean.orders where is_return")[0][0]
    told = shop.rows("""select coalesce((select sum(amount) from clean.return_allocations), 0)
                        + coalesce((select sum(amount) from clean.unmatched_returns), 0)""")[0][0]
    assert told == returned


# --- what status says


def test_rows_without_the_date_of_their_cancellation_or_return_are_counted_as_approximate(shop: Shop) -> None:
    orders(shop, {"order_id": "a", "status": "cancelled"}, {"order_id": "b", "status": "cancelled", "status_at": "2020-01-02"},
           {"order_id": "c", "status": "returned"}, {"order_id": "d", "status": "returned", "amount": -1},
           {"order_id": "e", "status": "returned"}, {"order_id": "f", "status": "pending"}, {"order_id": "g"})  # fmt: skip
    assert shop.rows("select source, what, rows from clean.approximations order by all") == [
        ("orders", "cancelled without status_at", 1), ("orders", "returned without returned_at", 2)]  # fmt: skip
    lines(shop, {"order_id": "a", "status": "returned"}, {"order_id": "a"})
    assert shop.rows("select source, what, rows from clean.approximations") == [
        ("order_lines", "returned without returned_at", 1)
    ]


# --- an order's lines that fall at different times


def worth(shop: Shop, as_of: str) -> Decimal:
    """Net revenue of customers by the end of a day: sales less what was taken back and what nothing could bear."""
    return shop.column(f"""
        select coalesce((select sum(amount) from clean.orders where not is_return and customer_id is not null
                         and ordered_date <= '{as_of}' and (void_date is null or void_date > ordered_date)), 0)
             - coalesce((select sum(amount) from clean.return_allocations where returned_date <= '{as_of}'
                         and customer_id is not null), 0)
             - coalesce((select sum(amount) from clean.unmatched_returns where returned_date <= '{as_of}'), 0)
    """)[0]


def cancelled_on(day: str, price: int) -> dict[str, object]:
    return {"order_id": "a", "customer_id": "c", "unit_price": price, "status": "cancelled", "status_at": day}


def test_cancelling_the_last_line_of_an_order_leaves_its_past_as_it_was(shop: Shop) -> None:
    stands = {"order_id": "a", "customer_id": "c", "unit_price": 50}
    lines(shop, cancelled_on("2020-01-05", 100), stands)
    before = [worth(shop, day) for day in ("2020-01-04", "2020-01-10")]
    lines(shop, cancelled_on("2020-01-05", 100), cancelled_on("2020-01-20", 50))
    assert before == [worth(shop, day) for day in ("2020-01-04", "2020-01-10")] == [150, 50]
    assert worth(shop, "2020-01-20") == 0
    assert shop.rows("select amount, void_date from clean.orders") == [(Decimal(150), dt.date(2020, 1, 20))]


def test_a_line_cancelled_on_its_own_day_stays_away_when_the_others_are_cancelled_later(shop: Shop) -> None:
    lines(shop, cancelled_on("2020-01-01", 100), cancelled_on("2020-01-20", 50))
    assert [worth(shop, day) for day in ("2020-01-01", "2020-01-20")] == [50, 0]


def test_a_credit_of_a_later_day_under_the_same_number_is_a_return_on_its_own_day(shop: Shop) -> None:
    sold = {"order_id": "a", "customer_id": "c", "unit_price": 100}
    credit = sold | {"quantity": -1, "unit_price": 40, "ordered_at": "2020-03-10"}
    lines(shop, sold, credit)
    assert [worth(shop, day) for day in ("2020-01-01", "2020-03-09", "2020-03-10")] == [100, 100, 60]
    assert shop.rows("select order_id, amount, refers_to from clean.orders order by 1") == [
        ("a", Decimal(100), None), ("a@2020-03-10", Decimal(-40), "a"),
    ]  # fmt: skip


def test_a_line_of_a_later_day_under_the_same_number_is_a_sale_of_that_day(shop: Shop) -> None:
    sold = {"order_id": "a", "customer_id": "c", "unit_price": 100}
    lines(shop, sold, sold | {"ordered_at": "2020-02-01"})
    assert [worth(shop, day) for day in ("2020-01-31", "2020-02-01")] == [100, 200]


def test_a_credit_stands_when_the_lines_beside_it_are_void_or_came_back(shop: Shop) -> None:
    credit = {"order_id": "a", "customer_id": "c", "quantity": -1, "unit_price": 30}
    lines(shop, cancelled_on("2020-01-01", 100), credit)
    assert worth(shop, "2020-12-31") == -30
    lines(shop, cancelled_on("2020-01-05", 100), credit)
    assert [worth(shop, day) for day in ("2020-01-04", "2020-01-05")] == [70, -30]
    lines(shop, {"order_id": "a", "customer_id": "c", "unit_price": 100, "status": "returned",
                 "returned_at": "2020-01-09"}, credit)  # fmt: skip
    assert [worth(shop, day) for day in ("2020-01-08", "2020-01-09")] == [70, -30]


def test_a_pending_order_of_nothing_is_void(shop: Shop) -> None:
    lines(shop, {"order_id": "a", "customer_id": "c", "unit_price": 0, "status": "pending"})
    assert shop.column("select void_date from clean.orders") == [DAY]


def test_a_return_that_names_its_order_but_no_customer_is_that_customer_s(shop: Shop) -> None:
    orders(shop, {"order_id": "a", "customer_id": "c", "amount": 100},
           {"order_id": "r", "amount": -40, "refers_to": "a", "ordered_at": "2020-01-09"})  # fmt: skip
    assert worth(shop, "2020-01-09") == 60


def test_a_line_costs_what_its_product_cost_on_the_order_s_day(shop: Shop) -> None:
    columns = "product_id unit_cost updated_at"
    shop.write("products.csv", "product_id,unit_cost,updated_at\np,10,2019-01-01\np,50,2020-08-01\n")
    shop.write("order_lines.csv", table(LINE_COLUMNS, {"order_id": "a"}, {"order_id": "b", "ordered_at": "2020-09-01"},
                                        {"order_id": "c", "ordered_at": "2018-01-01"}))  # fmt: skip
    shop.run(source("order_lines", LINE_COLUMNS), source("products", columns))
    costs = [("a", Decimal(10)), ("b", Decimal(50)), ("c", Decimal(10))]
    assert shop.rows("select order_id, cost from clean.orders order by 1") == costs


def test_what_is_given_away_or_void_needs_no_cost(shop: Shop) -> None:
    sold = {"order_id": "a", "customer_id": "c", "unit_price": 100, "unit_cost": 60}
    lines(shop, sold, {"order_id": "a", "unit_price": 0}, {"order_id": "a", "status": "pending"})
    assert shop.rows("select amount, cost from clean.orders") == [(Decimal(100), Decimal(60))]


def test_a_rate_keeps_the_digits_of_a_small_currency(shop: Shop) -> None:
    shop.write("exchange_rates.csv", "currency,rate_date,rate\nVND,2020-01-01,0.0000392857\n")
    shop.write("orders.csv", table(ORDER_COLUMNS, {"order_id": "a", "amount": 1_000_000_000, "currency": "VND"}))
    shop.run(source("orders", ORDER_COLUMNS), source("exchange_rates", "currency rate_date rate"))
    assert shop.column("select amount from clean.orders") == [Decimal("39285.7")]


def test_a_small_part_without_cost_does_not_lose_the_cost_of_the_rest(shop: Shop) -> None:
    goods = {"order_id": "a", "customer_id": "c", "unit_price": 100, "unit_cost": 60}
    lines(shop, goods, {"order_id": "a", "unit_price": 5}, margin_rate=0.4)
    assert shop.rows("select amount, cost from clean.orders") == [(Decimal(105), Decimal(63))]
    lines(shop, goods, {"order_id": "a", "unit_price": 50}, margin_rate=0.4)
    assert shop.rows("select amount, cost from clean.orders") == [(Decimal(150), None)]
