"""Simulated bases whose truth is known: who changed, by how much, and when. Whole days, at most one transaction a day, as in
the pipeline; models are fitted within each base, as in a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.early_warning.common_shock import Index, indices
from cvm_pipeline.domain.early_warning.lengths import WINDOW_DAYS
from cvm_pipeline.domain.early_warning.testing import Happened, Measured, PValues, measure, prove, under_null
from cvm_pipeline.domain.early_warning.windows import Known, Start, fit_start
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.base_fit import SpendSample

HISTORY_DAYS = 1460
RHYTHM_DAYS = {"weekly": 7.0, "monthly": 30.4, "quarterly": 91.3}


@dataclass(frozen=True)
class Base:
    """How a base behaves. `gap`: mean days between transactions of the mean rate; `shape` r of the rates; p, q, v of spend;
    `s`, `beta` (days) of dying, None: nobody dies. `changed`: share whose rate is times `factor` for the last `for_days`;
    `common`: everybody's rate in the last `for_days`.
    """

    customers: int = 500
    gap: float = 30.4
    shape: float = 2.0
    p: float = 3.0
    q: float = 5.0
    v: float = 60.0
    death: tuple[float, float] | None = None
    changed: float = 0.0
    factor: float = 1.0
    spend_factor: float = 1.0
    common: float = 1.0
    for_days: int = 91


@dataclass(frozen=True)
class Outcome:
    """What the pipeline makes of one base. `changed`, `gap` (days, of each customer's own rate): (n,)."""

    starts: list[Start]
    measured: Measured
    index: dict[object, Index]
    p: PValues
    sums: np.ndarray
    changed: np.ndarray
    gap: np.ndarray
    alive: np.ndarray


def run(base: Base, seed: int, model: str = "pareto_nbd") -> Outcome:
    """Simulate, cut at the five starts, fit, choose windows, and test at the end of history."""
    rng = np.random.default_rng(seed)
    n = base.customers
    # Most came early, so that windows of every length are in use.
    born = rng.integers(0, HISTORY_DAYS - 60, n).astype(float) * rng.random(n) ** 0.3
    rate = rng.gamma(base.shape, 1.0 / (base.shape * base.gap), n)
    nu = rng.gamma(base.q, 1.0 / base.v, n)
    died = np.full(n, np.inf)
    if base.death:
        s, beta = base.death
        died = born + rng.exponential(1.0, n) / rng.gamma(s, 1.0 / beta, n)
    changed = rng.random(n) < base.changed
    fell_at = HISTORY_DAYS - base.for_days
    own = np.where(changed, base.factor, 1.0) * base.common
    who, day = [], []
    for begin, end, times in ((0.0, fell_at, np.ones(n)), (fell_at, HISTORY_DAYS, own)):
        span = np.maximum(np.minimum(end, died) - np.maximum(begin, born), 0.0)
        count = rng.poisson(rate * times * span)
        customer = np.repeat(np.arange(n), count)
        who.append(customer)
        day.append(np.maximum(begin, born)[customer] + rng.random(customer.size) * span[customer])
    who.append(np.arange(n))
    day.append(born)
    pairs = np.unique(np.column_stack([np.concatenate(who), np.ceil(np.concatenate(day))]), axis=0)
    customer, on = pairs[:, 0].astype(int), pairs[:, 1]
    lower = np.where(changed[customer] & (on > fell_at), base.spend_factor, 1.0)
    value = rng.gamma(base.p, 1.0 / nu[customer]) * lower
    known = [_known(n, customer, on, value, HISTORY_DAYS - days) for days in WINDOW_DAYS]
    happened = [_happened(n, customer, on, value, HISTORY_DAYS - days) for days in WINDOW_DAYS]
    starts = [_fitted(days, model, then) for days, then in zip(WINDOW_DAYS, known, strict=True)]
    measured = measure(starts, known, happened, np.full(n, np.inf))
    days = np.array(WINDOW_DAYS, float)[measured.start]
    expected = measured.predictive
    found = indices(days, measured.happened.transactions, expected.expected_with_attrition, expected.variance)
    index = np.array([found[one].index for one in days.tolist()])
    p = prove(starts, measured, index)
    sums = under_null(starts, measured, index, p.is_testable)
    rows = measured.row
    return Outcome(starts, measured, found, p, sums, changed[rows], 1.0 / rate[rows], died[rows] > HISTORY_DAYS)


def _known(n: int, customer: np.ndarray, on: np.ndarray, value: np.ndarray, start: float) -> Known:
    past = on <= start
    count = np.bincount(customer[past], minlength=n).astype(float)
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, customer[past], on[past])
    np.maximum.at(last, customer[past], on[past])
    repeat = past & (on > first[customer])
    total = np.bincount(customer[repeat], value[repeat], minlength=n)
    there = count > 0
    return Known(
        np.where(there, count - 1, -1.0),
        np.where(there, last - np.where(there, first, 0.0), 0.0),
        np.where(there, start - np.where(there, first, 0.0), 0.0),
        total,
    )


def _happened(n: int, customer: np.ndarray, on: np.ndarray, value: np.ndarray, start: float) -> Happened:
    later = on > start
    count = np.bincount(customer[later], minlength=n).astype(float)
    return Happened(count, count, np.bincount(customer[later], value[later], minlength=n))


def _fitted(days: int, model: str, then: Known) -> Start:
    rows = np.flatnonzero(then.x >= 0)
    there = then.take(rows)
    histories = PurchaseHistories.from_days(there.x, there.t_x, there.T, np.ones(rows.size), 1.0).grouped()
    transactions = float((there.x + 1).sum())
    mean = float(there.repeat_sales.sum()) / max(float(there.x.sum()), 1.0) if transactions else 0.0
    return fit_start(days, model, 7.0, histories, SpendSample(there.x, there.repeat_sales, np.ones(rows.size), mean))
