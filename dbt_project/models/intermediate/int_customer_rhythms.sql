with customer_gaps as (

    select * from {{ ref('int_customer_gaps') }}

),

buyers as (

    select * from {{ ref('int_customer_transactions') }}

),

base as (

    select * from {{ ref('int_snapshot_base') }}

),

shrunk as (

    select
        buyers.customer_id,
        coalesce(customer_gaps.gap_count, 0) as gap_count,
        cast(
            {{ shrunk_gap('customer_gaps.gap_count', 'customer_gaps.own_gap_median', 'base.base_gap_median') }} as double
        ) as gap_median,
        base.gap_k
    from buyers
    cross join base
    left join customer_gaps on buyers.customer_id = customer_gaps.customer_id

),

with_limit as (

    select
        customer_id,
        gap_count,
        gap_median,
        gap_median * gap_k as gap_limit
    from shrunk

)

select * from with_limit
