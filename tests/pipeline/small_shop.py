"""A small shop: the raw files that a real one might deliver, with all that goes wrong in one. Seeded, always the same.

Belongs here: making files and the `cvm.yml` that reads them. Not here: what should become of them (`reckoning.py`).

Lines in three files, the last a correction of the others; two currencies; guests; orders pending, cancelled at once or later,
returned later; credit notes with and without the order that they refer to; flagged customers; prospects; rows that are dirt.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START = dt.date(2023, 1, 2)
END = dt.date(2024, 6, 28)

LINES = (
    "order", "customer", "at", "sku", "qty", "price", "rebate", "currency", "state", "state_at", "back_at", "of", "channel",
)  # fmt: skip
PEOPLE = ("id", "name", "kind", "email", "phone", "born", "country", "city", "staff", "since", "via", "mark")

CONFIG = """\
project: Small shop
home: .cvm
currency: EUR
timezone: Europe/Berlin
cadence: monthly
history_start: 2022-12-31
engine: {memory_limit: 1GB, threads: 2}
sources:
  - entity: order_lines
    path: landing/lines-*.csv
    columns:
      order_id: order
      customer_id: nullif(customer, '')
      ordered_at: at
      product_id: sku
      quantity: qty
      unit_price: price
      discount: nullif(rebate, '')
      currency: currency
      status: nullif(state, '')
      status_at: nullif(state_at, '')
      returned_at: nullif(back_at, '')
      refers_to: nullif("of", '')
      channel: channel
  - entity: customers
    path: landing/people.csv
    columns:
      customer_id: id
      name: name
      customer_type: nullif(kind, '')
      email: nullif(email, '')
      phone: nullif(phone, '')
      birth_date: nullif(born, '')
      country: country
      city: city
      employees: nullif(staff, '')
      created_at: nullif(since, '')
      acquisition_channel: nullif(via, '')
      flag: nullif(mark, '')
  - entity: products
    path: landing/goods.csv
    columns: {product_id: sku, name: title, category: shelf}
  - entity: exchange_rates
    path: landing/rates.csv
    columns: {currency: currency, rate_date: day, rate: rate}
"""

ORDERS_CONFIG = """\
project: Plain orders
home: .cvm
currency: USD
history_start: 2019-12-31
engine: {memory_limit: 1GB, threads: 2}
sources:
  - entity: orders
    path: landing/orders*.csv
    columns: {order_id: order, customer_id: customer, ordered_at: at, amount: amount}
"""


@dataclass
class _Order:
    id: str
    customer: str
    day: dt.date
    lines: list[dict[str, str]]


def write_shop(folder: Path, customers: int = 320) -> Path:
    """Write the shop into `folder`; returns its cvm.yml."""
    chance = random.Random(20240628)
    landing = folder / "landing"
    landing.mkdir(parents=True)
    people = [_person(chance, number) for number in range(1, customers + 1)]
    orders = [
        order for person in people for order in _orders_of(chance, person["id"], customers, int(person["id"][1:]))
    ]
    # Known by their orders alone, and by a return alone.
    orders += [order for number in (901, 902) for order in _orders_of(chance, f"c{number:04}", customers, 1)]
    notes = _credit_notes(chance, orders)
    every = sorted([*orders, *notes, *_guests(chance)], key=lambda order: (order.day, order.id))
    first = [line for order in every if order.day.year == 2023 for line in order.lines]
    second = [line for order in every if order.day.year == 2024 for line in order.lines]
    corrected = [
        {**line, "price": f"{float(line['price']) + 1:.2f}"} for order in orders[10:13] for line in order.lines
    ]
    write_csv(landing / "lines-1-2023.csv", LINES, [*first, *_dirt()])
    write_csv(landing / "lines-2-2024.csv", LINES, second)
    write_csv(landing / "lines-3-corrections.csv", LINES, corrected)
    write_csv(landing / "people.csv", PEOPLE, people)
    goods = [{"sku": f"s{n:02}", "title": f"Thing {n}", "shelf": "ABC"[n % 3]} for n in range(20)]
    write_csv(landing / "goods.csv", ("sku", "title", "shelf"), goods)
    days = [START + dt.timedelta(days=n) for n in range((END - START).days + 1)]
    rates = [{"currency": "USD", "day": str(day), "rate": f"{0.9 + 0.05 * chance.random():.4f}"} for day in days]
    write_csv(landing / "rates.csv", ("currency", "day", "rate"), rates)
    return write_config(folder, CONFIG)


def write_orders(folder: Path, rows: Iterable[tuple[str, str, str]]) -> Path:
    """A project of plain orders from (customer, day, amount); returns its cvm.yml."""
    (folder / "landing").mkdir(parents=True)
    given = [
        {"order": f"o{number:05}", "customer": customer, "at": day, "amount": amount}
        for number, (customer, day, amount) in enumerate(rows)
    ]
    write_csv(folder / "landing" / "orders.csv", ("order", "customer", "at", "amount"), given)
    return write_config(folder, ORDERS_CONFIG)


def write_config(folder: Path, text: str) -> Path:
    config = folder / "cvm.yml"
    config.write_text(text, encoding="utf-8")
    return config


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _person(chance: random.Random, number: int) -> dict[str, str]:
    company = number % 6 == 0
    return {
        "id": f"c{number:04}",
        "name": f"=Formula {number}" if number % 50 == 0 else f"Name {number} Müller 李",
        "kind": "company" if company else "individual",
        "email": f"p{number}@example.com" if number % 3 else "",
        "phone": f"+49 30 {number:06}" if number % 4 else "",
        "born": "" if company else f"{1950 + number % 50}-03-{1 + number % 28:02}",
        # Namibia, which a careless reader takes for missing.
        "country": "NA" if number % 10 == 0 else "DE",
        "city": f"Town {number % 7}",
        "staff": str(number) if company else "",
        "since": "" if number % 5 else f"{chance.choice((2022, 2023))}-0{1 + number % 9}-15",
        "via": ("web", "fair", "")[number % 3],
        "mark": {7: "employee", 8: "test"}.get(number % 60, ""),
    }


def _orders_of(chance: random.Random, customer: str, customers: int, number: int) -> list[_Order]:
    # The last tenth never buys.
    if number > customers * 0.9:
        return []
    rate = chance.gammavariate(1.2, 1 / 40)
    day = START + dt.timedelta(days=chance.randrange(400))
    orders: list[_Order] = []
    while day <= END:
        for _ in range(2 if chance.random() < 0.08 else 1):
            orders.append(_order(chance, f"{customer}-{len(orders):03}", customer, day))
        if chance.random() < 0.12:
            break
        day += dt.timedelta(days=1 + int(chance.expovariate(rate)))
    return orders


def _order(chance: random.Random, name: str, customer: str, day: dt.date) -> _Order:
    state, state_at, back_at = "", "", ""
    dice, later = chance.random(), day + dt.timedelta(days=chance.randrange(1, 60))
    if dice < 0.02:
        state = "pending"
    elif dice < 0.04:
        state, state_at = "cancelled", f"{day} 23:00:00"
    elif dice < 0.06:
        state, state_at = "cancelled", f"{later} 09:30:00"
    elif dice < 0.09:
        state, back_at = "returned", f"{later} 17:00:00"
    currency = "USD" if chance.random() < 0.1 else "EUR"
    at = f"{day} {chance.randrange(6, 22):02}:{chance.randrange(60):02}:00"
    lines = [
        {
            "order": name,
            "customer": customer,
            "at": at,
            "sku": f"s{sku:02}",
            "qty": chance.choice(("1", "2", "3", "0.75")),
            "price": "0" if chance.random() < 0.02 else f"{chance.uniform(3, 60):.{chance.choice((2, 2, 4))}f}",
            "rebate": "0.50" if chance.random() < 0.1 else "",
            "currency": currency,
            "state": state,
            "state_at": state_at,
            "back_at": back_at,
            "of": "",
            "channel": chance.choice(("web", "store")),
        }
        for sku in chance.sample(range(20), chance.choice((1, 1, 2, 3)))
    ]
    # A rebate on a line that costs nothing would make it a credit.
    for line in lines:
        if float(line["price"]) == 0:
            line["rebate"] = ""
    return _Order(name, customer, day, lines)


def _credit_notes(chance: random.Random, orders: list[_Order]) -> list[_Order]:
    notes = []
    for order in orders:
        dice = chance.random()
        if dice > 0.07 or order.lines[0]["state"]:
            continue
        # Whole and on the same day; a line of it later, named or not; more than was ever bought.
        kind = ("whole", "line", "unnamed", "too much")[min(3, int(dice / 0.02))]
        day = order.day if kind == "whole" else order.day + dt.timedelta(days=chance.randrange(1, 40))
        if day > END:
            continue
        taken = order.lines if kind == "whole" else order.lines[:1]
        lines = [
            {
                **line,
                "order": f"R{order.id}",
                "at": f"{day} 22:30:00",
                "qty": f"-{line['qty']}" if kind != "too much" else "-40",
                "rebate": f"-{line['rebate']}" if line["rebate"] else "",
                "of": order.id if kind in ("whole", "line") else "",
                "currency": line["currency"],
            }
            for line in taken
            if float(line["price"]) > 0
        ]
        if lines:
            notes.append(_Order(f"R{order.id}", order.customer, day, lines))
    alone = _order(chance, "R-alone", "c0903", dt.date(2023, 5, 3))
    for line in alone.lines:
        line |= {
            "qty": "-1",
            "price": "12.3456",
            "rebate": "",
            "state": "",
            "state_at": "",
            "back_at": "",
            "currency": "EUR",
        }
    return [*notes, alone]


def _guests(chance: random.Random) -> list[_Order]:
    days = (START + dt.timedelta(days=chance.randrange((END - START).days)) for _ in range(40))
    return [_order(chance, f"guest-{number:03}", "", day) for number, day in enumerate(days)]


def _dirt() -> list[dict[str, str]]:
    """Rows that no rule can accept, each an order of its own."""
    good = dict.fromkeys(LINES, "") | {
        "customer": "c0001", "at": "2023-03-03 10:00:00", "sku": "s01", "qty": "1", "price": "1.00", "currency": "EUR",
    }  # fmt: skip
    wrong = [
        {"price": "1.234,56"}, {"price": "NaN"}, {"price": "1e309"}, {"qty": "(12.00)"}, {"qty": ""}, {"at": "03/04/2023"},
        {"at": "2999-01-01 00:00:00"}, {"at": "1900-01-01 00:00:00"}, {"currency": "XXX"}, {"state": "teleported"}, {"sku": ""},
    ]  # fmt: skip
    return [{**good, "order": f"dirt-{number}", **fault} for number, fault in enumerate(wrong)]
