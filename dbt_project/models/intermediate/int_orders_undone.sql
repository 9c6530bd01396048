with allocations as (

    select * from {{ ref('int_return_allocations') }}

),

taken_back_whole_on_their_day as (

    select order_id
    from allocations
    where kind = 'return' and returned_date = ordered_date
    group by order_id
    having sum(amount) = max(order_amount)

)

select * from taken_back_whole_on_their_day
