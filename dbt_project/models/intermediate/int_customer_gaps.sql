{{ config(materialized='table') }}

with transactions as (

    select * from {{ ref('int_transactions') }}

),

by_customer as (

    select
        customer_id,
        cast(count(*) as bigint) as gap_count,
        cast({{ quantile('cast(gap_days as double)', 0.5) }} as double) as own_gap_median,
        cast(min(gap_days) as bigint) as shortest_gap,
        cast(max(gap_days) as bigint) as longest_gap
    from transactions
    where gap_days is not null
    group by customer_id

)

select * from by_customer
