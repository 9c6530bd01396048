with lines as (

    select * from {{ ref('stg_order_lines') }}

),

orders as (

    select * from {{ ref('stg_orders') }}

),

with_order as (

    select
        lines.order_id,
        lines.line,
        orders.customer_id,
        orders.ordered_date,
        lines.product_id,
        lines.quantity,
        lines.unit_price,
        lines.discount,
        lines.amount,
        lines.cost,
        lines.status,
        lines.void_date
    from lines
    left join orders on lines.order_id = orders.order_id

)

select * from with_order
