{{ config(materialized='table') }}

with orders as (

    select * from {{ ref('int_orders') }}

),

undone as (

    select * from {{ ref('int_orders_undone') }}

),

by_day as (

    select
        orders.customer_id,
        orders.ordered_date,
        cast(count(*) - count(undone.order_id) as bigint) as orders,
        cast(sum(orders.amount) as decimal(18, 4)) as gross_amount,
        cast(sum(orders.margin) as decimal(18, 4)) as margin,
        cast(
            sum(case when orders.cost is not null then orders.amount else 0 end) as decimal(18, 4)
        ) as cost_covered_amount
    from orders
    left join undone on orders.order_id = undone.order_id
    where orders.is_sale and not orders.is_anonymous
    group by orders.customer_id, orders.ordered_date

)

select * from by_day
