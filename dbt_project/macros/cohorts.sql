{# Cohorts: the calendar periods by which customers are grouped by their first transaction. #}

{# Length of a period in months: 1, or 3 where snapshots are quarterly. #}
{% macro cohort_months() -%}
    cast('{{ env_var("CVM_COHORT_MONTHS", "1") }}' as integer)
{%- endmacro %}

{# Running number of the period that holds a date, integer. #}
{% macro cohort_number(day) -%}
    cast(
        floor(
            cast(extract(year from {{ day }}) * 12 + extract(month from {{ day }}) - 1 as double) / {{ cohort_months() }}
        ) as integer
    )
{%- endmacro %}

{# First day of the period of that number. #}
{% macro cohort_first_day(number) -%}
    cast({{ dbt.dateadd("month", "cast((" ~ number ~ ") * " ~ cohort_months() ~ " as integer) - 12 * 1970", "cast('1970-01-01' as date)") }} as date)
{%- endmacro %}
