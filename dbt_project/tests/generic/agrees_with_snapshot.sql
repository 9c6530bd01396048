{# The slice of the snapshot's own day says of every buyer what the snapshot says, where the run has that slice at all. #}
{% test agrees_with_snapshot(model, snapshot, dates, columns) %}

with expected as (

    select snapshot.*
    from {{ snapshot }} as snapshot
    inner join {{ dates }} as dates on snapshot.as_of_date = dates.slice_date
    where snapshot.as_of_date = {{ as_of_date() }} and snapshot.transactions > 0

),

found as (

    select * from {{ model }} where slice_date = {{ as_of_date() }}

)

select coalesce(found.customer_id, expected.customer_id) as customer_id
from found
full outer join expected on found.customer_id = expected.customer_id
where
    found.customer_id is null
    or expected.customer_id is null
    {% for column in columns %}
    or found.{{ column }} is distinct from expected.{{ column }}
    {% endfor %}

{% endtest %}
