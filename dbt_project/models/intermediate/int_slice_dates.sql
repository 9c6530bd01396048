with listed as (

    {% for date in (slice_dates() + whole_slice_dates()) | unique %}
    select
        cast('{{ date }}' as date) as slice_date,
        {{ "true" if date in whole_slice_dates() else "false" }} as is_whole
    {{ "union all" if not loop.last }}
    {% else %}
    select
        cast(null as date) as slice_date,
        false as is_whole
    {% endfor %}

),

-- Nothing after the snapshot may be known, and the null that stands for an empty list is no date.
known as (

    select
        slice_date,
        is_whole or slice_date = {{ as_of_date() }} as is_whole
    from listed
    where slice_date <= {{ as_of_date() }}

)

select * from known
