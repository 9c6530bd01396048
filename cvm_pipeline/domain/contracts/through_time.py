"""Customers through time: their stays in states, why their value changed, who moved where, and who of a cohort came again.

Belongs here: customer_state_history, value_change, cohort_retention, stage_transitions, tier_transitions. Not here: earlier
snapshots themselves (customer_value_history, in `customers.py`), alarms about a change (`warnings.py`).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts.declaring import AS_OF_DATE, PUBLICATION_ID, Column, Table, money, probability
from cvm_pipeline.domain.contracts.vocabularies import CAUSES, ENTRY, REMEMBERED, STAGES, TIERS

CUSTOMER_STATE_HISTORY = Table(
    "customer_state_history",
    "One row per customer, scheme and stay in a state, from snapshot to snapshot of the grid (cadence): permanent.",
    ("customer_id", "scheme", "valid_from"), "stays",
    (
        Column("customer_id", "varchar", "The customer's stable id", since="1.2"),
        Column("scheme", "varchar", "The segmentation", vocabulary=REMEMBERED, since="1.2"),
        Column("valid_from", "date", "First snapshot of the stay", since="1.2"),
        Column("valid_to", "date", "First snapshot at which it was over; null while it lasts", nullable=True,
               since="1.2"),
        Column("state", "varchar", "The customer's segment in the scheme", since="1.2"),
        Column("previous", "varchar", "The state that ended when this began; null at the first, and after a pause", nullable=True,
               since="1.2"),
        Column("reason", "varchar", "Why, in words with the numbers of the first snapshot of the stay", nullable=True, since="1.2"),
        Column("cause", "varchar", "What moved it; behaviour is the customer's, silence and the base's included; model: a refitted or another model moved clv by more than all else", vocabulary=CAUSES,
               since="1.2"),
        Column("rule_version", "bigint", "Number of the scheme's rules as configured then: segment_parameter rule_version",
               since="1.2"),
        Column("publication_id", "varchar", "The publication that last wrote the row", since="1.2"),
    ),
    may_be_empty=True,
)  # fmt: skip
VALUE_CHANGE = Table(
    "value_change",
    "One row per snapshot and customer with value then or now: the change of clv since the snapshot before on the grid, and why.",
    ("as_of_date", "customer_id"), "snapshot",
    (
        AS_OF_DATE,
        Column("customer_id", "varchar", "The customer's stable id", since="1.2"),
        money("clv_before", "clv published of the snapshot before on the grid; 0 where there was none", since="1.2"),
        money("clv", "clv of this snapshot; 0 where there is none", since="1.2"),
        money("change", "clv - clv_before: the sum of the parts that follow, exactly", since="1.2"),
        money("frequency", "By what was bought since", since="1.2"),
        money("recency", "By when it was bought", since="1.2"),
        money("time", "By time that passed without a purchase", since="1.2"),
        money("spend", "By the mean value of the own purchases", since="1.2"),
        money("margin", "By the own margin rate", since="1.2"),
        money("model", "By another model: parameters, champion, configuration", since="1.2"),
        money("correction", "By what is known now of the earlier date and was not then", since="1.2"),
        money("entry", "First value", since="1.2"),
        money("identity", "By records that were found to be one person's", since="1.2"),
        PUBLICATION_ID,
    ),
    may_be_empty=True,
)  # fmt: skip
COHORT_RETENTION = Table(
    "cohort_retention", "One row per snapshot, cohort of first transaction and period since; excluded customers are left out.",
    ("as_of_date", "cohort", "period"), "snapshot",
    (
        AS_OF_DATE,
        Column("cohort", "date", "First day of the month of the first transaction; of the quarter, where snapshots are quarterly",
               since="1.2"),
        Column("period", "integer", "Months (quarters) since the cohort's own, which is 0", "count", low=0,
               since="1.2"),
        Column("customers", "bigint", "Customers of the cohort", "count", low=1, since="1.2"),
        Column("active", "bigint", "Of them, those with a transaction in the period", "count", low=0, since="1.2"),
        Column("retention", "double", "active over customers", "share", low=0.0, high=1.0, since="1.2"),
        money("revenue", "Net revenue of the period, returns on their own day; any from before the first transaction is in period 0",
              since="1.2"),
        money("margin", "Net margin of the same", since="1.2"),
        money("cumulative_value", "Margin per customer of the cohort from its first period through this one: payback is where it "
              "passes the cost of winning one", since="1.2"),
        Column("is_complete", "boolean", "The period was over by the snapshot; in one that was not, active and money are so far",
               since="1.2"),
        PUBLICATION_ID,
    ),
    may_be_empty=True,
)  # fmt: skip


def _transitions(name: str, of: str, states: tuple[str, ...]) -> Table:
    return Table(
        name,
        f"One row per snapshot, {of} at the snapshot before on the grid, and {of} now; excluded customers are left out.",
        ("as_of_date", "from", "to"),
        "snapshot",
        (
            AS_OF_DATE,
            Column(
                "from", "varchar", f"The {of} then; entry: not known then", vocabulary=(*states, ENTRY), since="1.2"
            ),
            Column("to", "varchar", f"The {of} now", vocabulary=states, since="1.2"),
            Column(
                "customers",
                "bigint",
                "Customers who went this way, or stayed where from = to",
                "count",
                low=1,
                since="1.2",
            ),
            probability("probability", "Share of them among all who come from the same", since="1.2"),
            money("value_moved", "Their total_value now, summed", since="1.2"),
            PUBLICATION_ID,
        ),
        may_be_empty=True,
    )


STAGE_TRANSITIONS = _transitions("stage_transitions", "stage", STAGES)
TIER_TRANSITIONS = _transitions("tier_transitions", "tier", TIERS)
