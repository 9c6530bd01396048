"""Margin rate of each customer: its own, shrunk to the base's by revenue-weighted empirical Bayes.

Belongs here: the estimate from small sums, and the rate of each row. Not here: how margins arise (dbt), value.

A customer's margin rate m_i = M_i / R_i is its true rate, of variance tau2 around the base's mu, plus noise of variance
sigma2 / R_i. With mu = sum M / sum R and S_k = sum R_i^k over n customers with R_i > 0, the two moments

    sum R_i   (m_i - mu)^2 = tau2 (S1 - S2/S1)                + sigma2 (n - 1)
    sum R_i^2 (m_i - mu)^2 = tau2 (S2 - 2 S3/S1 + S2^2/S1^2)  + sigma2 (S1 - S2/S1)

hold in expectation (weights treated as fixed) and give tau2 and sigma2. The posterior mean is

    rate_i = (tau2 M_i + sigma2 mu) / (tau2 R_i + sigma2).

A negative estimate becomes 0 and the other follows from the first moment alone: tau2 = 0 gives everybody mu, sigma2 = 0
everybody its own. Where costs cover less than 80 % of revenue, the configured rate holds for all: value is then
revenue times it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cvm_pipeline.domain.lifetime_value.protocol import Floats

NAME = "margin"
LEAST_COVERAGE = 0.8


@dataclass(frozen=True)
class MarginSums:
    """Sums over unflagged customers with revenue_total R > 0, of R and margin_total M (doubles from SQL are enough)."""

    customers: float = 0.0
    revenue: float = 0.0  # sum R
    revenue_squared: float = 0.0  # sum R^2
    revenue_cubed: float = 0.0  # sum R^3
    margin: float = 0.0  # sum M
    margin_squared: float = 0.0  # sum M^2
    margin_revenue: float = 0.0  # sum M R
    margin_squared_over_revenue: float = 0.0  # sum M^2 / R

    @classmethod
    def of(cls, margin_total: ArrayLike, revenue_total: ArrayLike) -> MarginSums:
        """The sums of rows; what SQL computes on large bases."""
        R = np.asarray(revenue_total, dtype=np.float64)
        M = np.asarray(margin_total, dtype=np.float64)[R > 0]
        R = R[R > 0]
        columns = (R, R**2, R**3, M, M**2, M * R, M**2 / R)
        return cls(float(R.size), *(float(column.sum()) for column in columns))


@dataclass(frozen=True)
class MarginParameters:
    """mu `rate`, `tau2` (variance between customers), `sigma2` (noise variance times revenue); `note` says what held."""

    rate: float
    tau2: float
    sigma2: float
    customers: float
    fallback: bool
    note: str = ""


def fit(sums: MarginSums, configured_rate: float, cost_covered_revenue: float, revenue: float) -> MarginParameters:
    """The base's rate and how far a customer's own is to be believed.

    `revenue`: net revenue of the base, `cost_covered_revenue` the part whose cost was given. Raises ValueError where
    the configured rate is not finite.
    """
    if not np.isfinite(configured_rate):
        raise ValueError(f"the configured margin rate must be finite, not {configured_rate}")
    coverage = cost_covered_revenue / revenue if revenue > 0 else 0.0
    if coverage < LEAST_COVERAGE or sums.revenue <= 0:
        note = f"costs cover {coverage:.0%} of revenue, under {LEAST_COVERAGE:.0%}: the configured rate holds"
        return MarginParameters(configured_rate, 0.0, 0.0, sums.customers, True, note)
    # In units of the mean revenue: cubes of revenue would swallow the digits.
    unit = sums.revenue / sums.customers
    n, mu = sums.customers, sums.margin / sums.revenue
    s2, s3 = sums.revenue_squared / unit**2, sums.revenue_cubed / unit**3
    first = (sums.margin_squared_over_revenue - mu * sums.margin) / unit
    second = (sums.margin_squared - 2.0 * mu * sums.margin_revenue + mu**2 * sums.revenue_squared) / unit**2
    between = np.array([n - s2 / n, s2 - 2.0 * s3 / n + (s2 / n) ** 2])
    noise = np.array([n - 1.0, n - s2 / n])
    # What is left of a first moment that is 0 but for rounding.
    if n < 2 or first <= 1e-12 * max(mu**2, 1e-12) * n or between[0] <= 1e-9 * n:
        return MarginParameters(mu, 0.0, 0.0, n, False, "no difference between customers' margin rates")
    determinant = between[0] * noise[1] - noise[0] * between[1]
    if abs(determinant) <= 1e-9 * (between[0] * noise[1] + noise[0] * abs(between[1])):
        return MarginParameters(
            mu, 0.0, float(first / noise[0] * unit), n, False, "equal revenues: rate and noise can't be told apart"
        )
    tau2 = (first * noise[1] - noise[0] * second) / determinant
    sigma2 = (between[0] * second - between[1] * first) / determinant
    if tau2 <= 0:
        tau2, sigma2 = 0.0, first / noise[0]
    elif sigma2 <= 0:
        tau2, sigma2 = first / between[0], 0.0
    return MarginParameters(mu, float(tau2), float(sigma2 * unit), n, False)


def score(margin_total: Floats, revenue_total: Floats, parameters: MarginParameters) -> Floats:
    """Margin rate of each row, shape (n,), finite; the base's where revenue_total <= 0 or nothing tells them apart."""
    own = (revenue_total > 0) & (parameters.tau2 > 0)
    weight = parameters.tau2 * np.where(own, revenue_total, 1.0) + parameters.sigma2
    shrunk = (parameters.tau2 * margin_total + parameters.sigma2 * parameters.rate) / np.where(own, weight, 1.0)
    return np.where(own, shrunk, parameters.rate)
