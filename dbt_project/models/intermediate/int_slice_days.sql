{{ config(materialized='table') }}

with sampled as (

    select * from {{ ref('int_slice_sample') }}

),

events as (

    select
        customer_id,
        ordered_date,
        ordered_date as known_from,
        orders,
        gross_amount as amount
    from {{ ref('int_customer_days') }}

    union all

    select
        customer_id,
        ordered_date,
        void_date as known_from,
        -cancelled_orders as orders,
        cast(0 as decimal(18, 4)) as amount
    from {{ ref('int_cancelled_days') }}

    union all

    select
        customer_id,
        ordered_date,
        returned_date as known_from,
        cast(0 as bigint) as orders,
        -amount as amount
    from {{ ref('int_return_allocations') }}

),

changes as (

    select
        events.customer_id,
        events.ordered_date,
        events.known_from,
        sampled.customer_id is not null as is_sampled,
        sum(events.orders) as orders,
        sum(events.amount) as amount
    from events
    left join sampled on events.customer_id = sampled.customer_id
    -- A large base is walked through whole only where some earlier slice holds everybody.
    where sampled.customer_id is not null or {{ has_whole_slices() }}
    group by events.customer_id, events.ordered_date, events.known_from, is_sampled

),

so_far as (

    select
        customer_id,
        ordered_date,
        known_from,
        is_sampled,
        coalesce(
            lead(known_from) over (partition by customer_id, ordered_date order by known_from),
            cast('9999-12-31' as date)
        ) as known_until,
        sum(orders) over (
            partition by customer_id, ordered_date
            order by known_from
            rows between unbounded preceding and current row
        ) as standing_orders,
        sum(amount) over (
            partition by customer_id, ordered_date
            order by known_from
            rows between unbounded preceding and current row
        ) as net_value
    from changes

),

standing as (

    select
        customer_id,
        ordered_date,
        known_from,
        known_until,
        is_sampled,
        cast(net_value as decimal(18, 4)) as net_value
    from so_far
    where standing_orders > 0

)

select * from standing
