"""A candidate of made-up customers that every suite passes, written by SQL straight into the files that the gate opens.

Belongs here: the rows. Not here: judging them (gate_child.py), what is promised (gate.py).

Two snapshots, so that there is an earlier one to compare with; six schemes, five of them with a stay each; a twentieth of the
base in each backtest.
"""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import RFM_SEGMENTS, TABLES, Table
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.warehouse.candidate import candidate_folder
from cvm_pipeline.warehouse.ddl import create_table_sql, dictionary_rows, qualified
from cvm_pipeline.warehouse.versions import MANIFEST, PII_FILE, WAREHOUSE_FILE
from cvm_pipeline.warehouse.work import STORAGE_VERSION

AS_OF, EARLIER = date(2024, 6, 30), date(2024, 5, 31)
STANDING, CANDIDATE = "2024-06-01T060000Z-0001", "2024-07-01T060000Z-0002"
CONFIG = """\
project: Gate benchmark
home: home
history_start: 2020-01-01
sources:
  - entity: orders
    path: none.csv
    columns: {order_id: id, customer_id: customer, ordered_at: at, amount: amount}
"""

# Purchases on t days with a gap of g days between them, each of the same amount; every hundredth took a unit back.
_CUSTOMERS = """
create table work.marts.person as
with drawn as (
  select i, 'c' || lpad(i::varchar, 9, '0') as customer_id, (hash(i) % 1000003)::bigint as h, (hash(i + 7) % 999983)::bigint as k,
    case when i % 10 = 9 then 0 else 1 + (hash(i + 3) % 3)::bigint end as t, 10 + (hash(i + 5) % 40)::bigint as g
  from range({customers}) r(i)),
bought as (
  select *, ((500 + k % 20000) / 100)::decimal(18, 4) as a, (k + 1) / 1000000.0::double as p,
    case when t > 0 then $as_of::date - (100 + h % 800)::integer end as first_day,
    case when i % 100 = 0 and t > 0 then 1 else 0 end as back
  from drawn),
timed as (
  select *, first_day + ((t - 1) * g)::integer as last_day,
    (first_day > $as_of::date - interval 12 month)::bigint
    + (t > 1 and first_day + g::integer > $as_of::date - interval 12 month)::bigint
    + (t > 2 and first_day + (2 * g)::integer > $as_of::date - interval 12 month)::bigint as t_12m,
    (p * .8 * a)::decimal(18, 4) as clv
  from bought)
select *, row_number() over (order by case when t = 0 then 0 else clv end desc, customer_id) as value_rank from timed
"""
_VALUE = """
select {as_of}::date as as_of_date, customer_id, case when i % 4 = 0 then 'company' else 'individual' end as customer_type,
  first_day as first_order_date, last_day as last_order_date, t::bigint as transactions, greatest(t::bigint - 1, 0) as frequency,
  last_day - first_day as recency, $as_of::date - first_day as "T", case when t > 1 then a else 0 end as monetary_value,
  $as_of::date - last_day as days_since_last, 20 + p * 10 as gap_median, 200 + p as gap_limit,
  t * a - back as revenue_total, coalesce(t_12m, 0) * a - back as revenue_12m, t * a - back as margin_total,
  coalesce(t_12m, 0) * a - back as margin_12m, case when t > 0 then p end as p_alive,
  case when t > 0 then p * .8 end as expected_transactions_12m, case when t > 0 then a end as expected_spend,
  case when t > 0 then clv end as clv_12m, case when t > 0 then clv * 2 end as clv_36m, case when t > 0 then clv end as clv,
  case when t > 0 then clv / 2 end as clv_low, case when t > 0 then clv * 2 end as clv_high,
  case when t > 0 then 'backtest' end as interval_basis, t * a - back as existing_value,
  case when t > 0 then clv end as potential_value, case when t > 0 then clv else 0 end as total_value, value_rank,
  1 - (value_rank - 1) / {customers} as value_percentile,
  case when t = 0 then 'D' when value_rank < .2 * {customers} then 'A' when value_rank < .5 * {customers} then 'B' else 'C' end
    as value_tier, value_tier as previous_tier, case when t > 0 then 1 + h % 5 end as r_score,
  case when t > 0 then 1 + k % 5 end as f_score, case when t > 0 then 1 + (h + k) % 5 end as m_score,
  r_score::varchar || f_score::varchar || m_score::varchar as rfm_cell,
  case when t > 0 then {names}[1 + h % {n_names}] end as rfm_segment,
  case when t = 0 then 'prospect' else ['growing', 'mature', 'declining', 'lost'][1 + k % 4] end as lifecycle_stage,
  lifecycle_stage as previous_stage, date '2024-05-31' as stage_since,
  coalesce('last purchase ' || days_since_last || ' days ago', 'never bought') as stage_reason, p > .95 as is_loyal,
  case when t > 0 then ['star', 'grow', 'harvest', 'maintain'][1 + h % 4] end as value_matrix,
  case when t > 2 and h % 50 = 0 then 'watch' end as warning_level,
  false as is_excluded, case when t > 0 then 'mbg_nbd' end as clv_model, {publication} as publication_id
from work.marts.person order by i
"""
_REST = """
insert into warehouse.cvm.customer_value by name from warehouse.cvm.customer_value_history where as_of_date = $as_of;
insert into warehouse.cvm.customer by name select customer_id, 'country ' || i % 20 as country, 'city ' || i % 1000 as city,
  first_day as first_order_date, last_day as last_order_date, t = 0 as is_prospect, 'p' as publication_id from work.marts.person;
insert into pii.cvm_pii.customer_pii by name select customer_id, 'Name ' || i as name, i || '@example.org' as email,
  'p' as publication_id from work.marts.person;
insert into warehouse.cvm.early_warning by name select as_of_date, customer_id,
    case when as_of_date = $as_of then 'standing' else 'new' end as status, warning_level as level, 'frequency' as signals,
    91 as window_days, .001 as p_value, 5 as value_at_risk, 'bought less' as reasons, date '2024-05-31' as raised_on,
    date '2024-08-30' as lapses_on, publication_id from warehouse.cvm.customer_value_history where warning_level is not null;
insert into warehouse.cvm.warning_test by name select as_of_date, customer_id, 91 as window_days, 3 as expected_transactions,
    2.5 as expected_with_attrition, 2 as observed_transactions, 1 as base_index, .4 as p_frequency, .5 as p_spend, .8 as p_value,
    true as is_testable, false as is_raised, publication_id
  from warehouse.cvm.customer_value_history where transactions > 2 and warning_level is null;
insert into warehouse.cvm.warning_record by name select as_of_date, unnest(['all', 'watch', 'warning', 'critical']) as level,
    100 as tested, 50 as not_testable, 0 as warned, 0 as fell, 'p' as publication_id
  from (select distinct as_of_date from warehouse.cvm.customer_value_history);
insert into warehouse.cvm.customer_state_history by name
  from (select customer_id, unnest(['tier', 'stage', 'rfm', 'warning', 'value_matrix']) as scheme, date '2024-05-31' as valid_from,
      unnest([value_tier, lifecycle_stage, rfm_segment, warning_level, value_matrix]) as state, 'behaviour' as cause,
      1 as rule_version, publication_id from warehouse.cvm.customer_value) where state is not null;
insert into warehouse.cvm.segment_membership by name
  from (select as_of_date, unnest(['tier', 'stage', 'rfm', 'type', 'value_matrix', 'warning']) as scheme, customer_id,
    unnest([value_tier, lifecycle_stage, coalesce(rfm_segment, 'none'), customer_type, value_matrix, warning_level]) as segment,
    publication_id
  from warehouse.cvm.customer_value_history) where segment is not null;
insert into warehouse.cvm.segment_summary by name
  select m.as_of_date, scheme, segment, count(*) as customers, count(*) / {customers} as share, sum(revenue_12m) as revenue_12m,
    sum(margin_12m) as margin_12m, sum(coalesce(clv, 0)) as clv, sum(total_value) as total_value, avg(p_alive) as avg_p_alive,
    5 * count(warning_level) as at_risk_value, 'p' as publication_id
  from warehouse.cvm.segment_membership m
  join warehouse.cvm.customer_value_history v on v.customer_id = m.customer_id and v.as_of_date = m.as_of_date group by all;
insert into warehouse.cvm.pareto_curve select d, n, sqrt(n / 100.0), 'p'
  from range(101) r(n), (values (date '2024-05-31'), (date '2024-06-30')) t(d);
insert into warehouse.cvm.segment_parameter select d, s, 'cut ' || n, n, 'p' from range(5) r(n),
  (values ('tier'), ('stage'), ('rfm')) t(s), (values (date '2024-05-31'), (date '2024-06-30')) u(d);
insert into warehouse.cvm.clv_model_card by name select d as as_of_date, 'p' as publication_id, t.* from (values
  ('mbg_nbd', 'all', 'is_champion', 1.0), ('mbg_nbd', 'all', 'converged', 1), ('mbg_nbd', 'all', 'gives_p_alive', 1),
  ('mbg_nbd', 'all', 'value_change_split', 1))
  t(model, cut_date, metric, value), (values (date '2024-05-31'), (date '2024-06-30')) u(d);
insert into warehouse.cvm.clv_backtest by name select as_of_date, '2023-12-31' as cut_date, 182 as horizon_days, model,
  customer_id, p_alive as predicted, frequency as actual, .5 as naive, 0 as low, 3 as high, clv as value_predicted,
  clv as value_actual, clv as value_naive, 0 as value_low, clv_high as value_high, publication_id
  from warehouse.cvm.customer_value_history, (values ('mbg_nbd'), ('bg_nbd'), ('pareto_nbd')) m(model)
  where value_rank % 20 = 0 and transactions > 0;
insert into warehouse.cvm.value_change by name select as_of_date, customer_id, clv as clv_before, clv, 0 as change,
  1 as frequency, 0 as recency, -1 as time, 0 as spend, 0 as margin, 0 as model, 0 as correction, 0 as entry, 0 as identity,
  publication_id from warehouse.cvm.customer_value_history where clv is not null;
insert into warehouse.cvm.unmatched_return select customer_id, 0, customer_id, $as_of::date - 10, 1, 'p'
  from work.marts.person where back = 1;
insert into warehouse.cvm.cohort_retention by name select as_of_date, date_trunc('month', first_order_date)::date as cohort,
    0 as period, count(*) as customers, count(*) as active, 1 as retention, sum(revenue_total) as revenue,
    sum(margin_total) as margin, (sum(margin_total) / count(*))::decimal(18, 4) as cumulative_value, true as is_complete,
    'p' as publication_id
  from warehouse.cvm.customer_value_history where transactions > 0 group by all;
insert into warehouse.cvm.stage_transitions by name select as_of_date, previous_stage as "from", lifecycle_stage as "to",
    count(*) as customers, 1 as probability, sum(total_value) as value_moved, 'p' as publication_id
  from warehouse.cvm.customer_value_history group by all;
insert into warehouse.cvm.tier_transitions by name select as_of_date, previous_tier as "from", value_tier as "to",
    count(*) as customers, 1 as probability, sum(total_value) as value_moved, 'p' as publication_id
  from warehouse.cvm.customer_value_history group by all;
insert into warehouse.cvm.ingest_audit select 'orders', sha256(n::varchar), 'orders', 'orders.csv', 10, 10, 0, 0, 0, 0,
  timestamp '2024-07-01', 'p' from range(60) r(n);
create table work.marts.fct_orders as
  select i || '-' || n as order_id, customer_id, first_day + (n * g)::integer as ordered_date, a as amount, null::date as void_date,
    false as is_return from work.marts.person, range(3) r(n) where n < t;
create table work.marts.fct_return_allocations as
  select '' as return_id, '' as order_id, '' as customer_id, $as_of::date as returned_date, 1::decimal(18, 4) as amount limit 0;
create table work.marts.fct_unmatched_returns as
  select customer_id as order_id, 0 as line, customer_id, $as_of::date - 10 as returned_date, 1::decimal(18, 4) as amount
  from work.marts.person where back = 1;
create table work.marts.fct_customer_snapshot as
  select v.*, null::varchar as flag, revenue_total as net_sales, revenue_12m as net_sales_12m, t_12m as transactions_12m
  from warehouse.cvm.customer_value v join work.marts.person using (customer_id);
drop table work.marts.person
"""


def write_candidate(folder: Path, customers: int) -> None:
    """A project with one standing version and the candidate built on it. The folder must be new. Raises duckdb.Error, OSError."""
    (folder / "cvm.yml").parent.mkdir(parents=True)
    (folder / "cvm.yml").write_text(CONFIG)
    home = Home(folder / "home")
    made, standing = candidate_folder(home, CANDIDATE), home.versions / STANDING
    for each in (made, standing, home.work_file.parent, home.scratch):
        each.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(config={"temp_directory": str(home.scratch), "memory_limit": "4GB"})
    for catalog, file in (("warehouse", made / WAREHOUSE_FILE), ("pii", made / PII_FILE), ("work", home.work_file)):
        con.execute(f"attach {literal(str(file))} as {catalog} (storage_version '{STORAGE_VERSION}')")
    con.execute("create schema work.marts; create schema warehouse.cvm; create schema pii.cvm_pii")
    for table in TABLES:
        con.execute(create_table_sql(table, _catalog(table)))
    day = {"$as_of": f"date '{AS_OF}'"}
    names = "[" + ", ".join(literal(name) for name in RFM_SEGMENTS) + "]"
    con.execute(_filled(_CUSTOMERS, day, customers=customers))
    for as_of in (EARLIER, AS_OF):
        rows = _filled(_VALUE, day, customers=customers, names=names, n_names=len(RFM_SEGMENTS), as_of=f"date '{as_of}'",
                       publication=literal(CANDIDATE))  # fmt: skip
        con.execute(f"insert into warehouse.cvm.customer_value_history by name {rows}")
    for statement in _filled(_REST, day, customers=customers).split(";\n"):
        con.execute(statement)
    for row in dictionary_rows(CANDIDATE):
        con.execute(
            f"insert into warehouse.cvm.data_dictionary values ({', '.join('?' * len(row))})", list(row.values())
        )
    con.close()
    # The same bytes twice: what stands is compared with, never written.
    for name in (WAREHOUSE_FILE, PII_FILE):
        os.link(made / name, standing / name)
    home.current.symlink_to(standing)
    manifest = {"publication_id": CANDIDATE, "as_of_date": str(AS_OF), "run_id": "benchmark", "built_on": STANDING,
                "newest_as_of": str(AS_OF), "rows": {}}  # fmt: skip
    (made / MANIFEST).write_text(json.dumps(manifest))


def rows_to_judge(folder: Path) -> dict[str, int]:
    """Rows that the candidate brings into each gated table. Raises duckdb.Error."""
    made = candidate_folder(Home(folder / "home"), CANDIDATE)
    with duckdb.connect(str(made / WAREHOUSE_FILE), read_only=True) as con:
        con.execute(f"attach {literal(str(made / PII_FILE))} as pii (read_only)")
        found = {}
        for table in TABLES:
            if table.gated:
                day = f" where as_of_date = date '{AS_OF}'" if table.writing == "snapshot" else ""
                relation = qualified(table, "pii" if _catalog(table) == "pii" else "")
                ((found[table.name],),) = con.execute(f"select count(*) from {relation}{day}").fetchall()
        return found


def _catalog(table: Table) -> str:
    return "pii" if table.schema == "cvm_pii" else "warehouse"


def _filled(sql: str, day: dict[str, str], **values: object) -> str:
    filled = sql.format(**values)
    for name, value in day.items():
        filled = filled.replace(name, value)
    return filled
