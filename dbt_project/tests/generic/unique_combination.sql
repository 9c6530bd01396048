{# No two rows share these columns. `of_this_snapshot` looks at the rows of the run's own as_of_date only. #}
{% test unique_combination(model, columns, of_this_snapshot=false) %}

select {{ columns | join(', ') }}
from {{ model }}
{% if of_this_snapshot %}where as_of_date = {{ as_of_date() }}{% endif %}
group by {{ columns | join(', ') }}
having count(*) > 1

{% endtest %}
