with starts as (

    select * from {{ ref('int_window_starts') }}

),

days as (

    select * from {{ ref('int_customer_days') }}

),

cancelled as (

    select
        starts.window_days,
        days.customer_id,
        days.ordered_date,
        sum(days.cancelled_orders) as cancelled_orders
    from {{ ref('int_cancelled_days') }} as days
    inner join starts on days.void_date <= starts.start_date
    group by starts.window_days, days.customer_id, days.ordered_date

),

taken_back as (

    select
        starts.window_days,
        allocations.customer_id,
        allocations.ordered_date,
        sum(allocations.amount) as amount
    from {{ ref('int_return_allocations') }} as allocations
    inner join starts on allocations.returned_date <= starts.start_date
    group by starts.window_days, allocations.customer_id, allocations.ordered_date

),

standing as (

    select
        starts.window_days,
        starts.start_date,
        days.customer_id,
        days.ordered_date,
        days.orders - coalesce(cancelled.cancelled_orders, 0) as standing_orders,
        cast(days.gross_amount - coalesce(taken_back.amount, 0) as decimal(18, 4)) as net_value
    from days
    inner join starts on days.ordered_date <= starts.start_date
    left join cancelled
        on
            starts.window_days = cancelled.window_days
            and days.customer_id = cancelled.customer_id
            and days.ordered_date = cancelled.ordered_date
    left join taken_back
        on
            starts.window_days = taken_back.window_days
            and days.customer_id = taken_back.customer_id
            and days.ordered_date = taken_back.ordered_date

),

by_customer as (

    select
        window_days,
        start_date,
        customer_id,
        min(ordered_date) as first_order_date,
        max(ordered_date) as last_order_date,
        cast(count(*) as bigint) as transactions,
        cast(sum(net_value) as decimal(18, 4)) as net_sales,
        cast(sum(net_value) - min_by(net_value, ordered_date) as decimal(18, 4)) as repeat_sales
    from standing
    where standing_orders > 0
    group by window_days, start_date, customer_id

)

select * from by_customer
