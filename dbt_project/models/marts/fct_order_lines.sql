{# A view: twenty million lines are not copied for the two columns of their order. #}
{{ config(materialized='view') }}

with lines as (

    select * from {{ ref('int_order_lines') }}

)

select * from lines
