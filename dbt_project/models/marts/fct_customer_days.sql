{# A view: the snapshot's own steps build on the same rows, so that they lie in intermediate. #}
{{ config(materialized='view') }}

with days as (

    select * from {{ ref('int_customer_days') }}

)

select * from days
