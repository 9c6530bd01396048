with source as (

    select * from {{ source('clean', 'customers') }}

),

cast_to_contract as (

    select
        cast(customer_id as string) as customer_id,
        cast(source_system as string) as source_system,
        cast(name as string) as name,
        cast(customer_type as string) as customer_type,
        cast(email as string) as email,
        cast(phone as string) as phone,
        cast(birth_date as date) as birth_date,
        cast(gender as string) as gender,
        cast(country as string) as country,
        cast(region as string) as region,
        cast(city as string) as city,
        cast(postal_code as string) as postal_code,
        cast(industry as string) as industry,
        cast(employees as bigint) as employees,
        cast(annual_revenue as decimal(18, 4)) as annual_revenue,
        cast(created_date as date) as created_date,
        cast(acquisition_channel as string) as acquisition_channel,
        cast(acquisition_cost as decimal(18, 4)) as acquisition_cost,
        cast(referred_by as string) as referred_by,
        cast(marketing_consent as boolean) as marketing_consent,
        cast(flag as string) as flag,
        cast(version_date as date) as version_date,
        cast(is_current as boolean) as is_current
    from source

)

select * from cast_to_contract
