with allocations as (

    select * from {{ ref('int_return_allocations') }}

),

final as (

    select
        return_id,
        return_line,
        order_id,
        customer_id,
        ordered_date,
        returned_date,
        amount,
        margin,
        kind
    from allocations

)

select * from final
