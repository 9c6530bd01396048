"""Facts about segments: membership as the customers' rows have it, sums over members, ranks and the curve of value.

Belongs here: what the segment tables say against customer_value. Not here: moves between segments (`movement.py`), value at
risk (`warnings.py`).
"""

from __future__ import annotations

from cvm_pipeline.quality.fact_query import FactQuery, none_of

_SUMMED = ("revenue_12m", "margin_12m", "clv", "total_value")

SEGMENTS = (
    none_of(
        "membership_that_differs", "Memberships that are not what the customer's own row says, missing ones included",
        """select coalesce(s.customer_id, m.customer_id) as customer_id, coalesce(s.scheme, m.scheme) as scheme,
          s.segment as in_history, m.segment as in_membership
        from (select customer_id, unnest(['tier', 'stage', 'rfm', 'type', 'value_matrix', 'warning']) as scheme,
                unnest([value_tier, lifecycle_stage, rfm_segment, customer_type, value_matrix, warning_level]) as segment from history) s
        full join (select customer_id, scheme, segment from membership
          where scheme in ('tier', 'stage', 'rfm', 'type', 'value_matrix', 'warning')) m
          on m.customer_id = s.customer_id and m.scheme = s.scheme
        where s.customer_id is null or (s.segment is not null and m.segment is distinct from s.segment)""",
    ),
    none_of(
        "segments_that_do_not_reconcile", "Segments whose customers in the summary are not those of the membership",
        """select coalesce(s.scheme, m.scheme) as scheme, coalesce(s.segment, m.segment) as segment,
          s.customers as in_summary, m.customers as in_membership
        from summary s full join (select scheme, segment, count(*) as customers from membership
          join history using (customer_id) where not is_excluded group by all) m
          on m.scheme = s.scheme and m.segment = s.segment
        where s.customers is distinct from m.customers""",
    ),
    none_of(
        "segment_sums_that_do_not_reconcile", "Segments whose money in the summary is not the sum over their customers",
        "select s.scheme, s.segment, "
        + ", ".join(f"s.{name} as {name}_in_summary, m.{name} as {name}_of_customers" for name in _SUMMED)
        + " from summary s join (select scheme, segment, "
        + ", ".join(f"sum(coalesce({name}, 0)) as {name}" for name in _SUMMED)
        + """ from membership join history using (customer_id) where not is_excluded group by all) m
          on m.scheme = s.scheme and m.segment = s.segment where """
        + " or ".join(f"s.{name} <> m.{name}" for name in _SUMMED),
    ),
    none_of(
        "pareto_curve_falls", "Percentiles at which the cumulated share falls",
        """select customer_percentile, cumulative_value_share from curve
        qualify cumulative_value_share < lag(cumulative_value_share) over (order by customer_percentile) - 1e-9""",
    ),
    FactQuery(
        "pareto_curve_end", "Share of value held by all customers; null where nobody has any",
        """select case when (select count(*) from history where total_value > 0 and not is_excluded) > 0
          then coalesce(max(cumulative_value_share) filter (where customer_percentile = 100), 0) end,
          max(cumulative_value_share) filter (where customer_percentile = 100)::varchar, '1' from curve""",
        type="double", nullable=True,
    ),
    FactQuery(
        "value_ranks_missing", "Ranks of 1 .. n that nobody holds",
        """select count(*) - count(distinct value_rank) filter (where value_rank <= (select count(*) from history)),
        count(distinct value_rank)::varchar || ' ranks', count(*)::varchar || ' ranks' from history""",
        low=0, high=0,
    ),
)  # fmt: skip
