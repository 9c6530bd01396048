"""Candidate tables that are the facts themselves, told for readers: no measure is computed here.

Belongs here: the golden record, personal data, unmatched returns, cohorts and the audit, as plain SQL on `marts` and `clean`.
"""

from __future__ import annotations

from datetime import date

import duckdb

_CUSTOMER = """
    create or replace table candidate.customer as
    select a.customer_id, a.customer_type, a.country, a.region, a.city, a.industry,
           case when a.employees >= 1000 then '1000+' when a.employees >= 250 then '250-999'
                when a.employees >= 50 then '50-249' when a.employees >= 10 then '10-49'
                when a.employees >= 1 then '1-9' end as size_band,
           a.acquisition_channel, s.first_order_date, s.last_order_date, s.transactions = 0 as is_prospect
    from marts.fct_customer_snapshot s join marts.dim_customers_as_of a using (as_of_date, customer_id)
    where s.as_of_date = ?
"""
_PII = """
    create or replace table candidate.customer_pii as
    select a.customer_id, a.name, a.email, a.phone, a.birth_date
    from marts.fct_customer_snapshot s join marts.dim_customers_as_of a using (as_of_date, customer_id)
    where s.as_of_date = ? and coalesce(a.name, a.email, a.phone, cast(a.birth_date as varchar)) is not null
"""
_UNMATCHED = """
    create or replace table candidate.unmatched_return as
    select order_id, line, customer_id, returned_at, amount from marts.fct_unmatched_returns where returned_date <= ?
"""
_COHORTS = """
    create or replace table candidate.cohort_retention as select * from marts.fct_cohort_periods where as_of_date = ?
"""
_AUDIT = """
    create or replace table candidate.ingest_audit as
    select source, file_hash, entity, file, rows_read, rows_accepted, rows_quarantined, rows_duplicate, rows_filtered,
           rows_superseded, landed_at
    from clean.ingest_audit
"""


def write_records(con: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """candidate.customer, customer_pii, unmatched_return, cohort_retention and ingest_audit of one snapshot."""
    for sql in (_CUSTOMER, _PII, _UNMATCHED, _COHORTS):
        con.execute(sql, [as_of])
    con.execute(_AUDIT)
