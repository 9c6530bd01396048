"""The gate's facts, one query each: what no check of a single column can see.

Belongs here: reconciliation with the facts, comparisons with the earlier snapshot, model sanity, each as SQL that ends in one
row (value, actual, expected), and where a count can be pointed at, the SQL of the rows behind it.
Not here: thresholds (`expectations/gate_fact.json`), running the queries (`gate_facts.py`).

Sums and reconciliations are computed by the engine in exact decimals: a column sum over Decimal objects takes minutes.
"""

from __future__ import annotations

from dataclasses import replace

from cvm_pipeline.domain.contracts import MONEY, TABLES, VALUE_CHANGE_PARTS, Column, Table
from cvm_pipeline.quality.fact_query import FactQuery, difference, none_of, ratio

# Common table expressions that every query starts with. {candidate}, {pii}, {marts} and {earlier} are qualified names.
PREAMBLE = """
with day as (select $as_of_date::date as today, $memory_date::date as memory_date, $is_on_grid::boolean as is_on_grid),
history as (select * from {candidate}.customer_value_history where as_of_date = $as_of_date),
newest as (select * from {candidate}.customer_value),
facts as (select * from {marts}.fct_customer_snapshot where as_of_date = $as_of_date),
membership as (select * from {candidate}.segment_membership where as_of_date = $as_of_date),
summary as (select * from {candidate}.segment_summary where as_of_date = $as_of_date),
curve as (select * from {candidate}.pareto_curve where as_of_date = $as_of_date),
card as (select * from {candidate}.clv_model_card where as_of_date = $as_of_date and cut_date = 'all'),
sales as (select * from {marts}.fct_orders where not is_return and customer_id is not null
  and ordered_date <= $as_of_date and (void_date is null or void_date > ordered_date)),
taken_back as (select * from {marts}.fct_return_allocations where customer_id is not null and returned_date <= $as_of_date),
unmatched as (select * from {marts}.fct_unmatched_returns where returned_date <= $as_of_date),
earlier as (select * from {earlier} where as_of_date = (select max(as_of_date) from {earlier} where as_of_date < $as_of_date)),
earlier_card as (select * from {candidate}.clv_model_card
  where as_of_date = (select max(as_of_date) from earlier) and cut_date = 'all'),
memory as (select * from {earlier} where as_of_date = $memory_date),
change as (select * from {candidate}.value_change where as_of_date = $as_of_date),
alarms as (select * from {candidate}.early_warning where as_of_date = $as_of_date),
pace as (select sum(transactions) as transactions, sum(transactions_12m) as transactions_12m, sum(net_sales) as net_sales,
  sum(net_sales_12m) as net_sales_12m, greatest(date_diff('day', min(first_order_date), $as_of_date::date) + 1, 1) / 365.25 as years
  from facts where flag is null),
cohorts as (select * from {candidate}.cohort_retention where as_of_date = $as_of_date),
moved as (select 'stage' as scheme, * from {candidate}.stage_transitions where as_of_date = $as_of_date
  union all select 'tier', * from {candidate}.tier_transitions where as_of_date = $as_of_date),
"""

_PASSED_THROUGH = (
    "transactions", "frequency", "recency", '"T"', "monetary_value", "days_since_last", "gap_median", "gap_limit",
    "first_order_date", "last_order_date", "revenue_total", "revenue_12m", "margin_total", "margin_12m",
)  # fmt: skip
_SUMMED = ("revenue_12m", "margin_12m", "clv", "total_value")
_IN_WINDOW = "> $as_of_date::date - interval 12 month"
# A base of fewer buyers is young: ten times as many a month later, or a tenth, is no fault of anybody.
_ESTABLISHED = "(select count(*) from earlier where transactions > 0) >= 100"
_CLV = "select coalesce(sum(clv), 0) from history where not is_excluded"
_CLV_EARLIER = "select sum(clv) from earlier where not is_excluded"
# What the contract says that the dictionary holds; a null is no word, and none of these holds a quote.
_DECLARED = ", ".join(f"('{table.name}', '{column.name}')" for table in TABLES for column in table.columns)

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
        f"select count(*) from earlier where transactions > 0 having {_ESTABLISHED}",
    ),
)  # fmt: skip

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

MODEL = (
    FactQuery(
        "champions", "Models named champion", """select count(*), coalesce(string_agg(model, ', '), 'none'), '1 model' from card
        where metric = 'is_champion' and value = 1""", low=1, high=1,
    ),
    FactQuery(
        "models_that_give_p_alive", "Models that give p_alive",
        """select count(*), coalesce(string_agg(model, ', '), 'none'), '1 model' from card
        where metric = 'gives_p_alive' and value = 1""", low=1, high=1,
    ),
    none_of(
        "champions_unsound", "Champions that neither converged nor are a fallback with its reason",
        """select model from card where metric = 'is_champion' and value = 1
          and model not in (select model from card where metric = 'converged' and value = 1)
          and model not in (select model from card where metric = 'fallback' and value = 1 and trim(coalesce(note, '')) <> '')""",
    ),
    replace(
        none_of(
            "champions_worse_than_naive", "Champions that a naive forecast beats on held-out windows",
            "select model, note from card where metric = 'gate_blocked' and value = 1",
        ),
        low=None, high=None,
    ),
    replace(
        none_of(
            "champions_warned", "Champions that a naive forecast beats in ranking or mean error",
            "select model, note from card where metric = 'gate_warned' and value = 1",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "champions_unjudged", "Champions that no window of the past has judged",
            "select model, note from card where metric = 'backtest_cuts' and value = 0",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "champions_that_gave_up_a_model", "Champions that are a naive forecast or a fallback, where the snapshot before had a model",
            """select now.model, now.note from (select * from card where metric = 'fallback' and value = 1) now
            join (select model from card where metric = 'is_champion' and value = 1) using (model)
            where exists (select 1 from earlier_card c join earlier_card f using (model)
              where c.metric = 'is_champion' and c.value = 1 and f.metric = 'fallback' and f.value = 0)""",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "intervals_unsound", "Champions whose intervals do not hold what they promise on held-out windows",
            "select model, note from card where metric = 'interval_is_sound' and value = 0",
        ),
        low=None, high=None, must_block=False,
    ),
    FactQuery(
        "largest_model_drift", "Largest move of a parameter or measure since the snapshot before, in standard errors",
        """select max(abs(value)), coalesce(max_by(model || ' ' || metric, abs(value)), 'nothing to compare with'), 'at most 4'
        from card where starts_with(metric, 'drift_')""",
        type="double", nullable=True, must_block=False,
    ),
    none_of(
        "buyers_without_value", "Customers with a purchase, not excluded, that the model left without an answer",
        """select customer_id, transactions, p_alive, expected_transactions_12m, clv from history
        where transactions > 0 and not is_excluded and (p_alive is null or expected_transactions_12m is null
          or expected_spend is null or clv is null or clv_12m is null or clv_36m is null or clv_model is null)""",
    ),
    none_of(
        "intervals_reversed", "Customers with clv_low above clv_high, or one of them only",
        """select customer_id, clv_low, clv, clv_high from history
        where clv_low > clv_high or (clv_low is null) <> (clv_high is null)""",
    ),
    ratio(
        "expected_transactions_against_past",
        "Expected transactions of the next 12 months over the base's own yearly pace: the last 12 months or all its years",
        "select sum(expected_transactions_12m) from history where not is_excluded",
        "select greatest(transactions_12m / least(years, 1), transactions / years) from pace",
    ),
    ratio(
        "clv_12m_against_past", "clv of the next 12 months over the base's own yearly net sales, likewise",
        "select sum(clv_12m) from history where not is_excluded",
        "select greatest(net_sales_12m / least(years, 1), net_sales / years) from pace",
    ),
    ratio(
        "clv_against_earlier", "clv of all customers over that of the newest snapshot of an earlier date",
        _CLV, _CLV_EARLIER, must_block=False,
    ),
    ratio(
        "clv_against_an_established_base", "The same; null where the earlier snapshot had fewer than 100 buyers",
        _CLV, f"{_CLV_EARLIER} having {_ESTABLISHED}",
    ),
)  # fmt: skip

# Without the model of the snapshot before nothing can be divided, and the card says so.
_IS_SPLIT = """(select memory_date is not null from day)
  and exists (from card where metric = 'value_change_split' and value = 1)"""

CHANGE = (
    none_of(
        "value_changes_that_do_not_add_up", "Customers whose change of value is not clv less clv_before, or not the sum of its parts",
        f"""select customer_id, clv_before, clv, change, {", ".join(VALUE_CHANGE_PARTS)} from change
        where change <> clv - clv_before or change <> {" + ".join(VALUE_CHANGE_PARTS)}""",
    ),
    none_of(
        "value_changes_that_differ", "Customers whose clv, now or then, is not the one in value_change, missing ones included",
        """select customer_id, p.clv_before as published_then, c.clv_before, p.clv as published_now, c.clv
        from (select customer_id, m.clv as clv_before, h.clv from history h full join memory m using (customer_id)
          where coalesce(m.clv, h.clv) is not null) p
        full join change c using (customer_id)
        where c.clv_before is distinct from coalesce(p.clv_before, 0) or c.clv is distinct from coalesce(p.clv, 0)""",
        nullable_unless=_IS_SPLIT,
    ),
    FactQuery(
        "value_change_difference", "Sum of the parts of all changes less the change of the base's clv since the snapshot before",
        f"""select case when {_IS_SPLIT} then (parts - moved)::{MONEY} end, parts::varchar, moved::varchar
        from (select (select coalesce(sum({" + ".join(VALUE_CHANGE_PARTS)}), 0) from change) as parts,
          (select coalesce(sum(clv), 0) from history) - (select coalesce(sum(clv), 0) from memory) as moved)""",
        type=MONEY, low=0, high=0, nullable=True,
    ),
)  # fmt: skip

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

WARNINGS = (
    none_of(
        "warnings_that_differ", "Customers whose warning_level is not their alarm's, and alarms of excluded or unknown customers",
        """select coalesce(h.customer_id, w.customer_id) as customer_id, h.warning_level, w.level, h.is_excluded
        from history h full join alarms w using (customer_id)
        where h.warning_level is distinct from w.level or (w.level is not null and h.is_excluded)""",
    ),
    none_of(
        "alarms_raised_twice", "Alarms raised while one stands, and standing ones that are not as they were raised",
        """select w.customer_id, w.status, w.raised_on, w.lapses_on, m.raised_on as raised_then, m.lapses_on as lapses_then
        from alarms w left join (select * from {candidate}.early_warning where as_of_date = $memory_date) m using (customer_id)
        where (w.status = 'new' and (w.raised_on <> w.as_of_date or coalesce(m.lapses_on > w.as_of_date, false)))
          or (w.status = 'standing' and (w.lapses_on <= w.as_of_date or w.raised_on is distinct from m.raised_on
            or w.lapses_on is distinct from m.lapses_on or w.level is distinct from m.level))""",
    ),
    none_of(
        "alarms_without_their_test", "New alarms without a test that raised them, and such tests without an alarm",
        """select coalesce(w.customer_id, t.customer_id) as customer_id, w.p_value as of_alarm, t.p_value as of_test
        from (select * from alarms where status = 'new') w
        full join (select * from {candidate}.warning_test where as_of_date = $as_of_date and is_raised) t using (customer_id)
        where w.p_value is distinct from t.p_value or not t.is_testable""",
    ),
    none_of(
        "tests_against_their_threshold", "Tests that raised an alarm above the published threshold, or raised none below it",
        """select customer_id, p_value, is_testable, is_raised, threshold from {candidate}.warning_test
        cross join (select max(value) filter (where parameter = 'largest_p_raised_probability') as threshold
          from {candidate}.segment_parameter where as_of_date = $as_of_date and scheme = 'warning') told
        where as_of_date = $as_of_date and is_raised is distinct from (is_testable and p_value <= coalesce(threshold, 0) and p_value < 1)""",
    ),
    replace(
        none_of(
            "base_left_untested", "Bases of regular buyers of whom nobody was tested for a warning",
            """select count(*) as regular_buyers from history, day where not is_excluded and frequency >= 12 and "T" >= 365
              and p_alive >= 0.8 and days_since_last <= gap_median and not exists (select 1 from {candidate}.warning_test
              where as_of_date = $as_of_date) having count(*) >= 30""",
        ),
        low=None, high=None, must_block=False,
    ),
    none_of(
        "value_at_risk_that_does_not_reconcile", "Segments whose at_risk_value is not the sum over their customers' alarms",
        """select s.scheme, s.segment, s.at_risk_value as in_summary, m.at_risk as of_alarms
        from summary s join (select scheme, segment, sum(coalesce(w.value_at_risk, 0)) as at_risk from membership
          join history using (customer_id) left join alarms w using (customer_id) where not is_excluded group by all) m
          on m.scheme = s.scheme and m.segment = s.segment where s.at_risk_value is distinct from m.at_risk""",
    ),
)  # fmt: skip

FACTS: tuple[FactQuery, ...] = (*CUSTOMERS, *MONEY_FACTS, *SEGMENTS, *HISTORY, *MODEL, *CHANGE, *MOVEMENT, *WARNINGS)

GATE_FACT = Table(
    "gate_fact", "One row: the facts of one candidate, a column each.", ("as_of_date",), "snapshot",
    (
        Column("as_of_date", "date", "Snapshot that was judged"),
        # Nullable to the suite, since FactTable itself refuses a null where there must be none.
        *(Column(fact.name, fact.type, fact.meaning, nullable=True, low=fact.low, high=fact.high) for fact in FACTS),
    ),
    schema="work",
)  # fmt: skip
