"""Slices from plain days of purchases, by pandas: what marts.fct_customer_slices holds, written a second time."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.race.cuts import Plan


def slice_table(days: pd.DataFrame, dates: Sequence[date], step_days: int) -> pa.Table:
    """`days`: customer_id, day (Timestamp), amount; one row per customer and day. No returns, no voids, no flags."""
    days = days.sort_values(["customer_id", "day"])
    first = days.groupby("customer_id")["day"].transform("min")
    previous = days.groupby("customer_id")["day"].shift()
    days = days.assign(
        is_repeat=days["day"] > first,
        gap_square=((days["day"] - previous).dt.days.astype(float) ** 2).fillna(0.0),
    )
    return pa.concat_tables([_slice(days, pd.Timestamp(one), step_days) for one in dates])


def _slice(days: pd.DataFrame, at: pd.Timestamp, step_days: int) -> pa.Table:
    known = days[days["day"] <= at]
    grouped = known.groupby("customer_id")
    first, last = grouped["day"].min(), grouped["day"].max()
    table = pd.DataFrame(
        {
            "frequency": grouped.size() - 1.0,
            "recency": (last - first).dt.days.astype(float),
            "T": (at - first).dt.days.astype(float),
            "days_since_last": (at - last).dt.days.astype(float),
            "net_sales": grouped["amount"].sum(),
            "repeat_sales": known[known["is_repeat"]].groupby("customer_id")["amount"].sum(),
            "last_value": grouped["amount"].last(),
            "gap_sum_of_squares": grouped["gap_square"].sum(),
        }
    )
    for windows in (1, 2, 4, 6):
        recent = known[known["day"] > at - pd.Timedelta(days=windows * step_days)].groupby("customer_id")
        table[f"transactions_{windows}w"] = recent.size().astype(float)
        table[f"net_sales_{windows}w"] = recent["amount"].sum()
    table = table.fillna(0.0).reset_index()
    table["customer_id"] = table["customer_id"].astype(str)
    table["slice_date"] = at.date()
    table["is_flagged"] = False
    return pa.Table.from_pandas(table, preserve_index=False)


def simulated_days(
    rng: np.random.Generator, customers: int, first: date, last: date, rate: float = 0.02, dropout: float = 0.004
) -> pd.DataFrame:
    """A base of gamma rates that joins over the first half of the period and dies at exponential times; days unit."""
    span = (last - first).days
    born = rng.integers(0, span // 2, customers)
    lifetime = rng.exponential(1.0 / (dropout * rng.gamma(1.0, 1.0, customers) + 1e-9))
    pace = rng.gamma(0.6, rate / 0.6, customers)
    worth = rng.gamma(4.0, 10.0, customers)
    rows = [(np.arange(customers), born)]
    clock = born.astype(float)
    alive = np.ones(customers, dtype=bool)
    while alive.any():
        clock = clock + rng.exponential(1.0 / np.maximum(pace, 1e-9))
        alive &= clock < np.minimum(born + lifetime, span)
        rows.append((np.flatnonzero(alive), clock[alive].astype(int)))
    who, day = (np.concatenate(column) for column in zip(*rows, strict=True))
    frame = pd.DataFrame(
        {"customer_id": [f"C{n:06d}" for n in who], "day": pd.Timestamp(first) + pd.to_timedelta(day, unit="D")}
    )
    frame["amount"] = rng.gamma(6.0, worth[who] / 6.0)
    return frame.groupby(["customer_id", "day"], as_index=False)["amount"].sum()


def plan_table(days: pd.DataFrame, plan: Plan) -> pa.Table:
    """The slices of a whole plan."""
    return slice_table(days, plan.slice_dates, plan.step_days)
