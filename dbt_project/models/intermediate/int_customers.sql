with records as (

    select
        customer_id,
        source_system,
        coalesce(created_date, version_date) as known_date
    from {{ ref('stg_customers') }}

),

orders as (

    select
        customer_id,
        min(source_system) as source_system,
        min(ordered_date) as known_date
    from {{ ref('stg_orders') }}
    where customer_id is not null
    group by customer_id

),

by_record as (

    select
        customer_id,
        min(source_system) as source_system,
        min(known_date) as known_date,
        count(*) > count(known_date) as is_always_known
    from records
    group by customer_id

),

everyone as (

    select
        coalesce(by_record.customer_id, orders.customer_id) as customer_id,
        coalesce(by_record.source_system, orders.source_system) as source_system,
        case
            when by_record.is_always_known then cast(null as date)
            else least(
                coalesce(by_record.known_date, orders.known_date), coalesce(orders.known_date, by_record.known_date)
            )
        end as first_known_date
    from by_record
    full outer join orders on by_record.customer_id = orders.customer_id

)

select * from everyone
