"""Facts about money and counts: sums that agree with the orders to the last digit, and parts that add up to their whole.

Belongs here: reconciliation with the facts, and of the rows read. Not here: sums of segments (`segments.py`), of changes
(`change.py`), of cohorts (`movement.py`).
"""

from __future__ import annotations

from cvm_pipeline.quality.fact_query import difference, none_of

_PASSED_THROUGH = (
    "transactions", "frequency", "recency", '"T"', "monetary_value", "days_since_last", "gap_median", "gap_limit",
    "first_order_date", "last_order_date", "revenue_total", "revenue_12m", "margin_total", "margin_12m",
)  # fmt: skip
_IN_WINDOW = "> $as_of_date::date - interval 12 month"

MONEY_FACTS = (
    difference(
        "revenue_difference", "Net revenue of the snapshot less that of the orders, returns and unmatched returns",
        "select sum(revenue_total) from history",
        """select coalesce((select sum(amount) from sales), 0) - coalesce((select sum(amount) from taken_back), 0)
        - coalesce((select sum(amount) from unmatched), 0)""",
    ),
    difference(
        "revenue_12m_difference", "The same for the last 12 months, each event on its own day",
        "select sum(revenue_12m) from history",
        f"""select coalesce((select sum(amount) from sales where ordered_date {_IN_WINDOW}), 0)
        - coalesce((select sum(amount) from taken_back where returned_date {_IN_WINDOW}), 0)
        - coalesce((select sum(amount) from unmatched where returned_date {_IN_WINDOW}), 0)""",
    ),
    difference(
        "unmatched_return_difference", "Unmatched returns published less those of the facts",
        "select sum(amount) from {candidate}.unmatched_return",
        """select sum(amount) from {marts}.fct_unmatched_returns
        where returned_date <= (select max(as_of_date) from newest)""",
    ),
    none_of(
        "measures_that_differ_from_facts", "Customers with a measure that is not the one in fct_customer_snapshot",
        "select h.customer_id from history h join facts f using (customer_id) where "
        + " or ".join(f"h.{name} is distinct from f.{name}" for name in _PASSED_THROUGH),
    ),
    none_of(
        "value_parts_that_do_not_add_up", "Customers whose total_value or existing_value is not the sum of its parts",
        """select customer_id, total_value, potential_value, influence_value, influence_passed, existing_value, margin_total
        from history where existing_value <> margin_total or total_value <> coalesce(potential_value, 0)
          + coalesce(influence_value, 0) - coalesce(influence_passed, 0)""",
    ),
    none_of(
        "ingest_counts_that_do_not_add_up", "Files where rows read are not those accepted, quarantined, duplicate ... together",
        """select source, file, rows_read, rows_accepted, rows_quarantined, rows_duplicate, rows_filtered, rows_superseded
        from {candidate}.ingest_audit where rows_read <>
          rows_accepted + rows_quarantined + rows_duplicate + rows_filtered + rows_superseded""",
    ),
)  # fmt: skip
