"""Orders: made from their lines, in the project's currency and days, with what cancels or returns them.

Writes clean.exchange_rates, products, customers, order_lines and orders from the rows that stand. The rule of sign
(sources.md) is applied here. Not here: which order bears which return (`taken_back.py`, `domain/returns.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from cvm_pipeline.sources.entities import CUSTOMERS, EXCHANGE_RATES, ORDER_LINES, ORDERS, PRODUCTS, Entity
from cvm_pipeline.sources.sql import first_row, literal
from cvm_pipeline.sources.standing import SOUND, standing_rows

# DuckDB multiplies decimals of up to 18 digits in 18 digits: one factor must be wide.
_WORTH = "cast(quantity as decimal(38,6)) * unit_price - coalesce(discount, 0)"


@dataclass(frozen=True)
class Naming:
    """How ids are published: as they stand in one system, `system:id` with several. Days are cut in `zone`."""

    zone: str
    currency: str
    several_systems: bool

    def id(self, column: str) -> str:
        """SQL of a published id; null stays null."""
        return f"source_system || ':' || {column}" if self.several_systems else column

    def day(self, instant: str) -> str:
        """SQL of the project's day of a UTC instant."""
        if self.zone in ("UTC", "Etc/UTC"):
            return f"cast({instant} as date)"
        return f"cast(timezone({literal(self.zone)}, timezone('UTC', {instant})) as date)"


def naming(con: duckdb.DuckDBPyConnection, zone: str, currency: str) -> Naming:
    """Whether the sound rows of all entities come from one system."""
    systems = " union ".join(
        f"select distinct source_system from landing.{entity.name} where {SOUND}"
        for entity in (ORDERS, ORDER_LINES, PRODUCTS, CUSTOMERS)
    )
    row = first_row(con, f"select count(*) from ({systems})")
    return Naming(zone, currency.upper(), bool(row and row[0] > 1))


def write_rates(con: duckdb.DuckDBPyConnection) -> None:
    """clean.exchange_rates: project currency for one unit of another, by day."""
    con.execute(f"""
        create or replace table clean.exchange_rates as
        select upper(currency) as currency, rate_date, rate from ({standing_rows(EXCHANGE_RATES)})
    """)


def quarantine_unrated(con: duckdb.DuckDBPyConnection, entity: Entity, names: Naming) -> None:
    """An order in another currency needs the rate of its own day; without it the row is quarantined."""
    con.execute(f"""
        update landing.{entity.name} r
        set _bad = 'missing_rate' || chr(31) || 'currency: no rate of ' || upper(currency) || ' to {names.currency} for '
            || {names.day("ordered_at")}
        where {SOUND} and upper(currency) <> {literal(names.currency)} and not exists (
            select 1 from clean.exchange_rates x
            where x.currency = upper(r.currency) and x.rate_date = {names.day("r.ordered_at")}
        )
    """)


def quarantine_too_large(con: duckdb.DuckDBPyConnection, entity: Entity, names: Naming) -> None:
    """A single amount of a million million, or an order of ten, is a slip of the decimal point, and no table could hold its sums."""
    if entity == ORDERS:
        sizes = ["r.amount", "r.cost", "r.discount"]
    else:
        sizes = [*(f"cast(r.quantity as double) * {price}" for price in ("r.unit_price", "r.unit_cost")), "r.discount"]
    size = "greatest(" + ", ".join(f"coalesce(abs(cast({each} as double)), 0)" for each in sizes) + ")"
    key = ", ".join(entity.key)
    sized = f"""
        select _rank, _line, {", ".join(f"r.{name}" for name in entity.key)},
               {size} * greatest(1, coalesce(cast(x.rate as double), 1)) as size
        from landing.{entity.name} r left join clean.exchange_rates x
            on upper(r.currency) <> {literal(names.currency)} and x.currency = upper(r.currency)
            and x.rate_date = {names.day("r.ordered_at")}
        where {SOUND}
    """
    # Orders are only added up where all together they come near: on a sound base this is one pass.
    largest = first_row(con, f"select coalesce(max(size), 0), coalesce(sum(size), 0) from ({sized})") or (0, 0)
    if largest[0] < 1e12 and largest[1] < 1e13:
        return
    con.execute(f"""
        create or replace temp table _too_large as
        select _rank, _line from ({sized}) qualify size >= 1e12 or sum(size) over (partition by {key}) >= 1e13
    """)
    con.execute(f"""
        update landing.{entity.name} r set _bad = 'too_large' || chr(31) || 'amount: larger than any this side of a slip'
        from _too_large x where r._rank = x._rank and r._line = x._line
    """)


def write_approximations(con: duckdb.DuckDBPyConnection) -> None:
    """clean.approximations: rows whose cancellation or return has no date, so that history takes their own day for it."""
    worth = {ORDERS: "amount", ORDER_LINES: _WORTH}
    cases = (("cancelled", "status_at"), ("returned", "returned_at"))
    counts = " union all ".join(
        f"select _source as source, '{status} without {date}' as what, count(*) as rows from ({standing_rows(entity)})"
        f" where status = '{status}' and {date} is null and {amount} > 0 group by _source"
        for entity, amount in worth.items()
        for status, date in cases
    )
    con.execute(f"create or replace table clean.approximations as {counts}")


def write_records(con: duckdb.DuckDBPyConnection, names: Naming) -> None:
    """clean.products, and clean.customers: every dated version of a record, the newest marked."""
    con.execute(f"""
        create or replace table clean.products as
        select {names.id("product_id")} as product_id, source_system, name, category, cast(unit_cost as decimal(18,4)) as unit_cost
        from ({standing_rows(PRODUCTS)})
    """)
    attributes = [
        f.name for f in CUSTOMERS.fields if f.name not in ("source_system", "customer_id", "created_at", "updated_at")
    ]
    shown = ", ".join(names.id(name) + f" as {name}" if name == "referred_by" else name for name in attributes)
    con.execute(f"""
        create or replace table clean.customers as
        with versions as (
            select *, {names.day("updated_at")} as version_date
            from landing.customers where {SOUND}
            qualify row_number() over (
                partition by source_system, customer_id, {names.day("updated_at")}
                order by updated_at desc nulls last, _rank desc, _line desc) = 1
        )
        select {names.id("customer_id")} as customer_id, source_system, {shown},
               {names.day("created_at")} as created_date, version_date,
               row_number() over (partition by source_system, customer_id
                                  order by version_date desc nulls last, _rank desc, _line desc) = 1 as is_current
        from versions
    """)


def _order_facts(names: Naming, entity: Entity) -> str:
    """What orders and lines have in common, with the day from which the row counts nowhere and the day it came back."""
    return f"""
        select r.* exclude (order_id, customer_id, refers_to, currency),
               {names.id("r.order_id")} as order_id, {names.id("r.customer_id")} as customer_id,
               {names.id("r.refers_to")} as refers_to,
               {names.day("r.ordered_at")} as ordered_date,
               x.rate,
               case when r.status = 'pending' then {names.day("r.ordered_at")}
                    when r.status = 'cancelled'
                    then greatest({names.day("coalesce(r.status_at, r.ordered_at)")}, {names.day("r.ordered_at")})
               end as void_from,
               case when r.status = 'returned'
                    then greatest({names.day("coalesce(r.returned_at, r.ordered_at)")}, {names.day("r.ordered_at")})
               end as came_back
        from ({standing_rows(entity)}) r
        left join clean.exchange_rates x
            on upper(r.currency) <> {literal(names.currency)} and x.currency = upper(r.currency)
            and x.rate_date = {names.day("r.ordered_at")}
    """


def _converted(amount: str) -> str:
    return (
        f"case when rate is null then cast({amount} as decimal(28,10))"
        f" else cast(cast({amount} as decimal(22,8)) * rate as decimal(28,10)) end"
    )


def write_order_lines(con: duckdb.DuckDBPyConnection, names: Naming, appending: frozenset[str]) -> None:
    """clean.order_lines. A line is numbered by the line of its file, pieces of one order one after another.

    An order is a day's: lines of a later day under the same id are the document `id@day`, and credits among them refer to
    the order they were booked under.
    """
    line = "cast(_line as integer)"
    if appending:
        line = "cast(row_number() over (partition by order_id order by _rank, _line) as integer)"
    con.execute(f"""
        create or replace table clean.order_lines as
        with facts as ({_order_facts(names, ORDER_LINES)}),
        priced as (
            select f.*, {names.id("f.product_id")} as published_product_id, {line} as line,
                   {_converted(_WORTH)} as amount,
                   {_converted("cast(quantity as decimal(38,6)) * coalesce(f.unit_cost, c.unit_cost)")} as cost
            from facts f {_list_cost(con, names)}
        )
        select order_id, line, source_system, customer_id, ordered_at, ordered_date, published_product_id as product_id,
               quantity, unit_price, discount, amount, cost, status,
               case when amount >= 0 then void_from end as void_date,
               case when amount > 0 then came_back end as returned_date,
               status_at, returned_at, refers_to, channel, _source as source, _file as file, _rank as rank, _line as file_line
        from priced
    """)
    con.execute("""
        create or replace temp table _first_days as
        select order_id, min(ordered_date) as first_day from clean.order_lines
        group by order_id having min(ordered_date) <> max(ordered_date)
    """)
    con.execute("""
        update clean.order_lines l
        set order_id = l.order_id || '@' || l.ordered_date, refers_to = coalesce(l.refers_to, l.order_id)
        from _first_days f where f.order_id = l.order_id and l.ordered_date > f.first_day
    """)


def _list_cost(con: duckdb.DuckDBPyConnection, names: Naming) -> str:
    """The join to a product's own cost `c.unit_cost`: that of the version known on the order's day, else of the first."""
    con.execute(f"""
        create or replace temp table _list_costs as
        with versions as (
            select {names.id("product_id")} as product_id, unit_cost, {names.day("updated_at")} as version_date
            from landing.products where {SOUND} and unit_cost is not null
            qualify row_number() over (
                partition by source_system, product_id, {names.day("updated_at")}
                order by updated_at desc nulls last, _rank desc, _line desc) = 1
        )
        select product_id, unit_cost,
               case when row_number() over (partition by product_id order by version_date nulls first) = 1
                    then date '0001-01-01' else version_date end as known_from
        from versions
    """)
    row = first_row(con, "select max(n) from (select count(*) as n from _list_costs group by product_id)")
    product = names.id("f.product_id")
    # Sorting every line by product and day is worth it only where a cost has changed at all.
    if row and row[0] and row[0] > 1:
        return f"asof left join _list_costs c on c.product_id = {product} and f.ordered_date >= c.known_from"
    return f"left join _list_costs c on c.product_id = {product}"


def write_orders(con: duckdb.DuckDBPyConnection, names: Naming, margin_rate: float) -> None:
    """clean.orders: the orders as delivered, and those made of lines where no order of that id was delivered.

    An order's cost is given where that of four fifths of its value is: the rest of it then costs 1 - `margin_rate`.
    """
    cost_rate = f"cast({1 - margin_rate:.8f} as decimal(9,8))"
    con.execute(f"""
        create or replace table clean.orders as
        with facts as ({_order_facts(names, ORDERS)}),
        delivered as (
            select order_id, source_system, customer_id, ordered_at, ordered_date,
                   cast(round_even({_converted("amount")}, 4) as decimal(18,4)) as amount,
                   cast(round_even({_converted("cost")}, 4) as decimal(18,4)) as cost,
                   cast(round_even({_converted("discount")}, 4) as decimal(18,4)) as discount,
                   channel, status, case when amount >= 0 then void_from end as void_date,
                   case when amount >= 0 then came_back end as returned_date, refers_to,
                   false as from_lines, false as by_line, _source as source, _file as file, _line as line
            from facts
        ),
        gathered as (
            select order_id, any_value(source_system) as source_system,
                   -- A second customer was quarantined: all that is left agree.
                   max(customer_id) as customer_id,
                   min(ordered_at) as ordered_at, min(ordered_date) as ordered_date,
                   sum(amount) as all_amount, sum(amount) filter (where counts) as live_amount,
                   sum(cost) as all_cost, sum(cost) filter (where counts) as live_cost,
                   coalesce(sum(amount) filter (where counts and cost is null), 0) as uncosted_amount,
                   sum(discount) as discount, arg_min(channel, place) as channel,
                   case when min(status) = max(status) then min(status) else 'completed' end as status,
                   count(*) filter (where amount >= 0) as sold, count(*) filter (where amount < 0) as credited,
                   count(void_date) as voided, max(void_date) as void_date,
                   count(*) filter (where amount > 0) as charged,
                   count(returned_date) as returned, min(returned_date) as first_back, max(returned_date) as last_back,
                   arg_min(refers_to, place) as refers_to,
                   any_value(source) as source, min(file) as file, min(file_line) as line
            from (select *, cast(rank as bigint) * 1099511627776 + file_line as place,
                         void_date is null or void_date > ordered_date as counts from clean.order_lines)
            group by order_id
        ),
        judged as (
            -- Void as a whole, the last of its lines from void_date on. A credit is never void: beside one each line falls
            -- for itself.
            select *, live_cost is not null and 5 * abs(uncosted_amount) <= abs(live_amount) as is_costed,
                   sold > 0 and voided = sold and credited = 0 as is_void,
                   sold > 0 and voided = sold and credited = 0 and void_date <= ordered_date as never_stood
            from gathered
        ),
        made as (
            select order_id, source_system, customer_id, ordered_at, ordered_date,
                   cast(round_even(case when never_stood then all_amount else coalesce(live_amount, 0) end, 4)
                        as decimal(18,4)) as amount,
                   cast(round_even(case when never_stood then all_cost when is_costed then live_cost + cast(uncosted_amount as decimal(28,6)) * {cost_rate} end, 4)
                        as decimal(18,4)) as cost,
                   cast(round_even(discount, 4) as decimal(18,4)) as discount, channel, status,
                   case when is_void then void_date end as void_date,
                   case when charged > 0 and returned = charged and credited = 0 and first_back = last_back
                        then last_back end as returned_date,
                   refers_to, true as from_lines, charged = 0 and credited > 0 as by_line, source, file, line
            from judged
            where order_id not in (select order_id from delivered)
        ),
        both_kinds as (select * from delivered union all select * from made)
        select *, amount < 0 as is_return from both_kinds
    """)
    # A return that names its order but no customer is its customer's.
    con.execute("""
        update clean.orders r set customer_id = o.customer_id
        from clean.orders o
        where r.is_return and r.customer_id is null and o.order_id = r.refers_to and o.customer_id is not null
    """)
