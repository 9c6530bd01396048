"""Which order bears which return: the rules one by one, then the laws on random histories against a naive restatement."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain.returns import ORDER_PRODUCTS, ORDERS, RETURNS, allocate_returns

DAY_ONE = dt.date(2024, 1, 1)


def day(number: int | None) -> dt.date | None:
    return None if number is None else DAY_ONE + dt.timedelta(days=number - 1)


def order(order_id, on, amount, *, customer="anna", hour=12, void=None, returned=None):
    at = dt.datetime.combine(day(on), dt.time(hour))
    return dict(
        zip(ORDERS.names, (order_id, customer, day(on), at, Decimal(amount), day(void), day(returned)), strict=True)
    )


def give_back(return_id, on, amount, *, customer="anna", line=0, refers_to=None, product=None):
    at = dt.datetime.combine(day(on), dt.time(12))
    values = (return_id, line, customer, at, day(on), Decimal(amount), refers_to, product)
    return dict(zip(RETURNS.names, values, strict=True))


def holding(order_id, product, amount):
    return {"order_id": order_id, "product_id": product, "amount": Decimal(amount)}


def run(orders, returns, products=()):
    tables = ((orders, ORDERS), (returns, RETURNS), (products, ORDER_PRODUCTS))
    allocations, unmatched = allocate_returns(
        *(pa.Table.from_pylist(list(rows), schema=schema) for rows, schema in tables)
    )
    return allocations.to_pylist(), unmatched.to_pylist()


def borne(allocations):
    return [(row["return_id"], row["order_id"], row["amount"]) for row in allocations]


def test_a_return_goes_to_the_newest_earlier_order_and_splits_backwards():
    allocations, unmatched = run([order("a", 1, 10), order("b", 2, 5), order("c", 9, 99)], [give_back("r", 5, 8)])
    assert borne(allocations) == [("r", "a", 3), ("r", "b", 5)]
    assert not unmatched


def test_an_order_of_the_same_day_counts_as_earlier_whatever_its_id_and_hour():
    allocations, _ = run([order("a", 1, 10), order("z", 5, 10, hour=23)], [give_back("r", 5, 4)])
    assert borne(allocations) == [("r", "z", 4)]


def test_the_later_hour_and_then_the_larger_id_is_the_newer_order_of_a_day():
    orders = [order("z", 5, 10, hour=8), order("a", 5, 10, hour=9), order("b", 5, 10, hour=9)]
    allocations, _ = run(orders, [give_back("r", 6, 25)])
    assert borne(allocations) == [("r", "a", 10), ("r", "b", 10), ("r", "z", 5)]


def test_a_return_goes_first_to_the_order_that_it_refers_to():
    allocations, _ = run([order("a", 1, 10), order("b", 2, 10)], [give_back("r", 5, 12, refers_to="a")])
    assert borne(allocations) == [("r", "a", 10), ("r", "b", 2)]


@pytest.mark.parametrize("refers_to", ["unknown", "bobs", "later"])
def test_a_reference_that_cannot_bear_falls_back_to_the_newest_earlier_order(refers_to):
    orders = [order("a", 1, 10), order("bobs", 1, 10, customer="bob"), order("later", 9, 10)]
    allocations, _ = run(orders, [give_back("r", 5, 4, refers_to=refers_to)])
    assert borne(allocations) == [("r", "a", 4)]


def test_the_same_product_comes_first_up_to_its_value_in_that_order():
    products = [holding("a", "tea", 6), holding("a", "cup", 4), holding("b", "cup", 10)]
    allocations, _ = run([order("a", 1, 10), order("b", 2, 10)], [give_back("r", 5, 8, product="tea")], products)
    assert borne(allocations) == [("r", "a", 6), ("r", "b", 2)]


def test_a_product_taken_back_once_is_not_there_a_second_time():
    products = [holding("a", "tea", 6), holding("b", "cup", 10)]
    returns = [give_back("r", 5, 6, product="tea"), give_back("s", 6, 6, product="tea")]
    allocations, _ = run([order("a", 1, 10), order("b", 2, 10)], returns, products)
    assert borne(allocations) == [("r", "a", 6), ("s", "b", 6)]


def test_one_return_has_one_row_per_order_even_where_product_and_value_both_fall_on_it():
    allocations, _ = run([order("a", 1, 10)], [give_back("r", 5, 9, product="tea")], [holding("a", "tea", 6)])
    assert borne(allocations) == [("r", "a", 9)]


def test_what_nothing_can_bear_is_unmatched_with_its_document_line_and_moment():
    allocations, unmatched = run([order("a", 1, 10)], [give_back("r", 5, "12.3456", line=3)])
    assert borne(allocations) == [("r", "a", 10)]
    assert unmatched == [
        {"order_id": "r", "line": 3, "customer_id": "anna", "returned_at": dt.datetime(2024, 1, 5, 12),
         "returned_date": day(5), "amount": Decimal("2.3456")}
    ]  # fmt: skip


def test_a_return_before_the_first_order_is_unmatched():
    allocations, unmatched = run([order("a", 5, 10)], [give_back("r", 4, 10)])
    assert not allocations
    assert unmatched[0]["amount"] == 10


def test_a_returned_order_falls_to_zero_by_what_is_left_of_it():
    allocations, _ = run([order("a", 1, 10, returned=7)], [give_back("r", 5, 4), give_back("s", 9, 4)])
    assert borne(allocations) == [("r", "a", 4), ("a", "a", 6)]
    assert {row["kind"] for row in allocations} == {"return"}


def test_an_order_returned_before_it_was_made_came_back_on_its_own_day():
    allocations, _ = run([order("a", 5, 10, returned=2)], [])
    assert [(row["returned_date"], row["return_line"]) for row in allocations] == [(day(5), 0)]


def test_a_later_cancellation_takes_what_is_left_and_the_order_bears_nothing_after():
    orders = [order("a", 1, 10, void=6), order("b", 1, 3, hour=8)]
    allocations, unmatched = run(orders, [give_back("r", 5, 4), give_back("s", 7, 5)])
    assert [(*row, kind["kind"]) for row, kind in zip(borne(allocations), allocations, strict=True)] == [
        ("r", "a", 4, "return"), ("a", "a", 6, "void"), ("s", "b", 3, "return"),
    ]  # fmt: skip
    assert unmatched[0]["amount"] == 2


def test_an_order_void_from_its_own_day_bears_nothing():
    allocations, unmatched = run([order("a", 1, 10, void=1)], [give_back("r", 5, 4, refers_to="a")])
    assert not allocations
    assert unmatched[0]["amount"] == 4


def test_an_anonymous_return_has_only_the_order_that_it_refers_to():
    orders = [order("a", 1, 10, customer=None), order("b", 2, 10, customer=None)]
    returns = [give_back("r", 5, 12, customer=None, refers_to="a"), give_back("s", 5, 2, customer=None)]
    allocations, unmatched = run(orders, returns)
    assert borne(allocations) == [("r", "a", 10)]
    assert not unmatched


def test_empty_tables_give_empty_tables():
    assert run([], []) == ([], [])


@pytest.mark.parametrize("sales, back", [([order("a", 1, -1)], []), ([], [give_back("r", 1, 0)])])
def test_wrong_signs_are_refused(sales, back):
    with pytest.raises(ValueError, match="amount"):
        run(sales, back)


# -- laws on random histories ---------------------------------------------------------------------------------------------

days = st.integers(1, 12)
money = st.integers(0, 400).map(lambda cents: Decimal(cents) / 16)
customers = st.sampled_from(["anna", "bob", None])
some_day = st.none() | days


@st.composite
def histories(draw):
    orders = [
        order(f"o{i}", draw(days), draw(money), customer=draw(customers), hour=draw(st.integers(8, 9)),
              void=draw(some_day) if draw(st.booleans()) else None, returned=draw(some_day) if draw(st.booleans()) else None)
        for i in range(draw(st.integers(0, 8)))
    ]  # fmt: skip
    references = st.none() | st.sampled_from([*(row["order_id"] for row in orders), "unknown"])
    returns = [
        give_back(f"{draw(st.sampled_from('np'))}{i}", draw(days), draw(money) + Decimal("0.0625"),
                  customer=draw(customers), refers_to=draw(references), product=draw(st.sampled_from([None, "tea", "cup"])))
        for i in range(draw(st.integers(0, 8)))
    ]  # fmt: skip
    products = [
        holding(row["order_id"], draw(st.sampled_from(["tea", "cup"])), draw(money))
        for row in orders
        for _ in range(draw(st.integers(0, 2)))
    ]
    return orders, returns, products


def naive(orders, returns, products):
    """The paragraph of metrics.md, told with a scan of every order at every event."""
    left = {row["order_id"]: row["amount"] for row in orders}
    held = {}
    for row in products:
        key = row["order_id"], row["product_id"]
        held[key] = held.get(key, 0) + row["amount"]
    events = [(row["returned_date"], row["return_id"], row["line"], "document", row) for row in returns]
    for row in orders:
        if row["returned_date"]:
            events.append((max(row["returned_date"], row["ordered_date"]), row["order_id"], 0, "returned", row))
        if row["void_date"] and row["void_date"] > row["ordered_date"]:
            events.append((row["void_date"], row["order_id"], 0, "void", row))
    found, lost = {}, {}
    for date, event_id, _, kind, event in sorted(events, key=lambda event: event[:4]):
        standing = [
            row for row in orders
            if row["ordered_date"] <= date and row["customer_id"] == event["customer_id"]
            and not (row["void_date"] and row["void_date"] <= row["ordered_date"])
        ]  # fmt: skip
        standing.sort(key=lambda row: (row["ordered_date"], row["ordered_at"], row["order_id"]), reverse=True)
        ids = [row["order_id"] for row in standing]
        if kind != "document":
            if event_id in ids and left[event_id]:
                found[event_id, event_id] = (left[event_id], "void" if kind == "void" else "return", date)
                left[event_id] = Decimal(0)
            continue
        wanted, product = event["amount"], event["product_id"]
        steps = [(order_id, False) for order_id in ids if order_id == event["refers_to"]]
        if event["customer_id"] is not None:
            steps += [(order_id, True) for order_id in ids] + [(order_id, False) for order_id in ids]
        for order_id, by_product in steps:
            room = min(left[order_id], held.get((order_id, product), 0)) if by_product else left[order_id]
            part = min(wanted, room)
            if part:
                wanted -= part
                left[order_id] -= part
                if (order_id, product) in held:
                    held[order_id, product] = max(0, held[order_id, product] - part)
                before = found.get((event_id, order_id), (0,))[0]
                found[event_id, order_id] = (before + part, "return", date)
        if wanted and event["customer_id"] is not None:
            lost[event_id] = wanted
    return found, lost


def as_found(allocations, unmatched):
    found = {
        (row["return_id"], row["order_id"]): (row["amount"], row["kind"], row["returned_date"]) for row in allocations
    }
    assert len(found) == len(allocations)
    return found, {row["order_id"]: row["amount"] for row in unmatched}


@given(histories())
@settings(max_examples=400, deadline=None)
def test_it_agrees_with_a_naive_restatement_of_the_rule(history):
    assert as_found(*run(*history)) == naive(*history)


@given(histories(), days)
@settings(max_examples=200, deadline=None)
def test_adding_later_rows_changes_no_earlier_allocation(history, cut):
    orders, returns, products = history
    until = day(cut)
    known = [
        row | {name: row[name] if row[name] and row[name] <= until else None for name in ("void_date", "returned_date")}
        for row in orders
        if row["ordered_date"] <= until
    ]
    then = run(known, [row for row in returns if row["returned_date"] <= until], products)
    now = tuple([row for row in rows if row["returned_date"] <= until] for rows in run(*history))
    assert then == now


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_rows_changes_nothing(history, random):
    shuffled = [random.sample(rows, len(rows)) for rows in history]
    assert run(*shuffled) == run(*history)


@given(histories())
@settings(max_examples=100, deadline=None)
def test_customers_apart_give_what_customers_together_give(history):
    orders, returns, products = history
    together = as_found(*run(*history))
    apart = ({}, {})
    for customer in ("anna", "bob", None):
        mine = ([row for row in rows if row["customer_id"] == customer] for rows in (orders, returns))
        for all_found, found in zip(apart, as_found(*run(*mine, products)), strict=True):
            all_found.update(found)
    assert apart == together


@given(histories())
@settings(max_examples=200, deadline=None)
def test_money_is_conserved_and_no_order_falls_below_zero(history):
    orders, returns, _ = history
    allocations, unmatched = run(*history)
    for row in orders:
        assert sum(part["amount"] for part in allocations if part["order_id"] == row["order_id"]) <= row["amount"]
    for row in returns:
        if row["customer_id"] is not None:
            parts = [part["amount"] for part in allocations if part["return_id"] == row["return_id"]]
            rest = [part["amount"] for part in unmatched if part["order_id"] == row["return_id"]]
            assert sum(parts) + sum(rest) == row["amount"]


def test_products_are_matched_on_a_base_whose_customers_times_products_pass_32_bits():
    n = 48_000
    names = [f"c{i:05}" for i in range(n)]
    money, midday = pa.array([Decimal("10.0000")] * n, pa.decimal128(18, 4)), dt.time(12)
    first, second, last = (pa.repeat(pa.scalar(day(on), pa.date32()), n) for on in (1, 2, 3))
    at = [pa.repeat(pa.scalar(dt.datetime.combine(day(on), midday), pa.timestamp("us")), n) for on in (1, 2, 3)]
    nothing = {kind: pa.nulls(n, kind) for kind in (pa.date32(), pa.string())}
    none = [nothing[pa.date32()], nothing[pa.date32()]]
    early = pa.table([[f"{c}-1" for c in names], names, first, at[0], money, *none], schema=ORDERS)
    late = pa.table([[f"{c}-2" for c in names], names, second, at[1], money, *none], schema=ORDERS)
    lines = pa.array(np.zeros(n, np.int32))
    back = pa.table([names, lines, names, at[2], last, money, nothing[pa.string()], names], schema=RETURNS)
    # Each customer returns its own product, which only its earlier order holds.
    held = pa.table([early["order_id"], names, money], schema=ORDER_PRODUCTS)
    allocations, unmatched = allocate_returns(pa.concat_tables([early, late]), back, held)
    assert set(allocations["order_id"].to_pylist()) == set(early["order_id"].to_pylist())
    assert unmatched.num_rows == 0
