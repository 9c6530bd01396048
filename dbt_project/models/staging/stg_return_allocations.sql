with source as (

    select * from {{ source('clean', 'return_allocations') }}

),

cast_to_contract as (

    select
        cast(return_id as string) as return_id,
        cast(return_line as integer) as return_line,
        cast(order_id as string) as order_id,
        cast(customer_id as string) as customer_id,
        cast(ordered_date as date) as ordered_date,
        cast(returned_date as date) as returned_date,
        cast(amount as decimal(18, 4)) as amount,
        cast(kind as string) as kind
    from source

)

select * from cast_to_contract
