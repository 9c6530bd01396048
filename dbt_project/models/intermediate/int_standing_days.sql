with days as (

    select * from {{ ref('int_customer_days') }}

),

cancelled as (

    select
        customer_id,
        ordered_date,
        sum(cancelled_orders) as cancelled_orders
    from {{ ref('int_cancelled_days') }}
    group by customer_id, ordered_date

),

taken_back as (

    select
        customer_id,
        ordered_date,
        sum(amount) as amount
    from {{ ref('int_return_allocations') }}
    where returned_date <= {{ as_of_date() }}
    group by customer_id, ordered_date

),

standing as (

    select
        days.customer_id,
        days.ordered_date,
        cast(days.orders - coalesce(cancelled.cancelled_orders, 0) as bigint) as standing_orders,
        cast(days.gross_amount - coalesce(taken_back.amount, 0) as decimal(18, 4)) as net_value
    from days
    left join cancelled
        on days.customer_id = cancelled.customer_id and days.ordered_date = cancelled.ordered_date
    left join taken_back
        on days.customer_id = taken_back.customer_id and days.ordered_date = taken_back.ordered_date
    where days.ordered_date <= {{ as_of_date() }}

)

select * from standing
