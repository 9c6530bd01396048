"""Which order bears which return: the event timeline of metrics.md, "Purchase history", in exact money.

Belongs here: the order of events, the choice of the order that bears one, and what nothing can bear.
Not here: what counts as a return or a void order (`sources/` decides it), netting by snapshot and margins (dbt).
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MONEY = pa.decimal128(18, 4)
_UNITS_PER_CURRENCY = Decimal(10_000)

_ID, _DAY, _MOMENT, _LINE = pa.string(), pa.date32(), pa.timestamp("us"), pa.int32()
ORDERS = pa.schema({
    "order_id": _ID, "customer_id": _ID, "ordered_date": _DAY, "ordered_at": _MOMENT, "amount": _MONEY,
    "void_date": _DAY, "returned_date": _DAY,
})  # fmt: skip
RETURNS = pa.schema({
    "return_id": _ID, "line": _LINE, "customer_id": _ID, "returned_at": _MOMENT, "returned_date": _DAY,
    "amount": _MONEY, "refers_to": _ID, "product_id": _ID,
})  # fmt: skip
ORDER_PRODUCTS = pa.schema({"order_id": _ID, "product_id": _ID, "amount": _MONEY})
ALLOCATIONS = pa.schema({
    "return_id": _ID, "return_line": _LINE, "order_id": _ID, "customer_id": _ID, "ordered_date": _DAY,
    "returned_date": _DAY, "amount": _MONEY, "kind": pa.string(),
})  # fmt: skip
UNMATCHED = pa.schema({
    "order_id": _ID, "line": _LINE, "customer_id": _ID, "returned_at": _MOMENT, "returned_date": _DAY,
    "amount": _MONEY,
})  # fmt: skip

# The document as a whole, as in the published unmatched_return.
_WHOLE_DOCUMENT = 0


def allocate_returns(orders: pa.Table, returns: pa.Table, order_products: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Takes returns and later cancellations back from the orders that bear them; (allocations, unmatched).

    Columns and types are `ORDERS`, `RETURNS`, `ORDER_PRODUCTS` in and `ALLOCATIONS`, `UNMATCHED` out. Further columns
    of the input are ignored, types are cast where nothing is lost, the order of rows says nothing. The output is in
    the order of (returned_date, return, line, order).

    orders: one row per sale (amount >= 0; no return documents), order_id unique. customer_id null: an anonymous sale.
      void_date: the order counts nowhere from this day on (null: never). returned_date: the whole order came back on
      this day (status returned; null: it did not); before ordered_date it means ordered_date.
    returns: one row per return document, or per product line of one where the products are known; (return_id, line)
      unique, amount > 0. refers_to: order_id of the order taken back, where the source says it.
    order_products: value of each product in each order (rows of one product add up); may be empty.
    Orders and order_products of customers without any event may be left out: they change nothing but the memory.

    Events are taken by (date, id, line), an order before any event of its day. A return goes against the order that
    it refers to, if that is an order of the same customer, standing, and not later than the return; what is left goes
    to the customer's newest order backwards, newest by (ordered_date, ordered_at, order_id): first to orders that hold
    the same product, up to its remaining value there, then to any. An anonymous return has only the order that it
    refers to. A returned order gives up its remaining amount (kind `return`, return_id = its order_id, line 0), a
    later cancelled one too (kind `void`). No order falls below 0; what nothing can bear is unmatched, and dropped
    where anonymous.

    An allocation rests on rows dated up to its own day only. Raises ValueError on a negative sale or a return that is
    not positive, pyarrow.ArrowInvalid where money has more than 4 decimals.
    """
    orders = orders.select(ORDERS.names).cast(ORDERS)
    returns = returns.select(RETURNS.names).cast(RETURNS)
    order_products = order_products.select(ORDER_PRODUCTS.names).cast(ORDER_PRODUCTS)
    _refuse_wrong_signs(orders, returns)

    events = _timeline(orders, returns)
    sales = _sales_in_question(orders, events)
    history = _History(sales, events, order_products)

    allocated: list[tuple[int, int, int]] = []
    unmatched: list[tuple[int, int]] = []
    columns = (events["customer"], events["date"].cast(pa.int32()), events["is_document"], events["units"])
    targets = pc.index_in(events["names_order"], value_set=sales["order_id"].combine_chunks())
    ledger = _Ledger(history, -1)
    for number, (customer, date, is_document, units, target, product) in enumerate(
        zip(*(column.to_pylist() for column in columns), targets.to_pylist(), history.product_asked, strict=True)
    ):
        if customer != ledger.customer:
            ledger = _Ledger(history, customer)
        ledger.advance_to(date)
        if is_document:
            borne, rest = ledger.bear(units, target, product)
            if rest:
                unmatched.append((number, rest))
        else:
            borne = ledger.empty(target)
        allocated.extend((number, sale, part) for sale, part in borne.items())
    return _allocations(allocated, events, sales), _unmatched(unmatched, events)


class _History:
    """The orders of all customers in question, newest last within each, as arrays that ledgers read by row."""

    def __init__(self, sales: pa.Table, events: pa.Table, order_products: pa.Table) -> None:
        self.dates = sales["ordered_date"].cast(pa.int32()).to_numpy()
        self.units = _units(sales["amount"]).to_numpy()
        # 64 bits: a customer's number times the products asked about passes 2^31 on a large base.
        customer = sales["customer"].to_numpy().astype(np.int64)
        customers = np.arange(pc.max(events["customer"]).as_py() + 1 if events.num_rows else 0)
        self.start = np.searchsorted(customer, customers, "left").tolist()
        self.stop = np.searchsorted(customer, customers, "right").tolist()
        self.has_name = np.ones(customers.size, bool)
        self.has_name[events.filter(pc.is_null(events["customer_id"]))["customer"].to_numpy()] = False

        asked = pc.unique(events["product_id"]).drop_null()
        self.products = len(asked) or 1
        product = pc.index_in(events["product_id"], value_set=asked)
        self.product_asked = product.to_pylist()
        # Value by (row, product), only where that customer returns that product; rows by (customer, product).
        self.held: dict[int, int] = {}
        self.rows_with: dict[int, list[int]] = {}
        pairs = pc.add(pc.multiply(events["customer"].cast(pa.int64()), self.products), product)
        row = pc.index_in(order_products["order_id"], value_set=sales["order_id"].combine_chunks())
        what = pc.index_in(order_products["product_id"], value_set=asked)
        known = pc.and_(pc.is_valid(row), pc.is_valid(what))
        row, what = (column.filter(known).to_numpy().astype(np.int64) for column in (row, what))
        units = _units(order_products["amount"].filter(known)).to_numpy()
        wanted = np.isin(customer[row] * self.products + what, pairs.drop_null().to_numpy())
        keys, inverse = np.unique((row * self.products + what)[wanted], return_inverse=True)
        totals = np.zeros(keys.size, np.int64)
        np.add.at(totals, inverse, units[wanted])
        for key, total in zip(keys.tolist(), totals.tolist(), strict=True):
            # A product given away or credited within its order has no value to take back.
            if total > 0:
                at, which = divmod(key, self.products)
                self.held[key] = total
                self.rows_with.setdefault(int(customer[at]) * self.products + which, []).append(at)


class _Ledger:
    """What is left of one customer's orders at a moment of the timeline, in units of 1e-4.

    Orders that came in lie as ranges of rows on a stack, read from its newest end; a row is left only when it can bear
    no more. So nothing is passed over twice, and an order that no event touches costs nothing.
    """

    def __init__(self, history: _History, customer: int) -> None:
        self.history, self.customer = history, customer
        self.start = self.arrived = history.start[customer] if customer >= 0 else 0
        self.stop = history.stop[customer] if customer >= 0 else 0
        self.left: dict[int, int] = {}
        self.open: list[list[int]] = []
        self.open_with: dict[int, tuple[list[int], list[int]]] = {}

    def advance_to(self, date: int) -> None:
        """Lets in the orders up to the end of that day (days since 1970)."""
        until = self.start + int(self.history.dates[self.start : self.stop].searchsorted(date, "right"))
        if until > self.arrived:
            self.open.append([self.arrived, until])
            self.arrived = until

    def empty(self, row: int | None) -> dict[int, int]:
        """Takes all that is left of one order."""
        units = self._left_of(row) if row is not None and self.start <= row < self.arrived else 0
        return {row: self._take(row, units, None, {})} if units and row is not None else {}

    def bear(self, units: int, target: int | None, product: int | None) -> tuple[dict[int, int], int]:
        """Spreads one return over the orders; (units by row, units left over; 0 of an anonymous one)."""
        borne: dict[int, int] = {}
        if target is not None and self.start <= target < self.arrived:
            units -= self._take(target, min(units, self._left_of(target)), product, borne)
        if not self.history.has_name[self.customer]:
            return borne, 0
        while units and product is not None and (row := self._newest_with(product)) is not None:
            room = min(self._left_of(row), self.history.held[row * self.history.products + product])
            units -= self._take(row, min(units, room), product, borne)
        while units and (row := self._newest()) is not None:
            units -= self._take(row, min(units, self._left_of(row)), product, borne)
        return borne, units

    def _newest(self) -> int | None:
        while self.open:
            first, after = self.open[-1]
            if first == after:
                self.open.pop()
            elif self._left_of(after - 1):
                return after - 1
            else:
                self.open[-1][1] -= 1
        return None

    def _newest_with(self, product: int) -> int | None:
        if product not in self.open_with:
            rows = self.history.rows_with.get(self.customer * self.history.products + product, [])
            self.open_with[product] = ([], rows[::-1])
        here, to_come = self.open_with[product]
        while to_come and to_come[-1] < self.arrived:
            here.append(to_come.pop())
        while here:
            if self._left_of(here[-1]) and self.history.held[here[-1] * self.history.products + product]:
                return here[-1]
            here.pop()
        return None

    def _left_of(self, row: int) -> int:
        units = self.left.get(row)
        return int(self.history.units[row]) if units is None else units

    def _take(self, row: int, units: int, product: int | None, borne: dict[int, int]) -> int:
        if units:
            self.left[row] = self._left_of(row) - units
            borne[row] = borne.get(row, 0) + units
            if product is not None:
                key = row * self.history.products + product
                if key in self.history.held:
                    self.history.held[key] = max(0, self.history.held[key] - units)
        return units


def _refuse_wrong_signs(orders: pa.Table, returns: pa.Table) -> None:
    if orders.num_rows and pc.min(orders["amount"]).as_py() < 0:
        raise ValueError("orders hold a negative amount: return documents belong in returns")
    if returns.num_rows and pc.min(returns["amount"]).as_py() <= 0:
        raise ValueError("returns hold an amount that is not positive")


def _timeline(orders: pa.Table, returns: pa.Table) -> pa.Table:
    """Documents, returned orders and later cancellations, by customer (numbered) and then (date, id, line)."""
    sold = orders.filter(pc.greater(orders["amount"], pa.scalar(Decimal(0), _MONEY)))
    came_back = sold.filter(pc.is_valid(sold["returned_date"]))
    voided = sold.filter(pc.greater(sold["void_date"], sold["ordered_date"]))
    documents = pa.table(
        {
            "customer_id": returns["customer_id"],
            "date": returns["returned_date"],
            "id": returns["return_id"],
            "line": returns["line"],
            "kind": pa.repeat("return", returns.num_rows),
            "is_document": pa.repeat(True, returns.num_rows),
            "names_order": returns["refers_to"],
            "units": _units(returns["amount"]),
            "product_id": returns["product_id"],
            "at": returns["returned_at"],
        }
    )
    back_on = pc.max_element_wise(came_back["returned_date"], came_back["ordered_date"])
    events = pa.concat_tables(
        [
            documents,
            _order_events(came_back, back_on, "return", documents.schema),
            _order_events(voided, voided["void_date"], "void", documents.schema),
        ]
    )
    number = pc.index_in(events["customer_id"], value_set=pc.unique(events["customer_id"]))
    events = events.append_column("customer", number)
    return events.sort_by([(name, "ascending") for name in ("customer", "date", "id", "line", "kind")])


def _order_events(orders: pa.Table, date: pa.ChunkedArray, kind: str, schema: pa.Schema) -> pa.Table:
    rows = orders.num_rows
    columns = {
        "customer_id": orders["customer_id"],
        "date": date,
        "id": orders["order_id"],
        "line": pa.repeat(pa.scalar(_WHOLE_DOCUMENT, pa.int32()), rows),
        "kind": pa.repeat(kind, rows),
        "is_document": pa.repeat(False, rows),
        "names_order": orders["order_id"],
    }
    nothing = {field.name: pa.nulls(rows, field.type) for field in schema if field.name not in columns}
    return pa.table({**columns, **nothing}).select(schema.names).cast(schema)


def _sales_in_question(orders: pa.Table, events: pa.Table) -> pa.Table:
    """Orders that can bear something and that some event names or may search, by customer and newest last."""
    orders = orders.append_column(
        "customer", pc.index_in(orders["customer_id"], value_set=pc.unique(events["customer_id"]))
    )
    # Numbers are given in the order of first appearance, in which the sorted timeline has them too.
    searching = events.filter(pc.and_(events["is_document"], pc.is_valid(events["customer_id"])))
    searched = pc.is_in(orders["customer_id"], value_set=pc.unique(searching["customer_id"]))
    named = pc.is_in(orders["order_id"], value_set=pc.unique(events["names_order"]).drop_null())
    not_void = pc.or_kleene(pc.is_null(orders["void_date"]), pc.greater(orders["void_date"], orders["ordered_date"]))
    kept = pc.and_(pc.is_valid(orders["customer"]), pc.and_(pc.or_(searched, named), not_void))
    by = ("customer", "ordered_date", "ordered_at", "order_id")
    return orders.filter(kept).sort_by([(name, "ascending") for name in by])


def _allocations(allocated: list[tuple[int, int, int]], events: pa.Table, sales: pa.Table) -> pa.Table:
    event, sale, units = np.array(allocated, np.int64).reshape(-1, 3).T
    events, sales = events.take(event), sales.take(sale)
    columns = [
        events["id"],
        events["line"],
        sales["order_id"],
        sales["customer_id"],
        sales["ordered_date"],
        events["date"],
        _money(units),
        events["kind"],
    ]
    by = ("returned_date", "return_id", "return_line", "order_id")
    return pa.table(columns, schema=ALLOCATIONS).sort_by([(name, "ascending") for name in by])


def _unmatched(unmatched: list[tuple[int, int]], events: pa.Table) -> pa.Table:
    event, units = np.array(unmatched, np.int64).reshape(-1, 2).T
    events = events.take(event)
    columns = [events["id"], events["line"], events["customer_id"], events["at"], events["date"], _money(units)]
    by = ("returned_date", "order_id", "line")
    return pa.table(columns, schema=UNMATCHED).sort_by([(name, "ascending") for name in by])


def _units(money: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(pc.multiply(money, pa.scalar(_UNITS_PER_CURRENCY, pa.decimal128(5, 0))), pa.int64())


def _money(units: np.ndarray) -> pa.Array:
    whole = pc.cast(pa.array(units, pa.int64()), pa.decimal128(19, 0))
    return pc.cast(pc.multiply(whole, pa.scalar(Decimal("0.0001"), pa.decimal128(4, 4))), _MONEY)
