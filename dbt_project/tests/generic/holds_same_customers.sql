{# This run's snapshot has a row for each customer known by its day, and for nobody else. #}
{% test holds_same_customers(model, known) %}

with found as (

    select customer_id from {{ model }} where as_of_date = {{ as_of_date() }}

),

expected as (

    select customer_id
    from {{ known }}
    where first_known_date is null or first_known_date <= {{ as_of_date() }}

)

select coalesce(found.customer_id, expected.customer_id) as customer_id
from found
full outer join expected on found.customer_id = expected.customer_id
where found.customer_id is null or expected.customer_id is null

{% endtest %}
