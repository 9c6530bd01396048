with histories as (

    select * from {{ ref('int_slice_histories') }}

),

revenue as (

    select * from {{ ref('int_slice_revenue') }}

),

flags as (

    select * from {{ ref('int_slice_flags') }}

),

sampled as (

    select * from {{ ref('int_slice_sample') }}

),

final as (

    select
        histories.slice_date,
        histories.customer_id,
        sampled.customer_id is not null as is_sampled,
        flags.flag,
        histories.transactions,
        histories.transactions - 1 as frequency,
        {{ days_between('histories.first_order_date', 'histories.last_order_date') }} as recency,
        {{ days_between('histories.first_order_date', 'histories.slice_date') }} as T,
        {{ days_between('histories.last_order_date', 'histories.slice_date') }} as days_since_last,
        histories.net_sales,
        histories.repeat_sales,
        histories.transactions_1w,
        histories.transactions_2w,
        histories.transactions_4w,
        histories.transactions_6w,
        histories.net_sales_1w,
        histories.net_sales_2w,
        histories.net_sales_4w,
        histories.net_sales_6w,
        histories.last_value,
        histories.gap_sum_of_squares,
        revenue.margin_total,
        revenue.revenue_total,
        revenue.cost_covered_revenue
    from histories
    -- Who has a transaction has a sale: money events are there for each of them.
    inner join revenue
        on histories.slice_date = revenue.slice_date and histories.customer_id = revenue.customer_id
    left join flags
        on histories.slice_date = flags.slice_date and histories.customer_id = flags.customer_id
    left join sampled on histories.customer_id = sampled.customer_id

)

select * from final
