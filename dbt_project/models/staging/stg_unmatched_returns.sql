with source as (

    select * from {{ source('clean', 'unmatched_returns') }}

),

cast_to_contract as (

    select
        cast(order_id as string) as order_id,
        cast(line as integer) as line,
        cast(customer_id as string) as customer_id,
        cast(returned_at as timestamp) as returned_at,
        cast(returned_date as date) as returned_date,
        cast(amount as decimal(18, 4)) as amount
    from source

)

select * from cast_to_contract
