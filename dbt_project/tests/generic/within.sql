{# A number lies in [low, high], and a double is a number at all: NaN compares as the largest. Nulls pass. #}
{% test within(model, column_name, low=none, high=none) %}

select {{ column_name }}
from {{ model }}
where
    {{ column_name }} is not null
    and (
        {{ column_name }} <> {{ column_name }}
        {% if low is not none %}or {{ column_name }} < {{ low }}{% endif %}
        {% if high is not none %}or {{ column_name }} > {{ high }}{% endif %}
        {% if high is none %}or cast({{ column_name }} as double) > 1e300{% endif %}
    )

{% endtest %}
