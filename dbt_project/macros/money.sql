{# Exact arithmetic on money, and the one rule of the purchase rhythm that two models share. #}

{# amount x part / whole, rounded half away from zero at 4 decimals without passing through floats. Null where whole is 0.
   `part` and `whole` are positive and of the same scale: both money, or both counts. #}
{% macro money_share(amount, part, whole, scale=10000) -%}
    {#- Widened before they are multiplied: at decimal(18, 4) ten thousand million would overflow. -#}
    {%- set units = "cast(cast(abs(" ~ amount ~ ") as decimal(38, 4)) * 10000 as decimal(38, 0))" -%}
    {%- set part = "cast(cast(" ~ part ~ " as decimal(38, 4)) * " ~ scale ~ " as decimal(38, 0))" -%}
    {%- set whole = "cast(cast(" ~ whole ~ " as decimal(38, 4)) * " ~ scale ~ " as decimal(38, 0))" -%}
    {%- set quotient = whole_quotient("2 * " ~ units ~ " * " ~ part ~ " + " ~ whole, "nullif(2 * " ~ whole ~ ", 0)") -%}
    cast(
        cast(sign({{ amount }}) as decimal(1, 0))
        * cast({{ quotient }} as decimal(18, 0))
        * cast(0.0001 as decimal(4, 4)) as decimal(18, 4)
    )
{%- endmacro %}

{# Typical gap in days: the customer's own median drawn to the base's, exp of the weighted mean of the logarithms. #}
{% macro shrunk_gap(gaps, own_median, base_median) -%}
    case
        when coalesce({{ gaps }}, 0) = 0 then {{ base_median }}
        else exp(
            ({{ gaps }} * ln({{ own_median }}) + {{ gap_prior() }} * ln({{ base_median }}))
            / ({{ gaps }} + {{ gap_prior() }})
        )
    end
{%- endmacro %}
