with versions as (

    select * from {{ ref('stg_customers') }}

),

-- An undated version stands only where no dated one was known: it may be newer than the snapshot.
ranked as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by
                case when version_date is null then 1 else 0 end,
                version_date desc,
                case when is_current then 0 else 1 end,
                source_system
        ) as version_rank
    from versions
    where
        (version_date is null or version_date <= {{ as_of_date() }})
        and (created_date is null or created_date <= {{ as_of_date() }})

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
