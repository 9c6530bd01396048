{# No order gives back more than it was worth. #}
{% test never_exceeds_order(model, orders) %}

with taken_back as (

    select order_id, sum(amount) as amount from {{ model }} group by order_id

)

select taken_back.order_id, taken_back.amount
from taken_back
left join {{ orders }} as orders on taken_back.order_id = orders.order_id
where orders.order_id is null or taken_back.amount > orders.amount

{% endtest %}
