with customers as (

    select * from {{ ref('int_customers') }}

),

records as (

    select * from {{ ref('int_current_customers') }}

),

final as (

    select
        customers.customer_id,
        coalesce(records.source_system, customers.source_system) as source_system,
        records.name,
        records.customer_type,
        records.email,
        records.phone,
        records.birth_date,
        records.gender,
        records.country,
        records.region,
        records.city,
        records.postal_code,
        records.industry,
        records.employees,
        records.annual_revenue,
        records.acquisition_channel,
        records.acquisition_cost,
        records.referred_by,
        records.marketing_consent,
        records.flag,
        customers.first_known_date,
        records.customer_id is not null as has_record
    from customers
    left join records on customers.customer_id = records.customer_id

)

select * from final
