{{ config(materialized='table') }}

with days as (

    select * from {{ ref('int_standing_days') }}

),

in_sequence as (

    select
        customer_id,
        ordered_date,
        net_value,
        min(ordered_date) over (
            partition by customer_id
            order by ordered_date
            rows between unbounded preceding and current row
        ) as first_order_date,
        lag(ordered_date) over (partition by customer_id order by ordered_date) as previous_order_date
    from days
    where standing_orders > 0

),

with_gaps as (

    select
        customer_id,
        ordered_date,
        net_value,
        first_order_date,
        {{ days_between('previous_order_date', 'ordered_date') }} as gap_days
    from in_sequence

)

select * from with_gaps
