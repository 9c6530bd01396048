{# Where DuckDB and Spark say the same thing differently. Nothing else belongs here. #}

{# Whole days from one date to another, bigint. #}
{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch("days_between")(earlier, later)) }}
{%- endmacro %}

{% macro default__days_between(earlier, later) -%}
    cast(({{ later }}) - ({{ earlier }}) as bigint)
{%- endmacro %}

{% macro spark__days_between(earlier, later) -%}
    cast(datediff({{ later }}, {{ earlier }}) as bigint)
{%- endmacro %}


{# Quantile of a group with linear interpolation, as an aggregate or, with `over`, a window. Nulls are left out. #}
{% macro quantile(expression, share) -%}
    {{ return(adapter.dispatch("quantile")(expression, share)) }}
{%- endmacro %}

{% macro default__quantile(expression, share) -%}
    quantile_cont({{ expression }}, {{ share }})
{%- endmacro %}

{% macro spark__quantile(expression, share) -%}
    percentile({{ expression }}, {{ share }})
{%- endmacro %}


{# Quotient of whole numbers without its remainder, of positive numbers. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch("whole_quotient")(dividend, divisor)) }}
{%- endmacro %}

{% macro default__whole_quotient(dividend, divisor) -%}
    cast({{ dividend }} as hugeint) // cast({{ divisor }} as hugeint)
{%- endmacro %}

{% macro spark__whole_quotient(dividend, divisor) -%}
    cast({{ dividend }} as decimal(38, 0)) div cast({{ divisor }} as decimal(38, 0))
{%- endmacro %}
