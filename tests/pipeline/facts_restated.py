"""What dbt should make of a history, restated plainly in Python, row by row.

Belongs here: the definitions of metrics.md a second time, and reading tables by customer. Not here: what is asserted.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
from clean_fixture import History

FIRST, SECOND = dt.date(2022, 6, 30), dt.date(2024, 2, 29)
PRIOR = 3
MARGIN_RATE = Decimal("0.4")
Rows = dict[str, dict[str, object]]


def read(path: Path, sql: str) -> list[dict[str, object]]:
    with duckdb.connect(path, read_only=True) as con:
        return con.sql(sql).to_arrow_table().to_pylist()


def snapshot(path: Path, as_of: dt.date) -> Rows:
    rows = read(path, f"select * from marts.fct_customer_snapshot where as_of_date = date '{as_of}'")
    found = {row["customer_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def rounded(value: Fraction) -> Decimal:
    units = math.floor(abs(value) * 10_000 + Fraction(1, 2))
    return Decimal(units if value >= 0 else -units) / 10_000


def months_before(date: dt.date, months: int) -> dt.date:
    month = date.year * 12 + date.month - 1 - months
    for day in range(date.day, 27, -1):
        try:
            return dt.date(month // 12, month % 12 + 1, day)
        except ValueError:
            continue
    return dt.date(month // 12, month % 12 + 1, date.day)


def margin_of(row: dict) -> Decimal:
    if row.get("cost") is not None:
        return row["amount"] - row["cost"]
    return (row["amount"] * MARGIN_RATE).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def is_sale(row: dict) -> bool:
    return row["amount"] >= 0 and not (row.get("void_date") and row["void_date"] <= row["ordered_date"])


def money_events(history: History) -> dict[str, list[tuple[dt.date, Decimal, Decimal, bool]]]:
    """(day, revenue, margin, cost given) by customer: sales, then what was taken back."""
    orders = {row["order_id"]: row for row in history.orders}
    events = defaultdict(list)
    for row in filter(is_sale, history.orders):
        events[row["customer_id"]].append((row["ordered_date"], row["amount"], margin_of(row), row["cost"] is not None))
    allocations, unmatched = history.allocations()
    so_far: dict[str, Decimal] = defaultdict(Decimal)
    for part in sorted(allocations, key=lambda part: (part["returned_date"], part["return_id"])):
        sold = orders[part["order_id"]]
        before, after = so_far[part["order_id"]], so_far[part["order_id"]] + part["amount"]
        so_far[part["order_id"]] = after
        share = [rounded(Fraction(margin_of(sold)) * Fraction(x) / Fraction(sold["amount"])) for x in (before, after)]
        event = part["returned_date"], -part["amount"], share[0] - share[1], sold["cost"] is not None
        events[sold["customer_id"]].append(event)
    for part in unmatched:
        document = orders[part["order_id"]]
        share = rounded(Fraction(margin_of(document)) * Fraction(part["amount"]) / Fraction(-document["amount"]))
        events[part["customer_id"]].append(
            (part["returned_date"], -part["amount"], share, document["cost"] is not None)
        )
    return events


def transactions(history: History, as_of: dt.date) -> dict[str, dict[dt.date, Decimal]]:
    """Net value by customer and transaction day."""
    back: dict[str, Decimal] = defaultdict(Decimal)
    undone: dict[str, Decimal] = defaultdict(Decimal)
    for part in history.allocations()[0]:
        if part["returned_date"] <= as_of:
            back[part["order_id"]] += part["amount"]
        if part["kind"] == "return" and part["returned_date"] == part["ordered_date"]:
            undone[part["order_id"]] += part["amount"]
    days: dict[str, dict[dt.date, list[tuple[bool, Decimal]]]] = defaultdict(lambda: defaultdict(list))
    for row in filter(is_sale, history.orders):
        if row["ordered_date"] <= as_of:
            never_was = row["amount"] > 0 and undone[row["order_id"]] == row["amount"]
            stands = not never_was and not (row.get("void_date") and row["void_date"] <= as_of)
            days[row["customer_id"]][row["ordered_date"]].append((stands, row["amount"] - back[row["order_id"]]))
    return {
        customer: {
            day: sum((net for _, net in parts), Decimal(0))
            for day, parts in sorted(by_day.items())
            if any(stands for stands, _ in parts)
        }
        for customer, by_day in days.items()
        if customer
    }


def known(history: History, as_of: dt.date) -> dict[str, dict]:
    """Attributes last known by customer known by then."""
    found = {row["customer_id"]: {} for row in history.orders if row["customer_id"] and row["ordered_date"] <= as_of}
    for row in history.customers:
        since = row["created_date"] or row["version_date"]
        if since is None or since <= as_of:
            found.setdefault(row["customer_id"], {})
    for row in sorted(history.customers, key=lambda row: row["version_date"] or dt.date.min):
        if all(row[name] is None or row[name] <= as_of for name in ("created_date", "version_date")):
            found[row["customer_id"]] = row
    return found


def gaps_of(days: dict[dt.date, Decimal]) -> list[int]:
    dates = list(days)
    return [(later - earlier).days for earlier, later in pairwise(dates)]


def shrunk(gaps: list[int], base: float) -> float:
    if not gaps:
        return base
    own = math.log(statistics.median(gaps))
    return math.exp((len(gaps) * own + PRIOR * math.log(base)) / (len(gaps) + PRIOR))


def base_of(history: History, as_of: dt.date) -> dict[str, object]:
    customers, bought = known(history, as_of), transactions(history, as_of)
    own = [gaps_of(days) for customer, days in bought.items() if not customers[customer].get("flag")]
    gaps = [gap for gaps in own for gap in gaps]
    ratios = [gap / statistics.median(gaps) for gaps in own if len(gaps) >= 3 for gap in gaps]
    return {
        "as_of_date": as_of,
        "base_gap_median": statistics.median(gaps) if gaps else 90.0,
        "gap_k": float(np.quantile(ratios, 0.95)) if len(ratios) >= 200 else 4.0,
        "gap_count": len(gaps),
        "ratio_gaps": len(ratios),
        "gap_is_default": not gaps,
    }


def restated(history: History, as_of: dt.date) -> Rows:
    bought, events, base = transactions(history, as_of), money_events(history), base_of(history, as_of)
    year, two_years = months_before(as_of, 12), months_before(as_of, 24)
    rows: Rows = {}
    for customer, attributes in known(history, as_of).items():
        days = bought.get(customer, {})
        first, last = (min(days), max(days)) if days else (None, None)
        moved = [event for event in events[customer] if event[0] <= as_of]
        gaps = gaps_of(days)
        typical = shrunk(gaps, base["base_gap_median"]) if days else None
        ended = [
            day
            for position, day in enumerate(list(days)[1:])
            if gaps[position] > base["gap_k"] * shrunk(gaps[:position], base["base_gap_median"])
        ]

        def total(values: list[Decimal]) -> Decimal:
            return sum(values, Decimal(0))

        repeat = {day: net for day, net in days.items() if day != first}
        late = {day: net for day, net in repeat.items() if 2 * (day - first).days > (as_of - first).days}
        last_year = [net for day, net in days.items() if day > year]
        year_before = [net for day, net in days.items() if two_years < day <= year]
        rows[customer] = {
            "as_of_date": as_of, "customer_id": customer,
            "customer_type": attributes.get("customer_type"), "flag": attributes.get("flag"),
            "first_order_date": first, "last_order_date": last,
            "transactions": len(days), "frequency": max(0, len(days) - 1),
            "recency": (last - first).days if days else None,
            "T": (as_of - first).days if days else None,
            "monetary_value": rounded(Fraction(total(repeat.values())) / len(repeat)) if repeat else Decimal(0),
            "days_since_last": (as_of - last).days if days else None,
            "gap_median": typical, "gap_limit": typical * base["gap_k"] if days else None,
            "revenue_total": total([revenue for _, revenue, _, _ in moved]),
            "revenue_12m": total([revenue for day, revenue, _, _ in moved if day > year]),
            "margin_total": total([margin for _, _, margin, _ in moved]),
            "margin_12m": total([margin for day, _, margin, _ in moved if day > year]),
            "net_sales": total(days.values()), "repeat_sales": total(repeat.values()),
            "margin_prior_12m": total([margin for day, _, margin, _ in moved if two_years < day <= year]),
            "transactions_12m": len(last_year), "transactions_prior_12m": len(year_before),
            "net_sales_12m": total(last_year), "net_sales_prior_12m": total(year_before),
            "second_half_transactions": len(late), "second_half_sales": total(late.values()),
            "first_half_sales": total(repeat.values()) - total(late.values()),
            "reactivated_date": max(ended) if ended else None,
            "cost_covered_revenue": total([revenue for _, revenue, _, given in moved if given]),
            "gap_count": len(gaps),
        }  # fmt: skip
    return rows


def cohorts_of(history: History, as_of: dt.date, months: int = 1) -> dict[tuple[dt.date, int], dict[str, object]]:
    """What fct_cohort_periods holds, by cohort and period."""

    def number(day: dt.date) -> int:
        return (day.year * 12 + day.month - 1) // months

    def first_day(period: int) -> dt.date:
        return dt.date(period * months // 12, period * months % 12 + 1, 1)

    customers, bought, events = known(history, as_of), transactions(history, as_of), money_events(history)
    cohorts: dict[int, list[str]] = defaultdict(list)
    for customer, days in bought.items():
        if days and not customers[customer].get("flag"):
            cohorts[number(min(days))].append(customer)
    rows = {}
    for cohort, members in cohorts.items():
        cumulated = Decimal(0)
        for period in range(number(as_of) - cohort + 1):
            moved = [
                (revenue, margin)
                for customer in members
                for day, revenue, margin, _ in events[customer]
                if day <= as_of and max(number(day) - cohort, 0) == period
            ]
            active = sum(any(number(day) - cohort == period for day in bought[customer]) for customer in members)
            margin = sum((each for _, each in moved), Decimal(0))
            cumulated += margin
            rows[first_day(cohort), period] = {
                "customers": len(members), "active": active, "retention": active / len(members),
                "revenue": sum((each for each, _ in moved), Decimal(0)), "margin": margin,
                "cumulative_value": rounded(Fraction(cumulated) / len(members)),
                "is_complete": first_day(cohort + period + 1) <= as_of + dt.timedelta(days=1),
            }  # fmt: skip
    return rows
