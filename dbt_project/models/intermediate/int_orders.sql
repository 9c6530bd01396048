with orders as (

    select * from {{ ref('stg_orders') }}

),

judged as (

    select
        order_id,
        source_system,
        customer_id,
        ordered_at,
        ordered_date,
        amount,
        cost,
        -- Widened before it is multiplied: at decimal(18, 4) an order of a million would overflow.
        cast(
            case
                when cost is not null then amount - cost
                else cast(amount as decimal(28, 4)) * {{ margin_rate() }}
            end as decimal(18, 4)
        ) as margin,
        discount,
        channel,
        status,
        void_date,
        is_return,
        customer_id is null as is_anonymous,
        not is_return and (void_date is null or void_date > ordered_date) as is_sale
    from orders

)

select * from judged
