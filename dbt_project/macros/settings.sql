{#
  What a run may set, read from the environment: changed --vars would force a full parse, changed environment does not.
  Only for use inside a model's body: dbt keeps what a config or a yml says with the manifest.
#}

{# The day by whose end everything in a snapshot was known. The default is only for parsing: it gives an empty snapshot. #}
{% macro as_of_date() -%}
    cast('{{ env_var("CVM_AS_OF_DATE", "1970-01-01") }}' as date)
{%- endmacro %}

{# The same day of the month so many months before the snapshot, or that month's last day. #}
{% macro months_before_as_of(months) -%}
    cast({{ dbt.dateadd("month", -months, as_of_date()) }} as date)
{%- endmacro %}

{# Share of an amount that is margin where no cost was given. #}
{% macro margin_rate() -%}
    cast('{{ env_var("CVM_MARGIN_RATE", "1.0") }}' as decimal(9, 8))
{%- endmacro %}

{# How many gaps of its own a customer needs to weigh as much as the base. #}
{% macro gap_prior() -%}
    cast('{{ env_var("CVM_GAP_PRIOR", "3") }}' as double)
{%- endmacro %}

{# The base's median gap in days where the base has no gap at all. #}
{% macro default_gap() -%}
    cast('{{ env_var("CVM_DEFAULT_GAP", "90") }}' as double)
{%- endmacro %}

{# The days at whose end the base is looked at, ISO dates in a list; none unless the environment names them. #}
{% macro slice_dates() -%}
    {{ return(env_var("CVM_SLICE_DATES", "").split(",") | map("trim") | select | list) }}
{%- endmacro %}

{# Those of them at which everybody is looked at and not the sample alone, ISO dates in a list. #}
{% macro whole_slice_dates() -%}
    {{ return(env_var("CVM_WHOLE_SLICE_DATES", "").split(",") | map("trim") | select | list) }}
{%- endmacro %}

{# Whether there is any of these, a literal. #}
{% macro has_whole_slices() -%}
    {{ "true" if whole_slice_dates() else "false" }}
{%- endmacro %}

{# The unit in which recent behaviour is counted in slices, days. #}
{% macro slice_window_days() -%}
    cast('{{ env_var("CVM_SLICE_WINDOW_DAYS", "30") }}' as bigint)
{%- endmacro %}

{# About so many customers are looked at in slices before the snapshot. #}
{% macro slice_customers() -%}
    cast('{{ env_var("CVM_SLICE_CUSTOMERS", "100000") }}' as bigint)
{%- endmacro %}

{# Whether models are told attributes of customers, a literal: where not, engines leave out whatever would read them. #}
{% macro has_covariates() -%}
    {{ "true" if env_var("CVM_COVARIATES", "") else "false" }}
{%- endmacro %}

{# Lengths in days of the windows that early warning tests, each ending at the snapshot; none unless the environment names them. #}
{% macro warning_windows() -%}
    {{ return(env_var("CVM_WARNING_WINDOWS", "").split(",") | map("trim") | select | list) }}
{%- endmacro %}
