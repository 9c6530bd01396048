with attributes as (

    select * from {{ ref('int_slice_attributes') }}

)

select * from attributes
