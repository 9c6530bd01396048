with versions as (

    select * from {{ ref('stg_customers') }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by {{ last_known_first() }}
        ) as version_rank
    from versions
    where {{ is_known_version(as_of_date()) }}

),

last_known as (

    select
        customer_id,
        source_system,
        name,
        customer_type,
        email,
        phone,
        birth_date,
        gender,
        country,
        region,
        city,
        postal_code,
        industry,
        employees,
        annual_revenue,
        acquisition_channel,
        acquisition_cost,
        referred_by,
        marketing_consent,
        flag,
        version_date
    from ranked
    where version_rank = 1

)

select * from last_known
