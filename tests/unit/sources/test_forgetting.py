"""Rows of forgotten people leave the landed copies, come into no new one, and stay accounted for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from source_fixture import NOW, Shop, source

from cvm_pipeline.sources.errors import SourceError
from cvm_pipeline.sources.forgetting import Found
from cvm_pipeline.sources.forgotten import CUSTOMER, DOCUMENT, VALUE, Forgotten, read_forgotten, write_forgotten
from cvm_pipeline.sources.ingest import Suppression, erase_landed, land, landed_customers
from cvm_pipeline.sources.spec import CleanSettings, JoinSpec, SourceSpec
from cvm_pipeline.sources.whose import Values

ORDERS = source("orders", "order_id customer_id ordered_at amount refers_to")
CUSTOMERS = source("customers", "customer_id name email phone referred_by")
HEAD = "order_id,customer_id,ordered_at,amount,refers_to\n"
LIST = "forgotten.json"


def suppression(shop: Shop) -> Suppression:
    settings = CleanSettings(currency="EUR", timezone="UTC", now=NOW, max_quarantine_share=1.0)
    return Suppression(shop.root / ".cvm" / LIST, settings, shop.root / ".cvm" / "scratch")


def known(shop: Shop, *ids: str, kind: str = CUSTOMER) -> Forgotten:
    """The list with these customers of the one system, written."""
    forgotten = read_forgotten(suppression(shop).path)
    forgotten.add(kind, [("default", id_) if kind != VALUE else (id_,) for id_ in ids])
    (shop.root / ".cvm").mkdir(exist_ok=True)
    write_forgotten(suppression(shop).path, forgotten)
    return forgotten


def forget(shop: Shop, *specs: SourceSpec, ids: tuple[str, ...], values: Values = Values(),
           step: Callable[[str], None] = lambda name: None) -> tuple[Found, int]:  # fmt: skip
    found, erase = erase_landed(specs, shop.landing, known(shop, *ids), suppression(shop), values, step)
    return found, erase()


def deliver(shop: Shop, *specs: SourceSpec) -> None:
    land(specs, shop.root, shop.landing, NOW, suppression=suppression(shop))


def landed_text(shop: Shop) -> str:
    """All that the landed copies hold."""
    return " ".join(str(pq.read_table(path).to_pydict()) for path in sorted(shop.landing.rglob("*.parquet")))


def audit(shop: Shop) -> list[tuple]:
    return shop.rows(
        "select rows_read, rows_accepted, rows_quarantined, rows_filtered from clean.ingest_audit order by source, file"
    )


def test_a_persons_rows_go_with_the_returns_and_lines_that_name_only_their_orders(shop: Shop) -> None:
    shop.write(
        "orders.csv", HEAD + "o1,ann,2024-01-01,5,\no2,bob,2024-01-02,6,\no3,,2024-01-03,-1,o1\no4,,2024-01-04,7,\n"
    )
    shop.write(
        "order_lines.csv",
        "order_id,ordered_at,product_id,quantity,unit_price\no1,2024-01-01,p,1,5\no2,2024-01-02,p,1,6\n",
    )
    lines = source("order_lines", "order_id ordered_at product_id quantity unit_price")
    shop.run(ORDERS, lines)
    found, gone = forget(shop, ORDERS, lines, ids=("ann",))
    assert gone == 3
    assert {row[2] for row in found.told} == {"o1", "o3"}
    assert "ann" not in landed_text(shop)
    assert "o1" not in landed_text(shop)
    shop.build(ORDERS, lines)
    assert shop.column("select order_id from clean.orders order by 1") == ["o2", "o4"]
    assert audit(shop) == [(2, 1, 0, 1), (4, 2, 0, 2)]
    assert forget(shop, ORDERS, lines, ids=("ann",))[1] == 0


def test_a_new_export_brings_nobody_back_nor_their_new_orders(shop: Shop) -> None:
    lines = source("order_lines", "order_id ordered_at product_id quantity unit_price", name="a_lines")
    shop.write("orders-1.csv", HEAD + "o1,ann,2024-01-01,5,\no2,bob,2024-01-02,6,\n")
    spec = source("orders", ORDERS.columns, path="orders-*.csv")
    shop.run(spec)
    forget(shop, spec, ids=("ann",))
    shop.write("orders-2.csv", HEAD + "o1,ann,2024-01-01,5,\no8, ann ,2024-01-05,9,\no9,bob,2024-01-06,9,\n")
    # Landed before the orders, and they alone tell whose the line is.
    shop.write(
        "order_lines.csv",
        "order_id,ordered_at,product_id,quantity,unit_price\no8,2024-01-05,p,1,9\no9,2024-01-06,p,1,9\n",
    )
    deliver(shop, lines, spec)
    shop.build(lines, spec)
    assert "ann" not in landed_text(shop)
    assert "o8" not in landed_text(shop)
    assert shop.column("select order_id from clean.orders order by 1") == ["o2", "o9"]
    assert audit(shop) == [(2, 1, 0, 1), (2, 1, 0, 1), (3, 1, 0, 2)]


def test_what_names_nobody_but_holds_their_address_goes_and_others_who_share_it_stay(shop: Shop) -> None:
    shop.write(
        "customers.csv",
        "customer_id,name,email,phone,referred_by\nann,Ann A,a@x.org,,\n,Ann A,A@x.org ,,\nbob,Bob B,a@x.org,,ann\n",
    )
    shop.run(CUSTOMERS)
    values = Values(("a@x.org",), ("ann a",))
    assert forget(shop, CUSTOMERS, ids=("ann",), values=values)[1] == 2
    shop.build(CUSTOMERS)
    assert shop.rows("select customer_id, email, referred_by from clean.customers") == [("bob", "a@x.org", None)]
    assert "ann" not in landed_text(shop).lower()


def test_rows_that_could_not_be_parsed_go_where_any_field_names_the_person(shop: Shop) -> None:
    torn = "ann,too,many,fields,in,here\nx,too,many,fields,Ann A,here\nx,too,many,fields,annabel,here\n"
    shop.write("orders.csv", HEAD + "o2,bob,2024-01-02,6,\n" + torn)
    shop.run(ORDERS)
    known(shop, "ann a", kind=VALUE)
    assert forget(shop, ORDERS, ids=("ann",))[1] == 2
    shop.build(ORDERS)
    assert audit(shop) == [(4, 1, 1, 2)]
    shop.write("orders2.csv", HEAD + "o3,bob,2024-01-02,6,\n" + torn.replace("x,", "y,"))
    deliver(shop, source("orders", ORDERS.columns, path="orders*.csv"))
    assert "Ann A" not in landed_text(shop)


def test_a_guests_new_order_with_a_forgotten_address_is_dropped(shop: Shop) -> None:
    known(shop, "ann@x.org", "+49 30 1234567", kind=VALUE)
    head = HEAD.replace("refers_to", "refers_to,mail,call")
    shop.write("orders.csv", head + "o1,,2024-01-01,5,,Ann@x.org,\no2,,2024-01-01,5,,,+49 30 1234567\no3,,2024-01-01,5,,b@x.org,\n"
               "o4,bob,2024-01-01,5,,ann@x.org,\n")  # fmt: skip
    deliver(shop, ORDERS)
    shop.build(ORDERS)
    assert shop.column("select order_id from clean.orders order by 1") == ["o3", "o4"]


@pytest.mark.parametrize("decides", [True, False])
def test_a_look_up_loses_the_person_and_a_new_one_does_not_bring_them_back(shop: Shop, decides: bool) -> None:
    people = JoinSpec("people", "people*.csv", ORDERS.reading, "people.key = ref")
    customer = "people.person" if decides else "ref"
    spec = source(
        "orders", {"order_id": "id", "customer_id": customer, "ordered_at": "at", "amount": "sum"}, joins=(people,)
    )
    shop.write("orders1.csv", "id,ref,at,sum\no1,k1,2024-01-01,5\no2,k2,2024-01-02,6\n")
    shop.write("people1.csv", "key,person,mail\nk1,ann,ann@x.org\nk2,bob,bob@x.org\n")
    shop.run(spec)
    forget(shop, spec, ids=("ann" if decides else "k1",))
    assert "ann" not in landed_text(shop)
    shop.write("orders2.csv", "id,ref,at,sum\no3,k1,2024-01-01,5\no4,k3,2024-01-02,6\no5,k2,2024-01-02,6\n")
    shop.write("people1.csv", "key,person,mail\nk1,ann,ann@x.org\nk2,bob,bob@x.org\nk3,ann,ann2@x.org\n")
    deliver(shop, spec)
    shop.build(spec)
    expected = ["o2", "o5"] if decides else ["o2", "o4", "o5"]
    assert shop.column("select order_id from clean.orders order by 1") == expected
    assert "ann@x.org" not in landed_text(shop)
    assert ("ann2@x.org" in landed_text(shop)) is not decides


def test_a_look_up_that_serves_others_is_kept(shop: Shop) -> None:
    goods = JoinSpec("goods", "goods.csv", ORDERS.reading, "goods.sku = item")
    spec = source(
        "orders", {"order_id": "id", "customer_id": "who", "ordered_at": "at", "amount": "goods.price"}, joins=(goods,)
    )
    shop.write("orders.csv", "id,who,at,item\no1,ann,2024-01-01,s1\no2,ann,2024-01-02,s2\no3,bob,2024-01-02,s1\n")
    shop.write("goods.csv", "sku,price\ns1,5\ns2,6\n")
    shop.run(spec)
    forget(shop, spec, ids=("ann",), values=Values(("ann@x.org",)))
    shop.build(spec)
    assert shop.rows("select order_id, amount from clean.orders") == [("o3", 5)]
    assert audit(shop) == [(3, 1, 0, 2), (2, 2, 0, 0)]


def test_a_death_between_a_copy_and_its_manifest_is_settled_by_the_next_landing(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "o1,ann,2024-01-01,5,\no2,bob,2024-01-02,6,\n")
    shop.run(ORDERS)

    def die(name: str) -> None:
        if name.startswith("write the manifest"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forget(shop, ORDERS, ids=("ann",), step=die)
    deliver(shop, ORDERS)
    shop.build(ORDERS)
    assert audit(shop) == [(2, 1, 0, 1)]


def test_a_landed_copy_that_was_lost_is_made_again_without_them(shop: Shop) -> None:
    shop.write("orders.csv", HEAD + "o1,ann,2024-01-01,5,\no2,bob,2024-01-02,6,\n")
    shop.run(ORDERS)
    forget(shop, ORDERS, ids=("ann",))
    shutil.rmtree(shop.landing)
    deliver(shop, ORDERS)
    shop.build(ORDERS)
    assert audit(shop) == [(2, 1, 0, 1)]


def test_a_file_of_nobody_else_lands_empty_and_is_no_error(shop: Shop) -> None:
    known(shop, "ann")
    shop.write("orders.csv", HEAD + "o1,ann,2024-01-01,5,\n")
    deliver(shop, ORDERS)
    shop.build(ORDERS)
    assert audit(shop) == [(1, 0, 0, 1)]


def test_an_order_without_an_id_is_not_taken_for_one_that_stood_in_its_place(shop: Shop) -> None:
    spec = source("orders", "customer_id ordered_at amount")
    shop.write("orders.csv", "customer_id,ordered_at,amount\nann,2024-01-01,5\n,2024-01-01,6\n")
    shop.run(spec)
    forget(shop, spec, ids=("ann",))
    shop.write("orders.csv", "customer_id,ordered_at,amount\n,2024-01-01,8\nbob,2024-01-01,6\n")
    deliver(shop, spec)
    shop.build(spec)
    assert (2, 2, 0, 0) in audit(shop)


def test_the_landing_zone_tells_which_customers_it_knows_in_which_system(shop: Shop) -> None:
    spec = source("orders", "order_id customer_id ordered_at amount", constants={"source_system": "till"})
    shop.write("orders.csv", HEAD + "o1,ann,2024-01-01,5,\no2,,2024-01-02,6,\n")
    shop.run(spec)
    assert landed_customers((spec,), shop.landing, suppression(shop)) == {("till", "ann")}


def test_the_list_holds_no_id_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / LIST
    forgotten = read_forgotten(path)
    assert forgotten.add(CUSTOMER, [("shop", "zq-9137")])
    assert not forgotten.add(CUSTOMER, [("shop", "zq-9137")])
    write_forgotten(path, forgotten)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "9137" not in path.read_text()
    again = read_forgotten(path)
    assert again.knows(CUSTOMER, "shop", "zq-9137")
    assert not again.knows(DOCUMENT, "shop", "zq-9137")
    assert not read_forgotten(tmp_path / "other").knows(CUSTOMER, "shop", "zq-9137")


def test_a_damaged_list_stops_the_landing(tmp_path: Path) -> None:
    (tmp_path / LIST).write_text(json.dumps({"salt": "zz"}))
    with pytest.raises(SourceError, match="Restore it from a backup"):
        read_forgotten(tmp_path / LIST)


def test_no_reason_of_quarantine_tells_who_somebody_is(shop: Shop) -> None:
    spec = source(
        "customers", {"customer_id": "id", "name": "name", "phone": "phone", "birth_date": "born", "created_at": "since",
                      "customer_type": "kind"},
        types={"phone": "bigint"},
    )  # fmt: skip
    shop.write(
        "customers.csv",
        "id,name,phone,born,since,kind\n"
        "1,Zeb,,3.2.1971,2024-01-01,\n"
        "2,Zeb,+49 171,,2024-01-01,\n"
        "3,,,,Zebulon Quagmire 1971,\n"
        "4,,,,,zeb@example.org\n",
    )
    shop.run(spec)
    told = " ".join(shop.column("select detail from clean.quarantine order by line"))
    assert shop.column("select rule from clean.quarantine order by line") == [
        "not_a_date",
        "type",
        "not_a_date",
        "unknown_word",
    ]
    assert not any(secret in told for secret in ("1971", "171", "Zebulon", "zeb@"))
    assert "xxxxxxx xxxxxxxx 9999 is not ISO 8601" in told
