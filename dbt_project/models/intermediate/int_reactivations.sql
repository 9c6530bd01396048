with transactions as (

    select * from {{ ref('int_transactions') }}

),

customer_gaps as (

    select * from {{ ref('int_customer_gaps') }}

),

base as (

    select * from {{ ref('int_snapshot_base') }}

),

-- A shrunk gap lies between the customer's shortest and the base's: who never exceeded the lower of the two needs no
-- running median, by far the dearest step. The last factor leaves room for exp(ln(x)) < x.
candidates as (

    select
        customer_gaps.customer_id,
        base.base_gap_median,
        base.gap_k
    from customer_gaps
    cross join base
    where
        customer_gaps.longest_gap
        > base.gap_k * least(cast(customer_gaps.shortest_gap as double), base.base_gap_median) * 0.999999

),

known_at_start as (

    select
        transactions.customer_id,
        transactions.ordered_date,
        transactions.gap_days,
        candidates.base_gap_median,
        candidates.gap_k,
        count(*) over (
            partition by transactions.customer_id
            order by transactions.ordered_date
            rows between unbounded preceding and 1 preceding
        ) as gaps_before,
        {{ quantile('cast(transactions.gap_days as double)', 0.5) }} over (
            partition by transactions.customer_id
            order by transactions.ordered_date
            rows between unbounded preceding and 1 preceding
        ) as median_before
    from transactions
    inner join candidates on transactions.customer_id = candidates.customer_id
    where transactions.gap_days is not null

),

newest as (

    select
        customer_id,
        max(ordered_date) as reactivated_date
    from known_at_start
    where gap_days > gap_k * {{ shrunk_gap('gaps_before', 'median_before', 'base_gap_median') }}
    group by customer_id

)

select * from newest
