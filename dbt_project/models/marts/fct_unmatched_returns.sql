with unmatched as (

    select * from {{ ref('int_unmatched_returns') }}

),

final as (

    select
        order_id,
        line,
        customer_id,
        returned_at,
        returned_date,
        amount
    from unmatched

)

select * from final
