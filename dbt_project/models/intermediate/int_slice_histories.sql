{{ config(materialized='table') }}

{% set windows = [1, 2, 4, 6] %}

with transactions as (

    select * from {{ ref('int_slice_transactions') }}

),

placed as (

    select
        slice_date,
        customer_id,
        ordered_date,
        net_value,
        gap_days,
        {{ days_between('ordered_date', 'slice_date') }} as days_before
    from transactions

),

by_customer as (

    select
        slice_date,
        customer_id,
        min(ordered_date) as first_order_date,
        max(ordered_date) as last_order_date,
        cast(count(*) as bigint) as transactions,
        cast(sum(net_value) as decimal(18, 4)) as net_sales,
        cast(sum(case when gap_days is not null then net_value else 0 end) as decimal(18, 4)) as repeat_sales,
        {% for k in windows %}
        {% set is_recent = "days_before < " ~ k ~ " * " ~ slice_window_days() %}
        cast(sum(case when {{ is_recent }} then 1 else 0 end) as bigint) as transactions_{{ k }}w,
        cast(sum(case when {{ is_recent }} then net_value else 0 end) as decimal(18, 4)) as net_sales_{{ k }}w,
        {% endfor %}
        cast(max_by(net_value, ordered_date) as decimal(18, 4)) as last_value,
        cast(coalesce(sum(gap_days * gap_days), 0) as bigint) as gap_sum_of_squares
    from placed
    group by slice_date, customer_id

)

select * from by_customer
