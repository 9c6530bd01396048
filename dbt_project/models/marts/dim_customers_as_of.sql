with customers as (

    select * from {{ ref('dim_customers') }}

),

attributes as (

    select * from {{ ref('int_customer_attributes') }}

),

final as (

    select
        {{ as_of_date() }} as as_of_date,
        customers.customer_id,
        coalesce(attributes.source_system, customers.source_system) as source_system,
        attributes.name,
        attributes.customer_type,
        attributes.email,
        attributes.phone,
        attributes.birth_date,
        attributes.gender,
        attributes.country,
        attributes.region,
        attributes.city,
        attributes.postal_code,
        attributes.industry,
        attributes.employees,
        attributes.annual_revenue,
        attributes.acquisition_channel,
        attributes.acquisition_cost,
        attributes.referred_by,
        attributes.marketing_consent,
        attributes.flag,
        attributes.version_date,
        customers.first_known_date,
        attributes.customer_id is not null as has_record
    from customers
    left join attributes on customers.customer_id = attributes.customer_id
    where customers.first_known_date is null or customers.first_known_date <= {{ as_of_date() }}

)

select * from final
