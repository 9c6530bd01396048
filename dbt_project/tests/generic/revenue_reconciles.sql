{# The snapshot's revenue is, to the last digit, sales less returns as the facts hold them by the snapshot's day. #}
{% test revenue_reconciles(model, days, allocations, unmatched) %}

with facts as (

    select gross_amount as amount from {{ days }} where ordered_date <= {{ as_of_date() }}
    union all
    select -amount from {{ allocations }} where returned_date <= {{ as_of_date() }} and customer_id is not null
    union all
    select -amount from {{ unmatched }} where returned_date <= {{ as_of_date() }}

),

expected as (

    select coalesce(sum(amount), 0) as revenue from facts

),

found as (

    select coalesce(sum(revenue_total), 0) as revenue from {{ model }} where as_of_date = {{ as_of_date() }}

)

select expected.revenue as expected, found.revenue as found
from expected
cross join found
where expected.revenue <> found.revenue

{% endtest %}
