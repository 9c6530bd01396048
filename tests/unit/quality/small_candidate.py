"""A small sound candidate in DuckDB: three customers, their facts, and every table that the gate's facts read.

Alice bought twice and returned a part; Bob bought once, and returned what no order bore; Pam never bought.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from cvm_pipeline.domain import contracts
from cvm_pipeline.quality.gate_facts import Names

AS_OF = date(2024, 6, 30)
EARLIER = date(2024, 5, 31)
NAMES = Names("cand.cvm", "pii.cvm_pii", "work.marts", memory_date=EARLIER)

ALICE: dict[str, Any] = {
    "customer_id": "alice", "customer_type": "individual", "first_order_date": date(2024, 1, 10),
    "last_order_date": date(2024, 5, 10), "transactions": 2, "frequency": 1, "recency": 121, "T": 172, "monetary_value": 50,
    "days_since_last": 51, "gap_median": 100.0, "gap_limit": 400.0, "revenue_total": 150, "revenue_12m": 150,
    "margin_total": 150, "margin_12m": 150, "p_alive": 0.9, "expected_transactions_12m": 2.0, "expected_spend": 50,
    "clv_12m": 30, "clv_36m": 60, "clv": 30, "clv_low": 0, "clv_high": 90, "existing_value": 150, "potential_value": 30,
    "total_value": 30, "value_rank": 1, "value_percentile": 1.0, "value_tier": "A", "previous_tier": "A", "r_score": 5,
    "f_score": 5, "m_score": 5, "rfm_cell": "555", "rfm_segment": "Champions", "lifecycle_stage": "new",
    "previous_stage": "new", "stage_since": EARLIER, "stage_reason": "first purchase 172 days ago", "is_loyal": False,
    "is_excluded": False, "clv_model": "mbg_nbd", "value_matrix": "star",
}  # fmt: skip
BOB = ALICE | {
    "customer_id": "bob", "customer_type": None, "first_order_date": date(2024, 3, 1), "last_order_date": date(2024, 3, 1),
    "transactions": 1, "frequency": 0, "recency": 0, "T": 121, "monetary_value": 0, "days_since_last": 121,
    "revenue_total": 35, "revenue_12m": 35, "margin_total": 35, "margin_12m": 35, "p_alive": 0.5,
    "expected_transactions_12m": 0.5, "clv": 10, "clv_12m": 10, "clv_36m": 20, "clv_high": 30, "existing_value": 35,
    "potential_value": 10, "total_value": 10, "value_rank": 2, "value_percentile": 2 / 3, "value_tier": "B",
    "previous_tier": "B", "r_score": 3, "f_score": 1, "m_score": 1, "rfm_cell": "311", "rfm_segment": "New",
    "value_matrix": "maintain",
}  # fmt: skip
PAM = dict.fromkeys(ALICE) | {
    "customer_id": "pam", "customer_type": "company", "transactions": 0, "frequency": 0, "monetary_value": 0,
    "revenue_total": 0, "revenue_12m": 0, "margin_total": 0, "margin_12m": 0, "existing_value": 0, "total_value": 0,
    "value_rank": 3, "value_percentile": 1 / 3, "value_tier": "D", "previous_tier": "D", "lifecycle_stage": "prospect",
    "previous_stage": "prospect", "stage_since": EARLIER, "stage_reason": "never bought", "is_loyal": False,
    "is_excluded": False,
}  # fmt: skip
CUSTOMERS = (ALICE, BOB, PAM)

_MARTS = """
create table work.marts.fct_orders as from (values
  ('o1', 'alice', date '2024-01-10', 100.0, null, false), ('o2', 'alice', date '2024-05-10', 60.0, null, false),
  ('r2', 'alice', date '2024-05-20', -10.0, null, true), ('o3', 'bob', date '2024-03-01', 40.0, null, false),
  ('o4', 'bob', date '2024-03-02', 70.0, date '2024-03-02', false), ('r5', 'bob', date '2024-04-01', -5.0, null, true),
  ('o6', null, date '2024-03-01', 999.0, null, false), ('o7', 'bob', date '2024-07-01', 80.0, null, false)
) t(order_id, customer_id, ordered_date, amount, void_date, is_return);
create table work.marts.fct_return_allocations as from (values
  ('r2', 'o2', 'alice', date '2024-05-20', 10.0), ('r9', 'o6', null, date '2024-05-20', 3.0)
) t(return_id, order_id, customer_id, returned_date, amount);
create table work.marts.fct_unmatched_returns as from (values
  ('r5', 1, 'bob', date '2024-04-01', 5.0), ('r8', 1, 'bob', date '2024-07-02', 8.0)
) t(order_id, line, customer_id, returned_date, amount);
"""
_DERIVED = """
insert into cand.cvm.early_warning values
  ('2024-06-30', 'alice', 'new', 'watch', 'frequency', 91, .001, 7, 'told', '2024-06-30', '2024-09-29', 'p2');
insert into cand.cvm.warning_test by name select date '2024-06-30' as as_of_date, 'alice' as customer_id, .001 as p_value,
  true as is_testable, true as is_raised;
insert into cand.cvm.segment_parameter values ('2024-06-30', 'warning', 'largest_p_raised_probability', .005, 'p2');
update cand.cvm.customer_value_history h set warning_level = w.level from cand.cvm.early_warning w
  where w.customer_id = h.customer_id and w.as_of_date = h.as_of_date;
insert into cand.cvm.customer_value by name select * from cand.cvm.customer_value_history where as_of_date = '2024-06-30';
insert into cand.cvm.customer by name
  select customer_id, transactions = 0 as is_prospect, publication_id from cand.cvm.customer_value;
insert into pii.cvm_pii.customer_pii by name select 'alice' as customer_id, 'alice@example.org' as email, 'p2' as publication_id;
insert into cand.cvm.segment_membership by name
  select as_of_date, unnest(['tier', 'stage', 'rfm', 'type', 'value_matrix', 'warning']) as scheme, customer_id,
    unnest([value_tier, lifecycle_stage, rfm_segment, coalesce(customer_type, 'unknown'), value_matrix, warning_level]) as segment, publication_id
  from cand.cvm.customer_value;
delete from cand.cvm.segment_membership where segment is null;
insert into cand.cvm.segment_summary by name
  select m.as_of_date, scheme, segment, count(*) as customers, count(*) / 3 as share, sum(revenue_12m) as revenue_12m,
    sum(margin_12m) as margin_12m, sum(coalesce(clv, 0)) as clv, sum(total_value) as total_value,
    sum(coalesce(w.value_at_risk, 0)) as at_risk_value, 'p2' as publication_id
  from cand.cvm.segment_membership m join cand.cvm.customer_value v using (customer_id)
  left join cand.cvm.early_warning w on w.customer_id = v.customer_id and w.as_of_date = v.as_of_date group by all;
insert into cand.cvm.customer_state_history by name
  select customer_id, unnest(['tier', 'stage', 'rfm', 'warning', 'value_matrix']) as scheme, as_of_date as valid_from,
    unnest([value_tier, lifecycle_stage, rfm_segment, warning_level, value_matrix]) as state, 'behaviour' as cause, 1 as rule_version, 'p2' as publication_id
  from cand.cvm.customer_value;
delete from cand.cvm.customer_state_history where state is null;
insert into cand.cvm.pareto_curve values ('2024-06-30', 0, 0, 'p2'), ('2024-06-30', 33, .75, 'p2'), ('2024-06-30', 100, 1, 'p2');
insert into cand.cvm.clv_model_card by name select date '2024-06-30' as as_of_date, 'p2' as publication_id, * from (values
  ('mbg_nbd', 'all', 'is_champion', 1.0), ('mbg_nbd', 'all', 'converged', 1), ('mbg_nbd', 'all', 'gives_p_alive', 1),
  ('mbg_nbd', 'all', 'value_change_split', 1), ('mbg_nbd', '2023-12-31', 'is_champion', 1), ('gamma_gamma', 'all', 'is_champion', 0)) t(model, cut_date, metric, value);
insert into cand.cvm.value_change by name
  select as_of_date, customer_id, clv as clv_before, clv, 0 as change, 1 as time, -1 as model, publication_id,
    unnest([{'frequency': 0, 'recency': 0, 'spend': 0, 'margin': 0, 'correction': 0, 'entry': 0, 'identity': 0}], recursive := true)
  from cand.cvm.customer_value where clv is not null;
insert into cand.cvm.unmatched_return values ('r5', 1, 'bob', '2024-04-01', 5, 'p2');
insert into cand.cvm.ingest_audit values
  ('orders', 'ab', 'orders', 'orders.csv', 10, 5, 2, 1, 1, 1, '2024-07-01', 'p2');
insert into cand.cvm.cohort_retention values
  ('2024-06-30', '2024-01-01', 0, 1, 1, 1, 100, 100, 100, true, 'p2'),
  ('2024-06-30', '2024-01-01', 4, 1, 1, 1, 50, 50, 150, true, 'p2'),
  ('2024-06-30', '2024-03-01', 0, 1, 1, 1, 40, 40, 40, true, 'p2'),
  ('2024-06-30', '2024-03-01', 1, 1, 0, 0, -5, -5, 35, true, 'p2');
insert into cand.cvm.stage_transitions values
  ('2024-06-30', 'new', 'new', 2, 1, 40, 'p2'), ('2024-06-30', 'prospect', 'prospect', 1, 1, 0, 'p2');
insert into cand.cvm.tier_transitions values
  ('2024-06-30', 'A', 'A', 1, 1, 30, 'p2'), ('2024-06-30', 'B', 'B', 1, 1, 10, 'p2'), ('2024-06-30', 'D', 'D', 1, 1, 0, 'p2');
"""


def insert(con: duckdb.DuckDBPyConnection, relation: str, row: dict[str, Any]) -> None:
    """One row, columns by name."""
    names = ", ".join(f'"{name}"' for name in row)
    con.execute(f"insert into {relation} ({names}) values ({', '.join('?' * len(row))})", list(row.values()))


def sound_candidate() -> duckdb.DuckDBPyConnection:
    """A connection with the sound candidate attached as `cand` and `pii`, and its facts as `work`."""
    con = duckdb.connect()
    for name, schema in (("cand", "cvm"), ("pii", "cvm_pii"), ("work", "marts")):
        con.execute(f"attach ':memory:' as {name}; create schema {name}.{schema}")
    for table in contracts.TABLES:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        con.execute(
            f"create table {'pii' if table.schema == 'cvm_pii' else 'cand'}.{table.schema}.{table.name} ({columns})"
        )
    for customer in CUSTOMERS:
        insert(con, "cand.cvm.customer_value_history", customer | {"as_of_date": EARLIER, "publication_id": "p1"})
        insert(con, "cand.cvm.customer_value_history", customer | {"as_of_date": AS_OF, "publication_id": "p2"})
    con.execute(_MARTS + _DERIVED)
    con.execute(
        """create table work.marts.fct_customer_snapshot as select *, null::varchar as flag, revenue_total as net_sales,
        revenue_12m as net_sales_12m, transactions as transactions_12m from cand.cvm.customer_value_history"""
    )
    declared = [[table.name, column.name] for table in contracts.TABLES for column in table.columns]
    con.executemany('insert into cand.cvm.data_dictionary ("table", "column") values (?, ?)', declared)
    return con
