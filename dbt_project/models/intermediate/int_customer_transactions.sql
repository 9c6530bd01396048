{{ config(materialized='table') }}

with transactions as (

    select * from {{ ref('int_transactions') }}

),

placed as (

    select
        customer_id,
        ordered_date,
        first_order_date,
        net_value,
        ordered_date > first_order_date as is_repeat,
        2 * {{ days_between('first_order_date', 'ordered_date') }}
        > {{ days_between('first_order_date', as_of_date()) }} as is_second_half,
        ordered_date > {{ months_before_as_of(12) }} as is_last_12m,
        ordered_date > {{ months_before_as_of(24) }} and ordered_date <= {{ months_before_as_of(12) }} as is_prior_12m
    from transactions

),

by_customer as (

    select
        customer_id,
        min(first_order_date) as first_order_date,
        max(ordered_date) as last_order_date,
        cast(count(*) as bigint) as transactions,
        cast(sum(case when is_last_12m then 1 else 0 end) as bigint) as transactions_12m,
        cast(sum(case when is_prior_12m then 1 else 0 end) as bigint) as transactions_prior_12m,
        cast(sum(case when is_second_half then 1 else 0 end) as bigint) as second_half_transactions,
        cast(sum(net_value) as decimal(18, 4)) as net_sales,
        cast(sum(case when is_repeat then net_value else 0 end) as decimal(18, 4)) as repeat_sales,
        cast(sum(case when is_last_12m then net_value else 0 end) as decimal(18, 4)) as net_sales_12m,
        cast(sum(case when is_prior_12m then net_value else 0 end) as decimal(18, 4)) as net_sales_prior_12m,
        cast(
            sum(case when is_repeat and not is_second_half then net_value else 0 end) as decimal(18, 4)
        ) as first_half_sales,
        cast(sum(case when is_second_half then net_value else 0 end) as decimal(18, 4)) as second_half_sales
    from placed
    group by customer_id

)

select * from by_customer
