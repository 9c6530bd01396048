"""One customer, as the published tables tell of it: for `cvm explain`.

Belongs here: small reads of the standing version. Not here: how it is shown (`cli/explain.py`).
"""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.tier_distance import distance
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.versions import open_standing


class CustomerUnknown(WarehouseError):
    """No published snapshot holds the customer."""


def told_customer(home: Home, customer_id: str, as_of: date | None = None) -> dict[str, Any]:
    """All that is published of a customer at a snapshot (by default the newest that holds it), and how it came to it.

    `snapshot`: its row of customer_value_history, one of so many `customers`; `newest_snapshot`: the day of
    readers' newest tables; `customer`: the golden record, which is kept of that day alone; `tier_distance`; `change`: its row of
    value_change; `warning` and `test`: its rows of early_warning and warning_test; `timeline`: snapshots up to this one, oldest
    first; `stays`: its stays that began by then. None or empty where there is no such row. Raises CustomerUnknown.
    """
    with open_standing(home) as con:
        if con is None:
            raise CustomerUnknown("nothing is published yet. Run `cvm run` first")
        day = _snapshot_of(con, customer_id, as_of)
        key = {"day": day, "id": customer_id}
        snapshot = _row(con, "customer_value_history", "as_of_date = $day and customer_id = $id", key)
        if snapshot is None:
            raise CustomerUnknown(_why_not(con, customer_id, day))
        ((customers, newest),) = con.execute(
            "select count(*), (select max(as_of_date) from cvm.customer_value) from cvm.customer_value_history "
            "where as_of_date = ?",
            [day],
        ).fetchall()
        cuts = con.execute(
            "select parameter, value from cvm.segment_parameter where as_of_date = ? and scheme = 'tier'", [day]
        ).fetchall()
        away = distance(snapshot["value_tier"], float(snapshot["total_value"]), dict(cuts))
        return {
            "snapshot": snapshot,
            "customers": customers,
            "newest_snapshot": newest,
            "customer": _row(con, "customer", "customer_id = $id", {"id": customer_id}) if day == newest else None,
            "tier_distance": {
                name: None if one is None else vars(one) for name, one in (("up", away.up), ("down", away.down))
            },
            "change": _row(con, "value_change", "as_of_date = $day and customer_id = $id", key),
            "warning": _row(con, "early_warning", "as_of_date = $day and customer_id = $id", key),
            "test": _row(con, "warning_test", "as_of_date = $day and customer_id = $id", key),
            "timeline": _rows(
                con,
                "select as_of_date, clv, total_value, value_tier, lifecycle_stage, transactions, p_alive, clv_model "
                "from cvm.customer_value_history where customer_id = $id and as_of_date <= $day order by as_of_date",
                key,
            ),
            "stays": _rows(
                con,
                "select scheme, valid_from, case when valid_to <= $day then valid_to end as valid_to, state, previous, "
                "reason, cause from cvm.customer_state_history "
                "where customer_id = $id and valid_from <= $day order by valid_from, scheme",
                key,
            ),
        }


def _why_not(con: duckdb.DuckDBPyConnection, customer_id: str, day: date) -> str:
    """Why a snapshot tells nothing of a customer: it does not hold it, or is not there itself."""
    days = [row[0] for row in con.execute(
        "select distinct as_of_date from cvm.customer_value_history order by as_of_date").fetchall()]  # fmt: skip
    if day in days:
        return f"customer {customer_id} is not in the snapshot of {day}"
    near = [*[one for one in days if one < day][-1:], *[one for one in days if one > day][:1]]
    return f"there is no snapshot of {day}: the nearest are of {' and '.join(map(str, near))}"


def _snapshot_of(con: duckdb.DuckDBPyConnection, customer_id: str, as_of: date | None) -> date:
    if as_of is not None:
        return as_of
    newest = con.execute(
        "select max(as_of_date) from cvm.customer_value_history where customer_id = ?", [customer_id]
    ).fetchall()[0][0]
    if newest is None:
        some = con.execute("select customer_id from cvm.customer_value order by value_rank limit 3").fetchall()
        such = ", ".join(id_ for (id_,) in some) or "none"
        raise CustomerUnknown(f"no published snapshot holds customer {customer_id}. Ids look like {such}")
    return date.fromisoformat(str(newest))


def _row(con: duckdb.DuckDBPyConnection, table: str, condition: str, values: dict[str, Any]) -> dict[str, Any] | None:
    there = con.execute(
        "select 1 from duckdb_tables() where schema_name = 'cvm' and table_name = ?", [table]
    ).fetchall()
    if not there:
        return None
    found = _rows(con, f"select * from cvm.{table} where {condition}", values)
    return found[0] if found else None


def _rows(con: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = con.execute(sql, {name: value for name, value in values.items() if f"${name}" in sql})
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
