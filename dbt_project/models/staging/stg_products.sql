with source as (

    select * from {{ source('clean', 'products') }}

),

cast_to_contract as (

    select
        cast(product_id as string) as product_id,
        cast(source_system as string) as source_system,
        cast(name as string) as name,
        cast(category as string) as category,
        cast(unit_cost as decimal(18, 4)) as unit_cost
    from source

)

select * from cast_to_contract
