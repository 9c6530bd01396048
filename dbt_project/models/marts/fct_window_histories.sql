with histories as (

    select * from {{ ref('int_window_histories') }}

),

final as (

    select
        window_days,
        start_date,
        customer_id,
        transactions,
        transactions - 1 as frequency,
        {{ days_between('first_order_date', 'last_order_date') }} as recency,
        {{ days_between('first_order_date', 'start_date') }} as T,
        net_sales,
        repeat_sales
    from histories

)

select * from final
