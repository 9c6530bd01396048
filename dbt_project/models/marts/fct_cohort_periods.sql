{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'delete+insert',
        partition_by='as_of_date' if target.type == 'spark' else none,
        unique_key='as_of_date',
        on_schema_change='fail',
    )
}}

{# Four centuries of months: a first order of the year 1900 by mistake still has its rows. #}
{% set most_periods = 4800 %}

with transactions as (

    select * from {{ ref('int_transactions') }}

),

money_events as (

    select * from {{ ref('int_money_events') }} where event_date <= {{ as_of_date() }}

),

flagged as (

    select customer_id from {{ ref('int_customer_attributes') }} where flag is not null

),

numbers as (

    {{ dbt.generate_series(most_periods) }}

),

members as (

    select
        transactions.customer_id,
        {{ cohort_number('min(transactions.first_order_date)') }} as cohort_number
    from transactions
    left join flagged on transactions.customer_id = flagged.customer_id
    where flagged.customer_id is null
    group by transactions.customer_id

),

cohorts as (

    select
        cohort_number,
        {{ cohort_number(as_of_date()) }} - cohort_number as last_period,
        cast(count(*) as bigint) as customers
    from members
    group by cohort_number

),

grid as (

    select
        cohorts.cohort_number,
        cohorts.customers,
        cast(numbers.generated_number - 1 as integer) as period
    from cohorts
    inner join numbers on numbers.generated_number - 1 <= cohorts.last_period

),

active_customers as (

    select
        members.cohort_number,
        {{ cohort_number('transactions.ordered_date') }} - members.cohort_number as period,
        cast(count(distinct transactions.customer_id) as bigint) as active
    from transactions
    inner join members on transactions.customer_id = members.customer_id
    group by 1, 2

),

money as (

    select
        members.cohort_number,
        {# A return that no order could bear may lie before the first transaction: it belongs to the beginning. #}
        greatest({{ cohort_number('money_events.event_date') }} - members.cohort_number, 0) as period,
        sum(money_events.revenue) as revenue,
        sum(money_events.margin) as margin
    from money_events
    inner join members on money_events.customer_id = members.customer_id
    group by 1, 2

),

filled as (

    select
        grid.cohort_number,
        grid.period,
        grid.customers,
        coalesce(active_customers.active, 0) as active,
        cast(coalesce(money.revenue, 0) as decimal(18, 4)) as revenue,
        cast(coalesce(money.margin, 0) as decimal(18, 4)) as margin
    from grid
    left join active_customers
        on grid.cohort_number = active_customers.cohort_number and grid.period = active_customers.period
    left join money on grid.cohort_number = money.cohort_number and grid.period = money.period

),

cumulated as (

    select
        *,
        cast(
            sum(margin) over (
                partition by cohort_number order by period rows between unbounded preceding and current row
            ) as decimal(18, 4)
        ) as margin_so_far
    from filled

),

final as (

    select
        {{ as_of_date() }} as as_of_date,
        {{ cohort_first_day('cohort_number') }} as cohort,
        period,
        customers,
        active,
        cast(active as double) / cast(customers as double) as retention,
        revenue,
        margin,
        {{ money_share('margin_so_far', '1', 'customers', scale=1) }} as cumulative_value,
        {{ cohort_first_day('cohort_number + period + 1') }}
        <= cast({{ dbt.dateadd("day", 1, as_of_date()) }} as date) as is_complete
    from cumulated

)

select * from final
