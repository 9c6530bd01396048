{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'delete+insert',
        partition_by='as_of_date' if target.type == 'spark' else none,
        unique_key='as_of_date',
        on_schema_change='fail',
    )
}}

with customers as (

    select * from {{ ref('dim_customers_as_of') }}

),

transactions as (

    select * from {{ ref('int_customer_transactions') }}

),

rhythms as (

    select * from {{ ref('int_customer_rhythms') }}

),

reactivations as (

    select * from {{ ref('int_reactivations') }}

),

revenue as (

    select * from {{ ref('int_customer_revenue') }}

),

final as (

    select
        customers.as_of_date,
        customers.customer_id,
        customers.customer_type,
        customers.flag,
        transactions.first_order_date,
        transactions.last_order_date,
        coalesce(transactions.transactions, 0) as transactions,
        coalesce(transactions.transactions - 1, 0) as frequency,
        {{ days_between('transactions.first_order_date', 'transactions.last_order_date') }} as recency,
        {{ days_between('transactions.first_order_date', 'customers.as_of_date') }} as T,
        coalesce(
            {{ money_share('transactions.repeat_sales', '1', 'transactions.transactions - 1', scale=1) }},
            cast(0 as decimal(18, 4))
        ) as monetary_value,
        {{ days_between('transactions.last_order_date', 'customers.as_of_date') }} as days_since_last,
        rhythms.gap_median,
        rhythms.gap_limit,
        coalesce(revenue.revenue_total, cast(0 as decimal(18, 4))) as revenue_total,
        coalesce(revenue.revenue_12m, cast(0 as decimal(18, 4))) as revenue_12m,
        coalesce(revenue.margin_total, cast(0 as decimal(18, 4))) as margin_total,
        coalesce(revenue.margin_12m, cast(0 as decimal(18, 4))) as margin_12m,
        coalesce(transactions.net_sales, cast(0 as decimal(18, 4))) as net_sales,
        coalesce(transactions.repeat_sales, cast(0 as decimal(18, 4))) as repeat_sales,
        coalesce(revenue.margin_prior_12m, cast(0 as decimal(18, 4))) as margin_prior_12m,
        coalesce(transactions.transactions_12m, 0) as transactions_12m,
        coalesce(transactions.transactions_prior_12m, 0) as transactions_prior_12m,
        coalesce(transactions.net_sales_12m, cast(0 as decimal(18, 4))) as net_sales_12m,
        coalesce(transactions.net_sales_prior_12m, cast(0 as decimal(18, 4))) as net_sales_prior_12m,
        coalesce(transactions.second_half_transactions, 0) as second_half_transactions,
        coalesce(transactions.second_half_sales, cast(0 as decimal(18, 4))) as second_half_sales,
        coalesce(transactions.first_half_sales, cast(0 as decimal(18, 4))) as first_half_sales,
        reactivations.reactivated_date,
        coalesce(revenue.cost_covered_revenue, cast(0 as decimal(18, 4))) as cost_covered_revenue,
        coalesce(rhythms.gap_count, 0) as gap_count
    from customers
    left join transactions on customers.customer_id = transactions.customer_id
    left join rhythms on customers.customer_id = rhythms.customer_id
    left join reactivations on customers.customer_id = reactivations.customer_id
    left join revenue on customers.customer_id = revenue.customer_id

)

select * from final
