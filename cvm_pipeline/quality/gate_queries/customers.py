"""Facts about who is in the tables: the customers of the facts, each once, in every table alike, and not suddenly fewer.

Belongs here: customers missing, made up, repeated or lost since the snapshot before. Not here: what their rows say
(`history.py`).
"""

from __future__ import annotations

from cvm_pipeline.quality.fact_query import FactQuery, none_of, ratio
from cvm_pipeline.quality.gate_queries.preamble import ESTABLISHED

CUSTOMERS = (
    none_of(
        "customers_missing", "Customers of the facts that have no row in the snapshot",
        "select customer_id from facts anti join history using (customer_id)",
    ),
    none_of(
        "customers_extra", "Customers of the snapshot that the facts don't know",
        "select customer_id from history anti join facts using (customer_id)",
    ),
    none_of(
        "customers_repeated", "Customers that stand in the snapshot more than once",
        "select customer_id, count(*) as times from history group by customer_id having count(*) > 1",
    ),
    none_of(
        "customer_table_differs", "Customers in one only of customer and customer_value",
        """select customer_id, 'customer_value' as only_in from newest anti join {candidate}.customer using (customer_id)
        union all select customer_id, 'customer' from {candidate}.customer anti join newest using (customer_id)""",
    ),
    none_of(
        "pii_of_unknown_customers", "Rows of customer_pii without a customer",
        "select customer_id from {pii}.customer_pii anti join {candidate}.customer using (customer_id)",
    ),
    FactQuery(
        "snapshots_in_customer_value", "Different snapshot dates in customer_value",
        "select count(distinct as_of_date), string_agg(distinct as_of_date::varchar, ', '), '1 snapshot' from newest",
        low=1, high=1,
    ),
    FactQuery(
        "newest_snapshot_days_behind", "Days by which customer_value is older than this snapshot",
        """select greatest(date_diff('day', max(as_of_date), $as_of_date::date), 0), max(as_of_date)::varchar,
        'at least ' || $as_of_date::varchar from newest""",
        low=0, high=0,
    ),
    none_of(
        "customer_value_differs_from_history", "Rows of customer_value that differ from its own snapshot in the history",
        """select customer_id from newest n anti join history h on h.customer_id = n.customer_id
          and h.value_tier is not distinct from n.value_tier and h.lifecycle_stage is not distinct from n.lifecycle_stage
          and h.total_value is not distinct from n.total_value and h.clv is not distinct from n.clv
          and h.p_alive is not distinct from n.p_alive and h.revenue_total is not distinct from n.revenue_total""",
        nullable_unless="(select max(as_of_date) from newest) = $as_of_date",
    ),
    ratio(
        "customers_against_earlier", "Customers over those of the newest snapshot of an earlier date",
        "select count(*) from history", "select count(*) from earlier",
    ),
    ratio(
        "buyers_against_earlier",
        "Customers with a purchase over those of the newest snapshot of an earlier date; null where that had under 100",
        "select count(*) from history where transactions > 0",
        f"select count(*) from earlier where transactions > 0 having {ESTABLISHED}",
    ),
)  # fmt: skip
