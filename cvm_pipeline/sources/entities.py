"""The source contract: every entity a user may bring, column by column.

Adding an entity is adding a declaration here (and what reads its clean table): landing, mapping, casting, quarantine and
row accounting follow from it. Not here: SQL, files, or what later steps make of an entity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "text", "word", "quantity", "price", "rate", "amount", "count", "instant", "date", "flag"]
Identity = Literal["version", "document", "row"]

# What each kind is in the clean tables. Prices and quantities keep the digits of a line; money is rounded at the total.
SQL_TYPE: dict[Kind, str] = {
    "id": "varchar",
    "text": "varchar",
    "word": "varchar",
    "quantity": "decimal(18,6)",
    "price": "decimal(18,8)",
    # A unit of some currencies is a few hundred-thousandths of others.
    "rate": "decimal(28,14)",
    "amount": "decimal(18,4)",
    "count": "bigint",
    "instant": "timestamp",
    "date": "date",
    "flag": "boolean",
}


@dataclass(frozen=True)
class Field:
    """One canonical column. `vocabulary` are the only words; `default` stands for an absent one; `positive` forbids <= 0."""

    name: str
    kind: Kind
    required: bool = False
    vocabulary: tuple[str, ...] = ()
    default: str | None = None
    positive: bool = False
    in_past: bool = False
    # Says who somebody is: what stands in it is never told, in no message.
    personal: bool = False


@dataclass(frozen=True)
class Entity:
    """What one row is and how a record is known again.

    `identity`: `version` - one record by its key, the newest version stands; `document` - all rows of a key belong
    together and the newest landing replaces them all; `row` - each row of each file counts once.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    identity: Identity
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.required)


STATUSES = ("completed", "pending", "cancelled", "returned")

_SYSTEM = Field("source_system", "id", default="default")
_UPDATED = Field("updated_at", "instant")
_ORDER_FIELDS = (
    Field("customer_id", "id"),
    Field("currency", "id"),
    Field("status", "word", vocabulary=STATUSES, default="completed"),
    Field("status_at", "instant", in_past=True),
    Field("returned_at", "instant", in_past=True),
    Field("refers_to", "id"),
    Field("channel", "text"),
)

ORDERS = Entity(
    "orders", "one order", ("source_system", "order_id"), "version",
    (
        _SYSTEM,
        # An order without an id is known by its file and line.
        Field("order_id", "id"),
        Field("ordered_at", "instant", required=True, in_past=True),
        Field("amount", "amount", required=True),
        Field("discount", "amount"),
        Field("cost", "amount"),
        *_ORDER_FIELDS,
        _UPDATED,
    ),
)  # fmt: skip
ORDER_LINES = Entity(
    "order_lines", "one product on one order", ("source_system", "order_id"), "document",
    (
        _SYSTEM,
        Field("order_id", "id", required=True),
        Field("ordered_at", "instant", required=True, in_past=True),
        Field("product_id", "id", required=True),
        Field("quantity", "quantity", required=True),
        Field("unit_price", "price", required=True),
        Field("discount", "price"),
        Field("unit_cost", "price"),
        *_ORDER_FIELDS,
        _UPDATED,
    ),
)  # fmt: skip
PRODUCTS = Entity(
    "products", "one product", ("source_system", "product_id"), "version",
    (
        _SYSTEM,
        Field("product_id", "id", required=True),
        Field("name", "text"),
        Field("category", "text"),
        Field("unit_cost", "price"),
        _UPDATED,
    ),
)  # fmt: skip
CUSTOMERS = Entity(
    "customers", "one customer record in one system", ("source_system", "customer_id"), "version",
    (
        _SYSTEM,
        Field("customer_id", "id", required=True),
        Field("name", "text", personal=True),
        Field("customer_type", "word", vocabulary=("individual", "company")),
        Field("email", "text", personal=True),
        Field("phone", "text", personal=True),
        Field("birth_date", "date", personal=True),
        Field("gender", "text"),
        Field("country", "text"),
        Field("region", "text"),
        Field("city", "text"),
        Field("postal_code", "text"),
        Field("industry", "text"),
        Field("employees", "count"),
        Field("annual_revenue", "amount"),
        Field("created_at", "instant", in_past=True),
        Field("acquisition_channel", "text"),
        Field("acquisition_cost", "amount"),
        Field("referred_by", "id"),
        Field("marketing_consent", "flag"),
        Field("flag", "word", vocabulary=("employee", "reseller", "test", "outlier")),
        _UPDATED,
    ),
)  # fmt: skip
EXCHANGE_RATES = Entity(
    "exchange_rates", "one currency and day", ("currency", "rate_date"), "version",
    (
        Field("currency", "id", required=True),
        Field("rate_date", "date", required=True),
        Field("rate", "rate", required=True, positive=True),
        _UPDATED,
    ),
)  # fmt: skip

ENTITIES: dict[str, Entity] = {
    entity.name: entity for entity in (ORDERS, ORDER_LINES, PRODUCTS, CUSTOMERS, EXCHANGE_RATES)
}
