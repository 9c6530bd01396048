with source as (

    select * from {{ source('clean', 'orders') }}

),

cast_to_contract as (

    select
        cast(order_id as string) as order_id,
        cast(source_system as string) as source_system,
        cast(customer_id as string) as customer_id,
        cast(ordered_at as timestamp) as ordered_at,
        cast(ordered_date as date) as ordered_date,
        cast(amount as decimal(18, 4)) as amount,
        cast(cost as decimal(18, 4)) as cost,
        cast(discount as decimal(18, 4)) as discount,
        cast(channel as string) as channel,
        cast(status as string) as status,
        cast(void_date as date) as void_date,
        cast(refers_to as string) as refers_to,
        cast(is_return as boolean) as is_return
    from source

)

select * from cast_to_contract
