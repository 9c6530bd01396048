with slices as (

    select slice_date, is_whole from {{ ref('int_slice_dates') }} where slice_date < {{ as_of_date() }}

),

days as (

    select * from {{ ref('int_slice_days') }}

),

cancelled as (

    select distinct customer_id from {{ ref('int_cancelled_days') }}

),

-- Where no order was ever cancelled the transaction before is the same in every slice: found once, not slice by slice.
distinct_days as (

    select distinct
        days.customer_id,
        days.ordered_date
    from days
    left join cancelled on days.customer_id = cancelled.customer_id
    where cancelled.customer_id is null

),

lasting_gaps as (

    select
        customer_id,
        ordered_date,
        lag(ordered_date) over (partition by customer_id order by ordered_date) as previous_order_date
    from distinct_days

),

lasting as (

    select
        slices.slice_date,
        days.customer_id,
        days.ordered_date,
        days.net_value,
        lasting_gaps.previous_order_date
    from days
    inner join lasting_gaps
        on days.customer_id = lasting_gaps.customer_id and days.ordered_date = lasting_gaps.ordered_date
    inner join slices on days.known_from <= slices.slice_date and slices.slice_date < days.known_until
    where slices.is_whole or days.is_sampled

),

changing as (

    select
        slices.slice_date,
        days.customer_id,
        days.ordered_date,
        days.net_value,
        lag(days.ordered_date) over (
            partition by slices.slice_date, days.customer_id
            order by days.ordered_date
        ) as previous_order_date
    from days
    inner join cancelled on days.customer_id = cancelled.customer_id
    inner join slices on days.known_from <= slices.slice_date and slices.slice_date < days.known_until
    where slices.is_whole or days.is_sampled

),

before_the_snapshot as (

    select * from lasting
    union all
    select * from changing

),

at_the_snapshot as (

    select
        slices.slice_date,
        transactions.customer_id,
        transactions.ordered_date,
        transactions.net_value,
        transactions.gap_days
    from {{ ref('int_transactions') }} as transactions
    inner join {{ ref('int_slice_dates') }} as slices on slices.slice_date = {{ as_of_date() }}

),

final as (

    select
        slice_date,
        customer_id,
        ordered_date,
        net_value,
        {{ days_between('previous_order_date', 'ordered_date') }} as gap_days
    from before_the_snapshot
    union all
    select * from at_the_snapshot

)

select * from final
