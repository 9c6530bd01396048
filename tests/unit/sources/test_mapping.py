"""Mapping: names are data, an expression sees one row and can't stop the file, and a look-up is unique or says so."""

from __future__ import annotations

from decimal import Decimal

import pytest
from source_fixture import Shop, source

from cvm_pipeline.sources.errors import MappingRefused, SourceErrors
from cvm_pipeline.sources.formats import Reading
from cvm_pipeline.sources.spec import JoinSpec, SourceSpec

HEAD = "order_id,ordered_at,amount,customer_id\n"
PLAIN = {"order_id": "order_id", "ordered_at": "ordered_at", "amount": "amount"}


def one(shop: Shop, text: str, columns: dict[str, str], **more: object) -> None:
    shop.write("orders.csv", text)
    shop.run(source("orders", columns, **more))


def test_a_value_that_is_a_column_s_name_means_that_column_whatever_it_holds(shop: Shop) -> None:
    one(
        shop,
        '行 ID,select,"a ""b"", 1 + 1;",Group\n1,2020-01-01,5,x\n',
        {"order_id": "行 ID", "ordered_at": "select", "amount": 'a "b", 1 + 1;', "channel": "Group"},
    )
    assert shop.rows("select order_id, amount, channel from clean.orders") == [("1", Decimal(5), "x")]


@pytest.mark.parametrize(
    "name",
    ["filename", "path", "_rank", "_hash", "_landed_path", "l", "f", "_q", "_bad", "v", "rowid", "order", "1", "'x'", "c.d",
     "_cvm_x", "v := 1", "null", "*"],
)  # fmt: skip
def test_a_column_may_be_called_anything(shop: Shop, name: str) -> None:
    shop.write("orders.csv", f"order_id,ordered_at,amount,{name}\n1,2020-01-01,5,7\n2,2020-01-01,5,x\n")
    shop.run(source("orders", {**PLAIN, "channel": name}))
    assert shop.column("select channel from clean.orders order by order_id") == ["7", "x"]
    shop.run(source("orders", {**PLAIN, "channel": name}, types={name: "integer"}))
    assert shop.column("select channel from clean.orders") == ["7"]
    assert shop.quarantine() == [(3, "type")]


def test_names_of_columns_know_no_case(shop: Shop) -> None:
    one(shop, "Order_ID,ORDERED_AT,Amount\n1,2020-01-01,5\n", {**PLAIN, "channel": "upper(order_id || 'x')"})
    assert shop.rows("select order_id, channel from clean.orders") == [("1", "1X")]


def test_the_file_s_own_columns_of_our_names_are_kept_under_another(shop: Shop) -> None:
    one(shop, "_line,_file,ordered_at,amount\n9,mine,2020-01-01,5\n", {
        "ordered_at": "ordered_at", "amount": "amount", "order_id": "_file || ':' || _line", "channel": "_file_2 || _line_2"})  # fmt: skip
    assert shop.rows("select order_id, channel from clean.orders") == [("orders.csv:2", "mine9")]


def test_an_order_without_an_id_is_known_by_its_file_and_line(shop: Shop) -> None:
    one(shop, "ordered_at,amount\n2020-01-01,5\n\n2020-01-01,5\n", {"ordered_at": "ordered_at", "amount": "amount"})
    assert shop.column("select order_id from clean.orders order by 1") == ["orders.csv:2", "orders.csv:4"]


def test_an_expression_that_fails_refuses_its_own_row_only(shop: Shop) -> None:
    one(shop, HEAD + "1,01/02/2020,10,a\n2,2020-13-45,10,a\n3,03/02/2020,zero,a\n4,04/02/2020,0,a\n", {
        "order_id": "order_id", "ordered_at": "strptime(ordered_at, '%d/%m/%Y')",
        "amount": "cast(10 / cast(amount as integer) as varchar)"})  # fmt: skip
    assert shop.column("select order_id from clean.orders") == ["1"]
    assert shop.quarantine()[:2] == [(3, "expression_error"), (4, "expression_error")]
    assert len(shop.quarantine()) == 3


def test_strptime_takes_several_forms(shop: Shop) -> None:
    one(shop, HEAD + "1,31/12/2019 08:15,1,a\n2,2019-12-30,1,a\n", {
        **PLAIN, "ordered_at": "strptime(ordered_at, ['%d/%m/%Y %H:%M', '%Y-%m-%d'])"})  # fmt: skip
    assert [str(at) for at in shop.column("select ordered_at from clean.orders order by 1")] == [
        "2019-12-30 00:00:00", "2019-12-31 08:15:00"]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("(select 1)", "a subquery"),
        ("row_number() over ()", "a window function"),
        ("amount; drop table clean.orders", "no SQL expression"),
        ("amount from read_csv('/etc/passwd')", "no SQL expression"),
        ("1) as x, (2", "one expression|no SQL expression"),
        ("random()", "another value at each run"),
        ("now()", "another value at each run"),
        ("current_date", "has no column 'current_date'"),
        ("sum(cast(amount as double))", "can't be read|aggregate"),
        ("no_such_function(amount)", "can't be read"),
        ("amount +", "no SQL expression"),
        ("'unclosed", "no SQL expression"),
    ],
)
def test_what_is_not_one_expression_over_one_row_is_refused(shop: Shop, expression: str, why: str) -> None:
    with pytest.raises(MappingRefused, match=why):
        one(shop, HEAD + "1,2020-01-01,5,a\n", {**PLAIN, "channel": expression})


def test_a_missing_column_is_named_with_its_file_and_the_nearest(shop: Shop) -> None:
    shop.write("orders1.csv", HEAD + "1,2020-01-01,5,a\n")
    shop.write("orders2.csv", "order_id,ordered_at,ammount,customer_id\n2,2020-01-01,5,a\n")
    with pytest.raises(
        MappingRefused,
        match=r"orders2\.csv: has no column 'amount', which source orders uses; did you mean 'ammount'\?",
    ):
        shop.run(source("orders", PLAIN))


def test_every_missing_column_is_told_at_once(shop: Shop) -> None:
    with pytest.raises(SourceErrors) as caught:
        one(shop, "x,y\n1,2\n", PLAIN)
    assert len(caught.value.errors) == 3


def test_an_extra_column_in_one_file_does_no_harm(shop: Shop) -> None:
    shop.write("orders1.csv", HEAD + "1,2020-01-01,5,a\n")
    shop.write("orders2.csv", "note,customer_id,amount,ordered_at,order_id\nhi,b,6,2020-01-02,2\n")
    shop.run(source("orders", {**PLAIN, "customer_id": "customer_id"}))
    assert shop.rows("select order_id, amount, customer_id from clean.orders order by 1") == [
        ("1", Decimal(5), "a"), ("2", Decimal(6), "b")]  # fmt: skip


def test_a_key_that_one_json_file_leaves_out_is_missing_there_and_no_mistake(shop: Shop) -> None:
    shop.write("orders1.jsonl", '{"order_id": 1, "ordered_at": "2020-01-01", "amount": 5.0}\n')
    shop.write("orders2.jsonl", '{"order_id": 2, "ordered_at": "2020-01-01", "amount": 5.0, "shop": "x"}\n')
    spec = source("orders", {**PLAIN, "channel": "shop"}, path="*.jsonl", reading=Reading(format="jsonl"))
    shop.run(spec)
    assert shop.rows("select order_id, channel from clean.orders order by 1") == [("1", None), ("2", "x")]
    with pytest.raises(SourceErrors, match=r"orders1\.jsonl: has no column 'shpo'.*did you mean 'shop'"):
        shop.run(source("orders", {**PLAIN, "channel": "shpo"}, path="*.jsonl", reading=Reading(format="jsonl")))


def test_where_filters_and_counts_and_a_failing_one_refuses_the_row(shop: Shop) -> None:
    one(
        shop,
        HEAD + "1,2020-01-01,5,a\n2,2020-01-01,0,a\n3,2020-01-01,x,a\n",
        PLAIN,
        where="cast(amount as integer) <> 0",
    )
    assert shop.column("select order_id from clean.orders") == ["1"]
    assert shop.rows("select rows_accepted, rows_filtered, rows_quarantined from clean.ingest_audit") == [(1, 1, 1)]
    assert shop.quarantine() == [(4, "where_error")]


def test_a_filtered_row_is_not_judged(shop: Shop) -> None:
    one(shop, HEAD + "1,2020-01-01,5,a\ntotal,,5,\n", PLAIN, where="order_id <> 'total'")
    assert shop.rows("select rows_accepted, rows_filtered, rows_quarantined from clean.ingest_audit") == [(1, 1, 0)]


def test_types_are_cast_without_loss(shop: Shop) -> None:
    text = "order_id,ordered_at,q,p\n" + "".join(
        f"{i},2020-01-01,{q},{p}\n"
        for i, (q, p) in enumerate(
            [("2", "1.5"), ("2.5", "1"), ("1_0", "1"), ("2", "nan"), ("2", "1e309"), ("", "1"), ("3.0", "1")]
        )
    )
    shop.write("orders.csv", text)
    columns = {"order_id": "order_id", "ordered_at": "ordered_at", "amount": "coalesce(q, 0) * p"}
    shop.run(source("orders", columns, types={"Q": "integer", "p": "double"}))
    assert shop.rows("select order_id, amount from clean.orders order by 1") == [
        ("0", Decimal(3)), ("5", Decimal(0)), ("6", Decimal(3))]  # fmt: skip
    assert [rule for _, rule in shop.quarantine()] == ["type"] * 4


def test_a_declared_timestamp_refuses_an_offset_that_it_would_drop(shop: Shop) -> None:
    one(
        shop,
        HEAD + "1,2020-01-01 10:00:00,1,a\n2,2020-01-01T10:00:00+02:00,1,a\n",
        PLAIN,
        types={"ordered_at": "timestamp"},
    )
    assert shop.quarantine() == [(3, "type")]


def test_a_type_that_is_none_is_refused(shop: Shop) -> None:
    with pytest.raises(MappingRefused, match=r"orders\.types\.amount: 'money' is no SQL type"):
        one(shop, HEAD + "1,2020-01-01,5,a\n", PLAIN, types={"amount": "money"})


def test_values_map_words_and_constants_fill_what_the_file_lacks(shop: Shop) -> None:
    one(shop, "order_id,ordered_at,amount,s\n1,2020-01-01,5,OK\n2,2020-01-01,5,it's\n3,2020-01-01,5,??\n4,2020-01-01,5,\n",
        {**PLAIN, "status": "s"}, values={"status": {"OK": "completed", "it's": "pending"}},
        constants={"source_system": "till", "currency": "eur"})  # fmt: skip
    assert shop.rows("select order_id, status, source_system from clean.orders order by 1") == [
        ("1", "completed", "till"), ("2", "pending", "till"), ("4", "completed", "till")]  # fmt: skip
    assert shop.quarantine() == [(4, "unknown_word")]


def people(path: str = "people.csv", alias: str = "people", on: str = "people.id = customer_id") -> JoinSpec:
    return JoinSpec(alias, path, Reading(), on)


def joined(*joins: JoinSpec, **columns: str) -> SourceSpec:
    return source("orders", {**PLAIN, **columns}, joins=joins)


def test_a_join_may_chain_and_a_row_without_a_match_has_nothing_from_it(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n2,2020-01-01,5,b\n3,2020-01-01,5,\n")
    shop.write("people.csv", "id,house\na,h1\nc,h2\n")
    shop.write("houses.csv", "House,Town\nh1,Ulm\nh2,Bonn\n")
    houses = JoinSpec("houses", "houses.csv", Reading(), "houses.house = people.house")
    shop.run(joined(people(), houses, customer_id="People.house", channel="houses.town"))
    assert shop.rows("select order_id, customer_id, channel from clean.orders order by 1") == [
        ("1", "h1", "Ulm"), ("2", None, None), ("3", None, None)]  # fmt: skip
    assert shop.rows("select source, rows_accepted from clean.ingest_audit order by 1") == [
        ("orders", 3), ("orders.houses", 2), ("orders.people", 2)]  # fmt: skip


def test_a_join_that_is_not_unique_refuses_the_rows_it_concerns(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n2,2020-01-01,5,b\n")
    shop.write("people.csv", "id,town\na,Ulm\na,Bonn\nb,Köln\n")
    shop.run(joined(people(), channel="people.town"))
    assert shop.rows("select order_id, channel from clean.orders") == [("2", "Köln")]
    assert shop.rows("select line, rule, detail from clean.quarantine") == [
        (2, "join_not_unique", "people has 2 records for this row")
    ]


def test_a_join_takes_a_composite_key(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n2,2020-01-02,5,a\n")
    shop.write("people.csv", "id,day,town\na,2020-01-01,Ulm\na,2020-01-02,Bonn\n")
    shop.run(joined(people(on="people.id = customer_id and ordered_at = people.day"), channel="people.town"))
    assert shop.column("select channel from clean.orders order by order_id") == ["Ulm", "Bonn"]


def test_what_a_join_refused_is_counted_as_its_own(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n")
    shop.write("people.csv", "id,town\na,Ulm\nb\n")
    shop.run(joined(people(), channel="people.town"))
    assert shop.rows("select source, entity, file, line from clean.quarantine") == [
        ("orders.people", "lookup", "people.csv", 3)
    ]


@pytest.mark.parametrize(
    "on", ["people.id > customer_id", "customer_id = amount", "people.id", "people.nope = customer_id"]
)
def test_a_join_s_condition_is_equalities_of_its_columns(shop: Shop, on: str) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n")
    shop.write("people.csv", "id,town\na,Ulm\n")
    with pytest.raises(MappingRefused, match=r"orders"):
        shop.run(joined(people(on=on), channel="people.town"))


def test_a_column_that_a_look_up_lacks_is_named(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "1,2020-01-01,5,a\n")
    shop.write("people.csv", "id,town\na,Ulm\n")
    with pytest.raises(MappingRefused, match="twon"):
        shop.run(joined(people(), channel="people.twon"))


def test_a_mapping_that_doesn_t_fit_changes_nothing(shop: Shop) -> None:
    one(shop, HEAD + "1,2020-01-01,5,a\n", PLAIN)
    before = shop.clean_tables()
    with pytest.raises(MappingRefused):
        shop.run(source("orders", {**PLAIN, "amount": "price"}))
    assert shop.clean_tables() == before
