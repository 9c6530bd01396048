"""Discounting: from expected transactions by period to discounted transactions (metrics.md, "Customer lifetime value").

Belongs here: the calendar of periods and the discount factors. Not here: expectations, spend, margin.

clv = sum over k of (E[X(t_k)] - E[X(t_{k-1})]) x spend x margin rate / (1 + d)^((k - 1/2) / 12): periods are twelfths
of 365.25 days whatever the model's unit, d is yearly, and money is discounted from the middle of its period.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats

PERIOD_DAYS = 365.25 / 12.0


def period_ends(periods: int, time_unit_days: float) -> Floats:
    """Ends t_1..t_periods of the periods, in the model's unit of `time_unit_days` days; shape (periods,).

    Raises ValueError where either is not positive: a call without a unit can't be made.
    """
    if periods < 1 or not time_unit_days > 0:
        raise ValueError(f"periods and time_unit_days must be positive, not {periods} and {time_unit_days}")
    return np.arange(1, periods + 1, dtype=np.float64) * (PERIOD_DAYS / time_unit_days)


def discount_factors(periods: int, discount_rate_yearly: float) -> Floats:
    """(1 + d)^-((k - 1/2) / 12) for k = 1..periods, shape (periods,). Raises ValueError where d <= -1."""
    if not discount_rate_yearly > -1.0:
        raise ValueError(f"discount_rate_yearly must be above -1, not {discount_rate_yearly}")
    years = (np.arange(1, periods + 1, dtype=np.float64) - 0.5) / 12.0
    return np.exp(-years * np.log1p(discount_rate_yearly))


def discounted_transactions(path: Floats, factors: Floats, periods: Sequence[int]) -> Floats:
    """Discounted expected transactions of the first m periods for each m of `periods`; shape (n, len(periods)).

    `path` (n, k): cumulative expectations at the ends of periods 1..k; `factors` (k,). Raises ValueError where m > k.
    Summed period by period, so that a row's digits don't depend on the rows beside it (a matrix product's do).
    """
    if path.shape[1] != factors.size or max(periods) > factors.size:
        raise ValueError(f"{path.shape[1]} periods of expectations, {factors.size} factors, {max(periods)} asked")
    result = np.empty((path.shape[0], len(periods)))
    total = np.zeros(path.shape[0])
    before = np.zeros(path.shape[0])
    for k in range(max(periods)):
        total += (path[:, k] - before) * factors[k]
        before = path[:, k]
        for column, m in enumerate(periods):
            if m == k + 1:
                result[:, column] = total
    return result
