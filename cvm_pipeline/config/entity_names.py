"""The names that a mapping may use: entities, their canonical columns, and the words of those that have a vocabulary.

Belongs here: names only, so that a configuration can be judged without the machinery that reads files. Types, keys and
rules are declared in `sources/entities.py`; a test holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cvm_pipeline.domain.contracts import CUSTOMER_TYPES, EXCLUSIONS

ORDER_STATUSES = ("completed", "pending", "cancelled", "returned")
_VOCABULARIES = {"status": ORDER_STATUSES, "customer_type": CUSTOMER_TYPES, "flag": EXCLUSIONS}


@dataclass(frozen=True)
class EntityNames:
    """One entity: its required and optional canonical columns, in the order of the contract."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    vocabularies: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        words = {column: words for column, words in _VOCABULARIES.items() if column in self.columns}
        object.__setattr__(self, "vocabularies", words)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.required + self.optional


_ON_ANY_ORDER = ("currency", "status", "status_at", "returned_at", "refers_to", "channel", "discount")
_ON_ANY_KEYED = ("source_system", "updated_at")

ENTITIES: dict[str, EntityNames] = {
    # An order without an id is known by its file and line.
    "orders": EntityNames(
        ("ordered_at", "amount"),
        ("order_id", "customer_id", *_ON_ANY_ORDER, "cost", *_ON_ANY_KEYED),
    ),
    "order_lines": EntityNames(
        ("order_id", "ordered_at", "product_id", "quantity", "unit_price"),
        ("customer_id", *_ON_ANY_ORDER, "unit_cost", *_ON_ANY_KEYED),
    ),
    "products": EntityNames(("product_id",), ("name", "category", "unit_cost", *_ON_ANY_KEYED)),
    "customers": EntityNames(
        ("customer_id",),
        (
            "name", "customer_type", "email", "phone", "birth_date", "gender", "country", "region", "city",
            "postal_code", "industry", "employees", "annual_revenue", "created_at", "acquisition_channel",
            "acquisition_cost", "referred_by", "marketing_consent", "flag", *_ON_ANY_KEYED,
        ),
    ),
    "exchange_rates": EntityNames(("currency", "rate_date", "rate"), ("updated_at",)),
}  # fmt: skip

ORDER_ENTITIES = ("orders", "order_lines")

# Named by the source contract, not built yet: using one is a mistake that says so.
LATER_ENTITIES = ("leads", "interactions", "surveys", "referrals", "campaign_contacts", "loyalty_points")
LATER_SECTIONS = ("identity", "influence", "strategy")
