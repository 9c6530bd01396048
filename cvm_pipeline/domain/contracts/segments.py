"""The segments' tables: who is in which, what they come to, by which cuts, and how value is spread over the base.

Belongs here: segment_membership, segment_summary, segment_parameter, pareto_curve. Not here: a customer's own segments as
columns (`customers.py`), moves between them (`through_time.py`).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts.declaring import (
    AS_OF_DATE,
    CUSTOMER_ID,
    PUBLICATION_ID,
    Column,
    Table,
    money,
    probability,
)
from cvm_pipeline.domain.contracts.vocabularies import SCHEMES

SEGMENT_MEMBERSHIP = Table(
    "segment_membership", "One row per snapshot, scheme and customer.", ("as_of_date", "scheme", "customer_id"), "snapshot",
    (
        AS_OF_DATE,
        Column("scheme", "varchar", "The segmentation", vocabulary=SCHEMES),
        CUSTOMER_ID,
        Column("segment", "varchar", "The customer's segment in it"),
        PUBLICATION_ID,
    ),
)  # fmt: skip
SEGMENT_SUMMARY = Table(
    "segment_summary", "One row per snapshot, scheme and segment; excluded customers are left out.",
    ("as_of_date", "scheme", "segment"), "snapshot",
    (
        AS_OF_DATE,
        Column("scheme", "varchar", "The segmentation", vocabulary=SCHEMES),
        Column("segment", "varchar", "The segment"),
        Column("customers", "bigint", "Customers in it", "count", low=1),
        Column("share", "double", "Share of the scheme's customers", "share", low=0.0, high=1.0),
        money("revenue_12m", "Net revenue of the last 12 months, summed"),
        money("margin_12m", "Net margin of the last 12 months, summed"),
        money("clv", "clv, summed; an absent one counts as 0"),
        money("clv_low", "10 % quantile of the segment total of clv: its own, not the sum of the customers'", nullable=True),
        money("clv_high", "90 % quantile of the same", nullable=True),
        Column("interval_basis", "varchar", "proven: on five or more past windows without overlap; unproven: on fewer",
               nullable=True, vocabulary=("proven", "unproven"), since="1.1"),
        money("total_value", "total_value, summed"),
        probability("avg_p_alive", "Mean p_alive of those who have one", nullable=True),
        money("at_risk_value", "Sum of value at risk of standing warnings", nullable=True),
        PUBLICATION_ID,
    ),
)  # fmt: skip
SEGMENT_PARAMETER = Table(
    "segment_parameter", "One row per snapshot, scheme and parameter: what explains a tier, score or stage.",
    ("as_of_date", "scheme", "parameter"), "snapshot",
    (
        AS_OF_DATE,
        Column("scheme", "varchar", "The segmentation", vocabulary=SCHEMES),
        Column("parameter", "varchar", "Its cut, limit or share"),
        Column("value", "double", "The value, in the unit that the parameter's name says"),
        PUBLICATION_ID,
    ),
)  # fmt: skip
PARETO_CURVE = Table(
    "pareto_curve", "One row per snapshot and percentile of customers, best first.", ("as_of_date", "customer_percentile"),
    "snapshot",
    (
        AS_OF_DATE,
        Column("customer_percentile", "integer", "The best so many per cent of customers", "per cent", low=0, high=100),
        Column("cumulative_value_share", "double", "Share of positive total_value that they hold", "share", low=0.0, high=1.0),
        PUBLICATION_ID,
    ),
)  # fmt: skip
