"""Purchase histories of the small shop, computed a second way: plain Python on the raw files, by the words of metrics.md.

Belongs here: nothing but `csv`, `decimal` and `datetime`; no line of the pipeline is used.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path

_CENT = Decimal("0.0001")
_NEVER = dt.date.max


@dataclass
class Sale:
    id: str
    customer: str
    at: str
    amount: Decimal
    void: dt.date = _NEVER
    back: dt.date = _NEVER
    products: dict[str, Decimal] = field(default_factory=dict)
    taken: list[tuple[dt.date, Decimal]] = field(default_factory=list)
    left: Decimal = Decimal(0)

    @property
    def day(self) -> dt.date:
        return dt.date.fromisoformat(self.at[:10])

    def never_was(self) -> bool:
        own = sum((amount for day, amount in self.taken if day == self.day), Decimal(0))
        return self.amount > 0 and own == self.amount

    def net(self, as_of: dt.date) -> Decimal:
        return self.amount - sum((amount for day, amount in self.taken if day <= as_of), Decimal(0))


@dataclass
class Measures:
    transactions: int = 0
    recency: int | None = None
    T: int | None = None
    monetary_value: Decimal = Decimal(0)
    revenue_total: Decimal = Decimal(0)


def reckon(landing: Path, as_of: dt.date) -> dict[str, Measures]:
    """Every customer known by that day, with the measures of the purchase history."""
    documents = _documents(landing)
    sales = [sale for sale in map(_sale, documents) if sale is not None]
    credits = [document for document in documents if sum(line["amount"] for line in document) < 0]
    unmatched = _take_back(sales, credits)
    known = {row["id"] for row in _rows(landing / "people.csv") if not row["since"] or row["since"] <= str(as_of)}
    known |= {
        line["customer"] for doc in documents for line in doc if line["customer"] and line["at"][:10] <= str(as_of)
    }
    return {customer: _measures(customer, sales, unmatched, as_of) for customer in known}


def total(landing: Path, as_of: dt.date) -> Decimal:
    """Net revenue of customers and guests together."""
    documents = _documents(landing)
    sales = [sale for sale in map(_sale, documents) if sale is not None]
    credits = [document for document in documents if sum(line["amount"] for line in document) < 0]
    unmatched = _take_back(sales, credits)
    lost = sum((amount for _, day, amount in unmatched if day <= as_of), Decimal(0))
    return sum((sale.net(as_of) for sale in sales if sale.day <= as_of), Decimal(0)) - lost


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _documents(landing: Path) -> list[list[dict]]:
    """The standing lines by order: those of the last file that holds any of it. `amount` in euro, all digits kept."""
    rates = {(row["currency"], row["day"]): Decimal(row["rate"]) for row in _rows(landing / "rates.csv")}
    newest: dict[str, list[dict]] = {}
    for path in sorted(landing.glob("lines-*.csv")):
        here: dict[str, list[dict]] = defaultdict(list)
        for number, row in enumerate(_rows(path)):
            rate = Decimal(1) if row["currency"] == "EUR" else rates.get((row["currency"], row["at"][:10]))
            try:
                amount = Decimal(row["qty"]) * Decimal(row["price"]) - Decimal(row["rebate"] or 0)
            except InvalidOperation:
                continue
            sound = row["at"][:2] == "20" and row["at"] < "2900" and row["sku"] and row["state"] != "teleported"
            if rate is None or not sound or not amount.is_finite() or amount > 10**12:
                continue
            here[row["order"]].append({**row, "line": number, "amount": amount * rate})
        newest |= here
    return list(newest.values())


def _sale(document: list[dict]) -> Sale | None:
    exact = sum((line["amount"] for line in document), Decimal(0))
    head = document[0]
    if exact < 0 or head["state"] == "pending":
        return None
    sale = Sale(head["order"], head["customer"], head["at"], exact.quantize(_CENT, ROUND_HALF_EVEN))
    if head["state"] == "cancelled":
        sale.void = dt.date.fromisoformat((head["state_at"] or head["at"])[:10])
        if sale.void <= sale.day and exact > 0:
            return None
    if head["state"] == "returned":
        sale.back = dt.date.fromisoformat((head["back_at"] or head["at"])[:10])
    for line in document:
        sale.products[line["sku"]] = sale.products.get(line["sku"], Decimal(0)) + line["amount"]
    sale.products = {sku: amount.quantize(_CENT, ROUND_HALF_EVEN) for sku, amount in sale.products.items()}
    sale.left = sale.amount
    return sale


def _take_back(sales: list[Sale], credits: list[list[dict]]) -> list[tuple[str, dt.date, Decimal]]:
    """Applies every return and later cancellation by (date, id, line); returns what nothing could bear."""
    events: list[tuple] = []
    for sale in sales:
        if sale.amount > 0 and min(sale.void, sale.back) < _NEVER:
            events.append((min(sale.void, sale.back), sale.id, 0, "whole", sale, None, None))
    for document in credits:
        before = exact = Decimal(0)
        for line in document:
            exact -= line["amount"]
            here, before = exact.quantize(_CENT, ROUND_HALF_EVEN) - before, exact.quantize(_CENT, ROUND_HALF_EVEN)
            day = dt.date.fromisoformat(line["at"][:10])
            events.append((day, line["order"], line["line"], "credit", None, line, here))
    unmatched = []
    for day, _, _, kind, sale, line, amount in sorted(events, key=lambda event: event[:3]):
        if kind == "whole":
            _bear(sale, day, sale.left, None)
            continue
        own = [s for s in sales if s.customer == line["customer"] and s.day <= day < s.void]
        newest = sorted(own, key=lambda s: (s.day, s.at, s.id), reverse=True)
        named = [s for s in own if s.id == line["of"]]
        for sale in named:
            amount -= _bear(sale, day, min(amount, sale.left), line["sku"])
        for sale in newest:
            amount -= _bear(sale, day, min(amount, sale.left, sale.products.get(line["sku"], Decimal(0))), line["sku"])
        for sale in newest:
            amount -= _bear(sale, day, min(amount, sale.left), None)
        if amount and line["customer"]:
            unmatched.append((line["customer"], day, amount))
    return unmatched


def _bear(sale: Sale, day: dt.date, amount: Decimal, sku: str | None) -> Decimal:
    if amount > 0:
        sale.taken.append((day, amount))
        sale.left -= amount
        if sku is not None and sku in sale.products:
            sale.products[sku] = max(Decimal(0), sale.products[sku] - amount)
    return max(amount, Decimal(0))


def _measures(
    customer: str, sales: list[Sale], unmatched: list[tuple[str, dt.date, Decimal]], as_of: dt.date
) -> Measures:
    own = [sale for sale in sales if sale.customer == customer and sale.day <= as_of]
    lost = sum((amount for who, day, amount in unmatched if who == customer and day <= as_of), Decimal(0))
    made = Measures(revenue_total=sum((sale.net(as_of) for sale in own), Decimal(0)) - lost)
    days = sorted({sale.day for sale in own if not sale.never_was() and sale.void > as_of})
    if days:
        repeats = [sale.net(as_of) for sale in own if sale.day in days[1:]]
        made.transactions = len(days)
        made.recency, made.T = (days[-1] - days[0]).days, (as_of - days[0]).days
        if repeats:
            # A mean is rounded as SQL rounds; half-even is for the totals of orders.
            made.monetary_value = (sum(repeats, Decimal(0)) / (len(days) - 1)).quantize(_CENT, ROUND_HALF_UP)
    return made
