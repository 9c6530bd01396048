{{ config(materialized='table') }}

with allocations as (

    select * from {{ ref('stg_return_allocations') }}

),

orders as (

    select * from {{ ref('int_orders') }}

),

taken_back_so_far as (

    select
        allocations.return_id,
        allocations.return_line,
        allocations.order_id,
        allocations.customer_id,
        allocations.ordered_date,
        allocations.returned_date,
        allocations.amount,
        allocations.kind,
        orders.amount as order_amount,
        orders.margin as order_margin,
        orders.cost is not null as is_cost_given,
        sum(allocations.amount) over (
            partition by allocations.order_id
            order by allocations.returned_date, allocations.return_id, allocations.return_line, allocations.kind
            rows between unbounded preceding and current row
        ) as amount_so_far
    from allocations
    inner join orders on allocations.order_id = orders.order_id

),

-- The difference of two rounded running shares: an order taken back whole gives back its margin to the last digit.
with_margin as (

    select
        return_id,
        return_line,
        order_id,
        customer_id,
        ordered_date,
        returned_date,
        amount,
        kind,
        cast(
            coalesce(
                {{ money_share('order_margin', 'amount_so_far', 'order_amount') }}
                - {{ money_share('order_margin', 'amount_so_far - amount', 'order_amount') }},
                0
            ) as decimal(18, 4)
        ) as margin,
        order_amount,
        is_cost_given
    from taken_back_so_far

)

select * from with_margin
