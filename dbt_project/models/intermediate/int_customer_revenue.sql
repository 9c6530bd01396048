with sales as (

    select
        customer_id,
        ordered_date as event_date,
        gross_amount as revenue,
        margin,
        cost_covered_amount as cost_covered_revenue
    from {{ ref('int_customer_days') }}

),

taken_back as (

    select
        customer_id,
        returned_date as event_date,
        -amount as revenue,
        -margin as margin,
        case when is_cost_given then -amount else 0 end as cost_covered_revenue
    from {{ ref('int_return_allocations') }}
    where customer_id is not null

),

unmatched as (

    select
        customer_id,
        returned_date as event_date,
        -amount as revenue,
        -margin as margin,
        case when is_cost_given then -amount else 0 end as cost_covered_revenue
    from {{ ref('int_unmatched_returns') }}

),

events as (

    select * from sales
    union all
    select * from taken_back
    union all
    select * from unmatched

),

placed as (

    select
        *,
        event_date > {{ months_before_as_of(12) }} as is_last_12m,
        event_date > {{ months_before_as_of(24) }} and event_date <= {{ months_before_as_of(12) }} as is_prior_12m
    from events
    where event_date <= {{ as_of_date() }}

),

by_customer as (

    select
        customer_id,
        cast(sum(revenue) as decimal(18, 4)) as revenue_total,
        cast(sum(case when is_last_12m then revenue else 0 end) as decimal(18, 4)) as revenue_12m,
        cast(sum(margin) as decimal(18, 4)) as margin_total,
        cast(sum(case when is_last_12m then margin else 0 end) as decimal(18, 4)) as margin_12m,
        cast(sum(case when is_prior_12m then margin else 0 end) as decimal(18, 4)) as margin_prior_12m,
        cast(sum(cost_covered_revenue) as decimal(18, 4)) as cost_covered_revenue
    from placed
    group by customer_id

)

select * from by_customer
