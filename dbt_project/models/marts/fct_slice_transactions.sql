{{ config(materialized='view') }}

with transactions as (

    select * from {{ ref('int_slice_transactions') }}

),

final as (

    select
        slice_date,
        customer_id,
        ordered_date,
        net_value
    from transactions

)

select * from final
