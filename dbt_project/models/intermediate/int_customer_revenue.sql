with events as (

    select * from {{ ref('int_money_events') }}

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
