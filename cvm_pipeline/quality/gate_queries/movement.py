"""Facts about movement: cohorts and transitions count the customers of customer_value, all of them and no others.

Belongs here: cohort_retention, the transition tables, places in the value matrix. Not here: one customer's stays
(`history.py`).
"""

from __future__ import annotations

from cvm_pipeline.quality.fact_query import FactQuery, difference, none_of

_IN_COHORTS = "from history where not is_excluded and transactions > 0"

MOVEMENT = (
    difference(
        "cohort_revenue_difference", "Net revenue of all cohorts and periods less that of their customers",
        "select sum(revenue) from cohorts", f"select sum(revenue_total) {_IN_COHORTS}",
    ),
    difference(
        "cohort_margin_difference", "Net margin of all cohorts and periods less that of their customers",
        "select sum(margin) from cohorts", f"select sum(margin_total) {_IN_COHORTS}",
    ),
    FactQuery(
        "cohort_customers_difference", "Customers of all cohorts less the buyers that are not excluded",
        f"""select cohort - buyers, cohort::varchar, buyers::varchar
        from (select coalesce(sum(customers), 0)::bigint as cohort from cohorts where period = 0),
          (select count(*) as buyers {_IN_COHORTS})""",
        low=0, high=0,
    ),
    none_of(
        "cohorts_impossible", "Cohort periods whose customers, active ones and retention contradict each other",
        """select cohort, period, customers, active, retention from cohorts
        where active > customers or (period = 0 and active <> customers) or abs(retention - active / customers) > 1e-9""",
    ),
    none_of(
        "transitions_that_differ", "Moves whose customers or value are not those of customer_value, missing ones included",
        """select coalesce(m.scheme, c.scheme) as scheme, coalesce(m."from", c."from") as "from", coalesce(m."to", c."to") as "to",
          m.customers, c.customers as of_customers, m.value_moved, c.value_moved as value_of_customers
        from moved m full join (select scheme, "from", "to", count(*) as customers, sum(total_value) as value_moved
          from (select unnest(['stage', 'tier']) as scheme, total_value,
                  unnest([coalesce(previous_stage, 'entry'), coalesce(previous_tier, 'entry')]) as "from",
                  unnest([lifecycle_stage, value_tier]) as "to"
                from history, day where not is_excluded and memory_date is not null) group by all) c
          on c.scheme = m.scheme and c."from" = m."from" and c."to" = m."to"
        where m.customers is distinct from c.customers or m.value_moved is distinct from c.value_moved""",
    ),
    none_of(
        "transition_rows_not_adding_up", "States whose probabilities do not add up to 1",
        """select scheme, "from", sum(probability) as total from moved group by all having abs(sum(probability) - 1) > 1e-9""",
    ),
    none_of(
        "value_matrix_misplaced", "Prospects with a place in the value matrix, and buyers without one where there are cuts",
        """select customer_id, transactions, value_matrix from history where (transactions = 0 and value_matrix is not null)
          or (transactions > 0 and value_matrix is null and (select count(*) from history where transactions > 0 and not is_excluded) > 0)""",
    ),
)  # fmt: skip
