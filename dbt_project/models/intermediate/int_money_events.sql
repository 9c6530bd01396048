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

)

select * from events
