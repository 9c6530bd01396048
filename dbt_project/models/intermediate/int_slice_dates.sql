with listed as (

    {% for date in slice_dates() %}
    select cast('{{ date }}' as date) as slice_date
    {{ "union all" if not loop.last }}
    {% else %}
    select cast(null as date) as slice_date
    {% endfor %}

),

-- Nothing after the snapshot may be known, and the null that stands for an empty list is no date.
known as (

    select slice_date from listed where slice_date <= {{ as_of_date() }}

)

select * from known
