"""Early warning's tables: the alarms, the tests behind them, and what became of earlier alarms.

Belongs here: early_warning, warning_test, warning_record. Not here: the level that stands at a customer (`customers.py`).
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
from cvm_pipeline.domain.contracts.vocabularies import WARNING_LEVELS

EARLY_WARNING = Table(
    "early_warning", "One row per snapshot and customer with an alarm, newly raised or standing.", ("as_of_date", "customer_id"),
    "snapshot",
    (
        AS_OF_DATE,
        CUSTOMER_ID,
        Column("status", "varchar", "new: raised at this snapshot; standing: raised before and not lapsed", vocabulary=("new", "standing"),
               since="1.2"),
        Column("level", "varchar", "By value_at_risk: watch, warning from the median clv of the base, critical from its 90 % quantile",
               vocabulary=WARNING_LEVELS, since="1.2"),
        Column("signals", "varchar", "What fell beyond chance", vocabulary=("frequency", "spend", "frequency, spend"), since="1.2"),
        Column("window_days", "integer", "The customer's own window, which ended on raised_on", "days", low=1,
               since="1.2"),
        probability("p_value", "Probability of so little in the window while nothing has changed: the smaller chance of the signals tested, times their number", since="1.2"),
        money("value_at_risk", "What the fall puts at risk: value if alive x (1 - p_alive), or the fall of clv if larger", low=0,
              since="1.2"),
        Column("reasons", "varchar", "Why, in words with the numbers; chance: of that signal alone, p_frequency or p_spend of warning_test", since="1.2"),
        Column("raised_on", "date", "Snapshot at which it was raised", since="1.2"),
        Column("lapses_on", "date", "Day from which the customer is tested again: one window later", since="1.2"),
        PUBLICATION_ID,
    ),
    may_be_empty=True,
)  # fmt: skip
WARNING_TEST = Table(
    "warning_test", "One row per snapshot and customer with a window: what was expected of it, what came, and how likely that was.",
    ("as_of_date", "customer_id"), "snapshot",
    (
        AS_OF_DATE,
        CUSTOMER_ID,
        Column("window_days", "integer", "The customer's own window, which ends at the snapshot", "days", low=1, since="1.2"),
        Column("expected_transactions", "double", "Transactions expected in it while alive at an unchanged rate, by what was known at its start",
               "count", low=0, since="1.2"),
        Column("expected_with_attrition", "double", "The same with the chance of having gone inside: what the base's index is taken over",
               "count", low=0, since="1.2"),
        Column("observed_transactions", "bigint", "Transactions that came", "count", low=0, since="1.2"),
        Column("base_index", "double", "Factor on what is expected: how the base itself moved in this window", "ratio", low=0.3, high=3.0,
               since="1.2"),
        probability("p_frequency", "P(no more transactions than came) while nothing has changed", since="1.2"),
        probability("p_spend", "P(no more spent in so many transactions) while nothing has changed; null without a model of spend",
                    nullable=True, since="1.2"),
        probability("p_value", "The smaller of the two times their number", since="1.2"),
        Column("is_testable", "boolean", "Silence alone could have shown something: the customer is in the family that is tested", since="1.2"),
        Column("is_raised", "boolean", "An alarm was raised", since="1.2"),
        PUBLICATION_ID,
    ),
    may_be_empty=True,
)  # fmt: skip
WARNING_RECORD = Table(
    "warning_record", "One row per snapshot and level of alarm: what became of the alarms whose next window ended in the last 365 days.",
    ("as_of_date", "level"), "snapshot",
    (
        AS_OF_DATE,
        Column("level", "varchar", "Level of the alarms; all: of every level", vocabulary=("all", *WARNING_LEVELS), since="1.2"),
        Column("tested", "bigint", "Customers tested at the snapshots of the record", "count", low=0, since="1.2"),
        Column("not_testable", "bigint", "Customers with a window there whom no silence could have shown", "count", low=0, since="1.2"),
        Column("warned", "bigint", "Alarms raised there", "count", low=0, since="1.2"),
        Column("fell", "bigint", "Warned customers who in the window after the alarm bought less than expected before it", "count", low=0,
               since="1.2"),
        Column("base_rate", "double", "Share that fell among unwarned tested customers of the same snapshot and decile (of those tested) of expected count; null where no warned one has such a match", "share", nullable=True, low=0.0,
               high=1.0, since="1.2"),
        Column("lift", "double", "Share that fell of the warned who have such a match, over base_rate", "ratio", nullable=True, low=0, since="1.2"),
        Column("not_fallen_share", "double", "Share of the warned who did not fall", "share", nullable=True, low=0.0, high=1.0, since="1.2"),
        Column("base_index", "double", "Mean index of the tests of the record", "ratio", nullable=True, low=0.3, high=3.0, since="1.2"),
        Column("median_lead_days", "double", "Median time from the alarm to the first snapshot in stage lost, of those not lost already", "days", nullable=True, low=0,
               since="1.2"),
        PUBLICATION_ID,
    ),
)  # fmt: skip
