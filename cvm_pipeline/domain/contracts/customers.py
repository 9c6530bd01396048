"""The customers' tables: what each has bought, is worth and where it stands, and who it is, with personal data apart.

Belongs here: customer_value and customer_value_history, which hold the same columns, customer, customer_pii. Not here: what
customers come to together (`segments.py`), how one came to stand where it does (`through_time.py`).
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
from cvm_pipeline.domain.contracts.vocabularies import (
    CUSTOMER_TYPES,
    EXCLUSIONS,
    RFM_SEGMENTS,
    STAGES,
    TIERS,
    VALUE_MATRIX,
    WARNING_LEVELS,
)

_VALUE_COLUMNS = (
    AS_OF_DATE,
    CUSTOMER_ID,
    Column("customer_type", "varchar", "individual or company, where a source says so", nullable=True,
           vocabulary=CUSTOMER_TYPES),
    Column("first_order_date", "date", "Day of the first transaction", nullable=True),
    Column("last_order_date", "date", "Day of the last transaction", nullable=True),
    Column("transactions", "bigint", "Days with at least one order that stands", "count", low=0),
    Column("frequency", "bigint", "Transactions after the first (x)", "count", low=0),
    Column("recency", "bigint", "First to last transaction (t_x)", "days", nullable=True, low=0),
    Column("T", "bigint", "First transaction to the snapshot", "days", nullable=True, low=0),
    money("monetary_value", "Mean net value of the repeat transactions; 0 where there are none"),
    Column("days_since_last", "bigint", "Last transaction to the snapshot", "days", nullable=True, low=0),
    Column("gap_median", "double", "Typical gap between transactions, shrunk to the base's", "days", nullable=True,
           low=0),
    Column("gap_limit", "double", "Silence beyond which the customer is out of rhythm", "days", nullable=True, low=0),
    money("revenue_total", "Net revenue so far"),
    money("revenue_12m", "Net revenue of the last 12 months"),
    money("margin_total", "Revenue less cost of goods less cost to serve, so far"),
    money("margin_12m", "The same for the last 12 months"),
    probability("p_alive", "Probability that the customer still buys", nullable=True),
    Column("expected_transactions_12m", "double", "Expected transactions in the next 12 months", "count", nullable=True, low=0),
    money("expected_spend", "Expected net value of one future transaction", nullable=True),
    money("clv_12m", "Expected discounted margin of the next 12 months", nullable=True),
    money("clv_36m", "Expected discounted margin of the next 36 months", nullable=True),
    money("clv", "Expected discounted margin over clv.horizon", nullable=True),
    money("clv_low", "10 % quantile of the customer's own discounted margin over clv.horizon", nullable=True),
    money("clv_high", "90 % quantile of the same", nullable=True),
    Column("interval_basis", "varchar", "backtest: on held-out windows as long as the horizon; model: on the models' word for the rest",
           nullable=True, vocabulary=("backtest", "model")),
    money("existing_value", "Net margin so far"),
    money("potential_value", "clv and expected cross-sell", nullable=True),
    money("influence_value", "Share of the potential of customers referred", nullable=True),
    money("influence_passed", "Share of the own potential passed up to the referrer", nullable=True),
    money("total_value", "Potential + influence received - influence passed up"),
    Column("value_rank", "bigint", "1 = the largest total_value; ties by customer_id", "rank", low=1),
    Column("value_percentile", "double", "1 - (value_rank - 1) / customers; 1 = best", "share", low=0.0, high=1.0),
    Column("value_tier", "varchar", "A, B, C by cumulated share of value; D never bought", vocabulary=TIERS),
    Column("previous_tier", "varchar", "Tier at the snapshot before on the grid", nullable=True, vocabulary=TIERS),
    Column("r_score", "integer", "Recency score, 5 = most recent", "1..5", nullable=True, low=1, high=5),
    Column("f_score", "integer", "Frequency score, 5 = most frequent", "1..5", nullable=True, low=1, high=5),
    Column("m_score", "integer", "Monetary score, 5 = largest mean transaction", "1..5", nullable=True, low=1, high=5),
    Column("rfm_cell", "varchar", "The three scores together, such as 543", nullable=True),
    Column("rfm_segment", "varchar", "Name of the cell", nullable=True, vocabulary=RFM_SEGMENTS),
    Column("lifecycle_stage", "varchar", "Where the customer stands in its life", vocabulary=STAGES),
    Column("previous_stage", "varchar", "Stage at the snapshot before on the grid", nullable=True, vocabulary=STAGES),
    Column("stage_since", "date", "First snapshot of the present stay in the stage"),
    Column("stage_reason", "varchar", "Why, in words with the numbers"),
    Column("is_loyal", "boolean", "Frequency and tenure in the upper third, p_alive above .8, no open complaint"),
    Column("warning_level", "varchar", "Level of the early warning that stands", nullable=True,
           vocabulary=WARNING_LEVELS),
    Column("value_matrix", "varchar", "margin_12m x clv, high above the median of buyers: star (high, high), grow (low, high), "
           "harvest (high, low), maintain (low, low); null for prospects", nullable=True,
           vocabulary=VALUE_MATRIX),
    Column("needs", "varchar", "Needs by configured rules", nullable=True, vocabulary=("basic", "functional", "experience")),
    Column("behaviour_cluster", "varchar", "Cluster of behaviour", nullable=True),
    Column("is_excluded", "boolean", "Flagged, and therefore out of fits, cut points and segment averages"),
    Column("exclusion_reason", "varchar", "The flag", nullable=True, vocabulary=EXCLUSIONS),
    Column("clv_model", "varchar", "The champion, which gave clv and every expectation (who gave p_alive: clv_model_card); null for prospects", nullable=True),
    PUBLICATION_ID,
)  # fmt: skip

CUSTOMER_VALUE = Table(
    "customer_value",
    "One row per customer or prospect, at the newest snapshot.",
    ("customer_id",),
    "newest",
    _VALUE_COLUMNS,
)
CUSTOMER_VALUE_HISTORY = Table(
    "customer_value_history", "One row per snapshot and customer or prospect.", ("as_of_date", "customer_id"), "snapshot",
    _VALUE_COLUMNS,
)  # fmt: skip
CUSTOMER = Table(
    "customer", "One row per customer or prospect: the golden record without direct identifiers.", ("customer_id",), "newest",
    (
        CUSTOMER_ID,
        Column("customer_type", "varchar", "individual or company", nullable=True, vocabulary=CUSTOMER_TYPES),
        Column("country", "varchar", "Country as the source writes it", nullable=True),
        Column("region", "varchar", "Region as the source writes it", nullable=True),
        Column("city", "varchar", "City as the source writes it", nullable=True),
        Column("industry", "varchar", "Industry of a company", nullable=True),
        Column("size_band", "varchar", "Employees in bands: 1-9, 10-49, 50-249, 250-999, 1000+", nullable=True,
               vocabulary=("1-9", "10-49", "50-249", "250-999", "1000+")),
        Column("acquisition_channel", "varchar", "Channel that won the customer", nullable=True),
        Column("first_order_date", "date", "Day of the first transaction", nullable=True),
        Column("last_order_date", "date", "Day of the last transaction", nullable=True),
        Column("is_prospect", "boolean", "No transaction yet"),
        PUBLICATION_ID,
    ),
)  # fmt: skip
CUSTOMER_PII = Table(
    "customer_pii", "One row per customer or prospect with a direct identifier: kept apart from all else.", ("customer_id",),
    "newest",
    (
        CUSTOMER_ID,
        Column("name", "varchar", "Name", nullable=True),
        Column("email", "varchar", "E-mail address", nullable=True),
        Column("phone", "varchar", "Telephone number", nullable=True),
        Column("birth_date", "date", "Date of birth", nullable=True),
        PUBLICATION_ID,
    ),
    schema="cvm_pii", may_be_empty=True,
)  # fmt: skip
