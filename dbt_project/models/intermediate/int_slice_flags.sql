with slices as (

    select * from {{ ref('int_slice_dates') }}

),

-- Few are ever flagged: only their versions are ranked, slice by slice.
ever_flagged as (

    select distinct customer_id from {{ ref('stg_customers') }} where flag is not null

),

versions as (

    select versions.*
    from {{ ref('stg_customers') }} as versions
    inner join ever_flagged on versions.customer_id = ever_flagged.customer_id

),

ranked as (

    select
        slices.slice_date,
        versions.customer_id,
        versions.flag,
        row_number() over (
            partition by slices.slice_date, versions.customer_id
            order by {{ last_known_first() }}
        ) as version_rank
    from versions
    cross join slices
    where {{ is_known_version('slices.slice_date') }}

),

last_known as (

    select
        slice_date,
        customer_id,
        flag
    from ranked
    where version_rank = 1 and flag is not null

)

select * from last_known
