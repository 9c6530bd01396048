"""What the gate's queries have in common: the named tables that each starts with, and a condition that several families use.

Belongs here: those fragments of SQL. Not here: any fact (one file per family beside this one), what the names in braces
stand for (`gate_facts.py` fills them in).
"""

from __future__ import annotations

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

# A base of fewer buyers is young: ten times as many a month later, or a tenth, is no fault of anybody.
ESTABLISHED = "(select count(*) from earlier where transactions > 0) >= 100"
