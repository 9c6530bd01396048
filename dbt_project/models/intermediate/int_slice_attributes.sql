with slices as (

    select * from {{ ref('int_slice_dates') }}

),

sampled as (

    select * from {{ ref('int_slice_sample') }}

),

-- What no date says is current: on an earlier day it would tell the future, and one rule holds for every day.
versions as (

    select
        customer_id,
        customer_type,
        gender,
        country,
        region,
        city,
        industry,
        acquisition_channel,
        created_date,
        version_date,
        is_current,
        source_system
    from {{ ref('stg_customers') }}
    where version_date is not null and {{ has_covariates() }}

),

known as (

    select
        slices.slice_date,
        versions.*
    from versions
    left join sampled on versions.customer_id = sampled.customer_id
    cross join slices
    where
        (slices.is_whole or sampled.customer_id is not null)
        and slices.slice_date < {{ as_of_date() }} and {{ is_known_version('slices.slice_date') }}

    union all

    select
        slices.slice_date,
        versions.*
    from versions
    cross join slices
    where slices.slice_date = {{ as_of_date() }} and {{ is_known_version('slices.slice_date') }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by slice_date, customer_id
            order by {{ last_known_first() }}
        ) as version_rank
    from known

),

last_known as (

    select
        slice_date,
        customer_id,
        customer_type,
        gender,
        country,
        region,
        city,
        industry,
        acquisition_channel
    from ranked
    where version_rank = 1

)

select * from last_known
