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


{# A text's own number in [0, 1), double: 48 bits of its md5, so that engines and years agree on it. #}
{% macro hash_share(text) -%}
    {{ return(adapter.dispatch("hash_share")(text)) }}
{%- endmacro %}

{% macro default__hash_share(text) -%}
    cast(cast('0x' || substr(md5({{ text }}), 1, 12) as bigint) as double) / 281474976710656
{%- endmacro %}

{% macro spark__hash_share(text) -%}
    cast(conv(substr(md5({{ text }}), 1, 12), 16, 10) as double) / 281474976710656
{%- endmacro %}
