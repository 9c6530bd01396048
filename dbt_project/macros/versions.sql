{# Which version of a customer's record was known on a day. Asked for the snapshot, and for days before it. #}

{# Whether a version was known by the end of that day. #}
{% macro is_known_version(day) -%}
    (version_date is null or version_date <= {{ day }}) and (created_date is null or created_date <= {{ day }})
{%- endmacro %}

{# Of the known ones the last known first. An undated version stands only where no dated one was known: it may be newer
   than the day. #}
{% macro last_known_first() -%}
    case when version_date is null then 1 else 0 end,
    version_date desc,
    case when is_current then 0 else 1 end,
    source_system
{%- endmacro %}
