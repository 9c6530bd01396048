with unmatched as (

    select * from {{ ref('stg_unmatched_returns') }}

),

documents as (

    select * from {{ ref('int_orders') }}

),

with_margin as (

    select
        unmatched.order_id,
        unmatched.line,
        unmatched.customer_id,
        unmatched.returned_at,
        unmatched.returned_date,
        unmatched.amount,
        cast(
            -{{ money_share('documents.margin', 'unmatched.amount', '-documents.amount') }} as decimal(18, 4)
        ) as margin,
        documents.cost is not null as is_cost_given
    from unmatched
    inner join documents on unmatched.order_id = documents.order_id

)

select * from with_margin
