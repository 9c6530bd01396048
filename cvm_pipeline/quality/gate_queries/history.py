"""Facts about rows in themselves and against the snapshot before: dates, scores, states and stays; and the dictionary.

Belongs here: what can't be true of one customer, or of its states through time. Not here: how many customers moved
(`movement.py`), why a value changed (`change.py`).
"""

from __future__ import annotations

from dataclasses import replace

from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.quality.fact_query import none_of

# What the contract says that the dictionary holds; a null is no word, and none of these holds a quote.
_DECLARED = ", ".join(f"('{table.name}', '{column.name}')" for table in TABLES for column in table.columns)

HISTORY = (
    none_of(
        "purchase_histories_impossible", "Customers whose dates, frequency, recency and T contradict each other",
        """select customer_id, transactions, frequency, recency, "T", days_since_last, monetary_value from history where case
          when transactions = 0 then frequency <> 0 or monetary_value <> 0 or coalesce(recency, "T", days_since_last) is not null
            or coalesce(first_order_date, last_order_date) is not null
          else recency is null or "T" is null or days_since_last is null or first_order_date is null or last_order_date is null
            or frequency <> transactions - 1 or recency > "T" or recency < frequency or (recency = 0) <> (frequency = 0)
            or (frequency = 0 and monetary_value <> 0) or days_since_last <> "T" - recency
            or recency <> date_diff('day', first_order_date, last_order_date)
            or "T" <> date_diff('day', first_order_date, as_of_date) end""",
    ),
    none_of(
        "prospects_misplaced", "Customers whose tier D, stage prospect, scores and purchases contradict each other",
        """select customer_id, transactions, value_tier, lifecycle_stage, rfm_cell from history where
          (transactions = 0) <> (value_tier = 'D') or (transactions = 0) <> (lifecycle_stage = 'prospect')
          or (transactions = 0 and coalesce(rfm_cell, rfm_segment) is not null)""",
    ),
    none_of(
        "scores_without_their_cell", "Customers whose rfm_cell is not their three scores, or has no name",
        """select customer_id, r_score, f_score, m_score, rfm_cell, rfm_segment from history where
          rfm_cell is distinct from r_score::varchar || f_score::varchar || m_score::varchar
          or (rfm_cell is null) <> (rfm_segment is null)""",
    ),
    none_of(
        "previous_states_that_differ", "Customers whose previous tier or stage is not the one published then",
        """select h.customer_id, h.previous_tier, m.value_tier as tier_then, h.previous_stage, m.lifecycle_stage as stage_then
        from history h left join memory m using (customer_id)
        where h.previous_tier is distinct from m.value_tier or h.previous_stage is distinct from m.lifecycle_stage""",
    ),
    # A changed rule of the configuration is a genuine cause; one of the code is accepted by hand, so its check is relative.
    replace(
        none_of(
            "stage_transitions_forbidden", "Customers who left lost, or became new again, without a purchase, corrected data or changed rules",
            """select h.customer_id, m.lifecycle_stage as stage_then, h.lifecycle_stage, m.last_order_date as last_order_then,
              h.last_order_date
            from history h join memory m using (customer_id) where h.first_order_date = m.first_order_date and (
              (m.lifecycle_stage = 'lost' and h.lifecycle_stage <> 'lost' and h.transactions = m.transactions
                and h.last_order_date = m.last_order_date)
              or (h.lifecycle_stage = 'new' and m.lifecycle_stage not in ('new', 'prospect')))
            and (select count(distinct value) from {candidate}.segment_parameter where scheme = 'stage'
              and parameter = 'rule_version' and as_of_date in ($as_of_date::date, $memory_date::date)) < 2""",
        ),
        low=None, high=None,
    ),
    none_of(
        "states_that_differ", "Customers whose state at this snapshot is not the one that customer_state_history has for it",
        """select coalesce(s.customer_id, h.customer_id) as customer_id, coalesce(s.scheme, h.scheme) as scheme,
          h.state as in_history, s.state as in_stays
        from (select customer_id, unnest(['tier', 'stage', 'rfm', 'warning', 'value_matrix']) as scheme,
                unnest([value_tier, lifecycle_stage, rfm_segment, warning_level, value_matrix]) as state from history) h
        full join (select customer_id, scheme, state from {candidate}.customer_state_history
                   where valid_from <= $as_of_date and coalesce(valid_to > $as_of_date, true)) s
          on s.customer_id = h.customer_id and s.scheme = h.scheme
        where h.state is distinct from s.state""",
        nullable_unless="(select is_on_grid from day)",
    ),
    none_of(
        "stays_that_overlap", "Stays that begin before the one before them in the scheme has ended, or end before they begin",
        """select customer_id, scheme, valid_from, valid_to from {candidate}.customer_state_history
        where valid_to is null or valid_to >= $as_of_date
        qualify valid_to <= valid_from
          or coalesce(lag(valid_to, 1, valid_from) over (partition by customer_id, scheme order by valid_from) > valid_from, true)""",
    ),
    none_of(
        "dictionary_differs", "Columns in one only of the contract and data_dictionary",
        f"""select coalesce(d."table", c."table") as "table", coalesce(d."column", c."column") as "column"
        from {{candidate}}.data_dictionary d full join (values {_DECLARED}) c("table", "column")
          on c."table" = d."table" and c."column" = d."column" where c."table" is null or d."table" is null""",
    ),
)  # fmt: skip
