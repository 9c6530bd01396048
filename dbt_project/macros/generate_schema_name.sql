{# The schemas are called exactly staging, intermediate and marts: the file is the project's own, no prefix is needed. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
