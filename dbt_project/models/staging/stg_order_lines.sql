with source as (

    select * from {{ source('clean', 'order_lines') }}

),

cast_to_contract as (

    select
        cast(order_id as string) as order_id,
        cast(line as integer) as line,
        cast(product_id as string) as product_id,
        cast(quantity as decimal(18, 6)) as quantity,
        cast(unit_price as decimal(18, 8)) as unit_price,
        cast(discount as decimal(18, 8)) as discount,
        cast(amount as decimal(28, 10)) as amount,
        cast(cost as decimal(28, 10)) as cost,
        cast(status as string) as status,
        cast(void_date as date) as void_date
    from source

)

select * from cast_to_contract
