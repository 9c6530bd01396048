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
        orders.void_date,
        cast(count(*) as bigint) as cancelled_orders
    from orders
    left join undone on orders.order_id = undone.order_id
    where
        orders.is_sale
        and not orders.is_anonymous
        and orders.void_date <= {{ as_of_date() }}
        and undone.order_id is null
    group by orders.customer_id, orders.ordered_date, orders.void_date

)

select * from by_day
