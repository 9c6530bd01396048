with slices as (

    select slice_date, is_whole from {{ ref('int_slice_dates') }} where slice_date < {{ as_of_date() }}

),

sampled as (

    select * from {{ ref('int_slice_sample') }}

),

before_the_snapshot as (

    select
        slices.slice_date,
        events.customer_id,
        cast(sum(events.revenue) as decimal(18, 4)) as revenue_total,
        cast(sum(events.margin) as decimal(18, 4)) as margin_total,
        cast(sum(events.cost_covered_revenue) as decimal(18, 4)) as cost_covered_revenue
    from {{ ref('int_money_events') }} as events
    left join sampled on events.customer_id = sampled.customer_id
    inner join slices on events.event_date <= slices.slice_date
    where slices.is_whole or sampled.customer_id is not null
    group by slices.slice_date, events.customer_id

),

at_the_snapshot as (

    select
        slices.slice_date,
        revenue.customer_id,
        revenue.revenue_total,
        revenue.margin_total,
        revenue.cost_covered_revenue
    from {{ ref('int_customer_revenue') }} as revenue
    inner join {{ ref('int_slice_dates') }} as slices on slices.slice_date = {{ as_of_date() }}

),

final as (

    select * from before_the_snapshot
    union all
    select * from at_the_snapshot

)

select * from final
