{# A view: the snapshot's own steps build on the same rows, so that they lie in intermediate. #}
{{ config(materialized='view') }}

with transactions as (

    select * from {{ ref('int_transactions') }}

),

final as (

    select
        customer_id,
        ordered_date,
        cast(net_value as decimal(18, 4)) as net_value
    from transactions

)

select * from final
