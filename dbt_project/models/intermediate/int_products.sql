with catalogue as (

    select * from {{ ref('stg_products') }}

),

sold as (

    select distinct product_id
    from {{ ref('stg_order_lines') }}
    where product_id is not null

),

everything as (

    select
        coalesce(catalogue.product_id, sold.product_id) as product_id,
        catalogue.source_system,
        catalogue.name,
        catalogue.category,
        catalogue.unit_cost,
        catalogue.product_id is not null as has_record
    from catalogue
    full outer join sold on catalogue.product_id = sold.product_id

)

select * from everything
