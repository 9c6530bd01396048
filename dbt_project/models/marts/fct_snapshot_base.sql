{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'delete+insert',
        partition_by='as_of_date' if target.type == 'spark' else none,
        unique_key='as_of_date',
        on_schema_change='fail',
    )
}}

with base as (

    select * from {{ ref('int_snapshot_base') }}

)

select * from base
