{{ config(materialized='table') }}

with customers as (

    select distinct customer_id from {{ ref('int_customer_days') }}

),

base as (

    select count(*) as buyers from {{ ref('int_customer_transactions') }}

),

-- A smaller share of a larger base is a part of the larger share: who is in is in for every slice.
sampled as (

    select customers.customer_id
    from customers
    cross join base
    where {{ hash_share('customers.customer_id') }} * base.buyers < {{ slice_customers() }}

)

select * from sampled
