{{ config(materialized='table') }}

{% set fewest_ratio_gaps = 200 %}
{% set default_gap_k = 4 %}

with transactions as (

    select * from {{ ref('int_transactions') }}

),

customer_gaps as (

    select * from {{ ref('int_customer_gaps') }}

),

flagged as (

    select customer_id from {{ ref('int_customer_attributes') }} where flag is not null

),

base_gaps as (

    select
        cast(transactions.gap_days as double) as gap,
        case
            when customer_gaps.gap_count >= 3
                then cast(transactions.gap_days as double) / customer_gaps.own_gap_median
        end as gap_ratio
    from transactions
    inner join customer_gaps on transactions.customer_id = customer_gaps.customer_id
    left join flagged on transactions.customer_id = flagged.customer_id
    where transactions.gap_days is not null and flagged.customer_id is null

),

measured as (

    select
        {{ quantile('gap', 0.5) }} as gap_median,
        {{ quantile('gap_ratio', 0.95) }} as gap_ratio_95,
        count(gap) as gap_count,
        count(gap_ratio) as ratio_gaps
    from base_gaps

),

with_defaults as (

    select
        {{ as_of_date() }} as as_of_date,
        cast(coalesce(gap_median, {{ default_gap() }}) as double) as base_gap_median,
        cast(
            case when ratio_gaps < {{ fewest_ratio_gaps }} then {{ default_gap_k }} else gap_ratio_95 end as double
        ) as gap_k,
        cast(gap_count as bigint) as gap_count,
        cast(ratio_gaps as bigint) as ratio_gaps,
        gap_count = 0 as gap_is_default
    from measured

)

select * from with_defaults
