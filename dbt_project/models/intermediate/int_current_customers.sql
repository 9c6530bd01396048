with versions as (

    select * from {{ ref('stg_customers') }}

),

current_versions as (

    select * from versions where is_current

)

select * from current_versions
