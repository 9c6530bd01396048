with listed as (

    {% for days in warning_windows() %}
    select cast('{{ days }}' as bigint) as window_days
    {{ "union all" if not loop.last }}
    {% else %}
    select cast(null as bigint) as window_days
    {% endfor %}

),

starts as (

    select
        window_days,
        cast({{ dbt.dateadd("day", "-window_days", as_of_date()) }} as date) as start_date
    from listed
    where window_days is not null

)

select * from starts
