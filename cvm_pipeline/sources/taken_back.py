"""What was taken back: the returns and cancellations of the clean orders, handed to the rule that allocates them.

Writes clean.return_allocations and clean.unmatched_returns. Not here: which order bears which return
(`domain/returns.py`), nor what makes an order void or a return (`documents.py`).
"""

from __future__ import annotations

import duckdb

from cvm_pipeline.domain.returns import ALLOCATIONS, UNMATCHED, allocate_returns


def allocate(con: duckdb.DuckDBPyConnection) -> None:
    """clean.return_allocations and clean.unmatched_returns, for the customers and orders that any event concerns."""
    con.execute(f"create or replace temp table _returns as {_RETURNS}")
    con.execute("""
        create or replace temp table _concerned as
        select order_id, customer_id, ordered_date, ordered_at, amount, void_date, returned_date from clean.orders o
        where not is_return and (
            (void_date is not null) or (returned_date is not null)
            or customer_id in (select customer_id from _returns where customer_id is not null)
            or order_id in (select refers_to from _returns where refers_to is not null))
    """)
    orders = con.sql("select * from _concerned").to_arrow_table()
    returns = con.sql("select * from _returns").to_arrow_table()
    products = con.sql("""
        select l.order_id, l.product_id, cast(round_even(sum(l.amount), 4) as decimal(18,4)) as amount
        from clean.order_lines l
        where l.order_id in (select order_id from _concerned) and l.product_id in (select product_id from _returns)
          and (l.void_date is null or l.void_date > l.ordered_date)
        group by l.order_id, l.product_id
    """).to_arrow_table()
    allocations, unmatched = allocate_returns(orders, returns, products)
    for name, table, schema in (
        ("return_allocations", allocations, ALLOCATIONS),
        ("unmatched_returns", unmatched, UNMATCHED),
    ):
        con.register("_rows", table.cast(schema))
        con.execute(f"create or replace table clean.{name} as select * from _rows")
        con.unregister("_rows")


# Return documents by line where every line is a credit, else as a whole; and lines of a sale that came back or were
# cancelled while others of the same order stand. Lines are rounded as running totals, so that they add up to the order's.
_RETURNS = """
    with credits as (
        select l.order_id as return_id, l.line, o.customer_id, o.ordered_at as returned_at, o.ordered_date as returned_date,
               -l.amount as amount, o.refers_to, l.product_id
        from clean.order_lines l join clean.orders o using (order_id)
        where o.is_return and o.from_lines and o.by_line and l.amount < 0
    ),
    whole as (
        select order_id as return_id, 0 as line, customer_id, ordered_at as returned_at, ordered_date as returned_date,
               cast(-amount as decimal(28,10)) as amount, refers_to, cast(null as varchar) as product_id
        from clean.orders where is_return and not (from_lines and by_line)
    ),
    taken_back as (
        select l.order_id as return_id, l.line, o.customer_id,
               coalesce(l.returned_at, l.status_at, l.ordered_at) as returned_at,
               coalesce(l.returned_date, l.void_date) as returned_date, l.amount, l.order_id as refers_to, l.product_id
        from clean.order_lines l join clean.orders o using (order_id)
        where o.from_lines and not o.is_return
          and ((l.returned_date is not null and o.returned_date is null
                and (o.void_date is null or l.returned_date < o.void_date))
            or (l.void_date > l.ordered_date and l.amount > 0 and (o.void_date is null or l.void_date < o.void_date)))
    ),
    every as (select * from credits union all select * from whole union all select * from taken_back),
    running as (
        select *, sum(amount) over upto as total,
               coalesce(sum(amount) over (partition by return_id order by line rows between unbounded preceding and 1 preceding), 0)
                   as before
        from every window upto as (partition by return_id order by line rows unbounded preceding)
    )
    select return_id, cast(line as integer) as line, customer_id, returned_at, returned_date,
           cast(round_even(total, 4) - round_even(before, 4) as decimal(18,4)) as amount, refers_to, product_id
    from running where round_even(total, 4) > round_even(before, 4)
"""
