"""A tiny shop with one unmistakable person in it, everywhere that a person can be: for the tests of `cvm forget`.

Belongs here: its files. Not here: what should become of them.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from small_shop import write_config, write_csv

ID = "zq-9137"
EMAIL, PHONE, NAME, BORN = "zebulon.quagmire@example.org", "+49 171 9137559", "Zebulon Quagmire", "1971-02-03"
# All by which the person would be known again.
VALUES = (ID, EMAIL, PHONE, NAME, BORN, "zq-order-1", "zq-order-2", "zq-note-1", "Zebulonstreet")
ORDERS = ("order", "customer", "at", "amount", "of", "ship_to")
PEOPLE = ("id", "name", "email", "phone", "born", "since", "by")

CONFIG = """\
project: Forgetful shop
home: .cvm
currency: EUR
history_start: 2022-12-31
engine: {memory_limit: 1GB, threads: 2}
quality: {max_quarantine_share: 0.5}
sources:
  - entity: orders
    path: landing/orders*.csv
    columns:
      order_id: order
      customer_id: nullif(customer, '')
      ordered_at: at
      amount: amount
      refers_to: nullif("of", '')
  - entity: customers
    path: landing/people*.csv
    columns:
      customer_id: nullif(id, '')
      name: name
      email: nullif(email, '')
      phone: nullif(phone, '')
      birth_date: nullif(born, '')
      created_at: nullif(since, '')
      referred_by: nullif("by", '')
"""


def write_forgetful_shop(folder: Path, customers: int = 40) -> Path:
    """Write the shop; returns its cvm.yml."""
    (folder / "landing").mkdir(parents=True)
    first = dt.date(2023, 1, 5)
    orders = [
        _order(f"order-{n:03}-{k}", f"cust-{n:03}", first + dt.timedelta(days=7 * n % 300 + 40 * k), f"{10 + n}.50")
        for n in range(customers)
        for k in range(1 + n % 4)
    ]
    theirs = [
        _order("zq-order-1", ID, dt.date(2023, 2, 1), "1234.56", ship_to="Zebulonstreet 1"),
        _order("zq-order-2", ID, dt.date(2023, 5, 1), "99.00"),
        # A note that names the order alone, and one that nothing could bear.
        _order("zq-note-1", "", dt.date(2023, 5, 9), "-10.00", of="zq-order-2"),
        _order("zq-note-2", ID, dt.date(2023, 6, 9), "-9999.00"),
        # A guest with their address.
        _order("guest-1", "", dt.date(2023, 7, 1), "7.00", ship_to=EMAIL),
        _order("order-bad", ID, dt.date(2023, 7, 1), "a lot"),
    ]
    write_csv(folder / "landing" / "orders.csv", ORDERS, [*orders, *theirs])
    with (folder / "landing" / "orders.csv").open("a", encoding="utf-8") as file:
        file.write(f"{ID},torn,row,of,{NAME},with,too,many\n")
        file.write("nobody,torn,row,of,nobody,with,too,many\n")
    people = [
        {"id": f"cust-{n:03}", "name": f"Person {n}", "email": f"p{n}@example.com", "phone": "", "born": "",
         "since": "2023-01-01", "by": ID if n == 5 else ""}
        for n in range(customers)
    ]  # fmt: skip
    write_csv(folder / "landing" / "people.csv", PEOPLE, [*people, person(), {**person(), "id": ""}])
    return write_config(folder, CONFIG)


def person() -> dict[str, str]:
    """Their record."""
    return {"id": ID, "name": NAME, "email": EMAIL, "phone": PHONE, "born": BORN, "since": "2023-01-01", "by": ""}


def deliver_again(folder: Path) -> None:
    """A later export in which the person stands again, with a new order."""
    new = [
        _order("zq-order-3", ID, dt.date(2023, 8, 1), "55.00"),
        _order("order-new", "cust-001", dt.date(2023, 8, 2), "5.00"),
    ]
    write_csv(folder / "landing" / "orders-2.csv", ORDERS, new)
    write_csv(
        folder / "landing" / "people-2.csv",
        PEOPLE,
        [person(), {**person(), "id": "cust-001", "name": "P", "email": "", "phone": "", "born": ""}],
    )


def _order(name: str, customer: str, day: dt.date, amount: str, of: str = "", ship_to: str = "") -> dict[str, str]:
    return {"order": name, "customer": customer, "at": str(day), "amount": amount, "of": of, "ship_to": ship_to}
