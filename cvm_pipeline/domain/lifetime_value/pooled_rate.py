"""Pooled rate: what holds where no model of lifetimes can be fitted. Always finite.

Belongs here: the timing of the fallback of metrics.md, "Champion": gamma-shrunk own rate x observed retention (x mean
spend, spend.py). Not here: when it is used (value_model.py).

With x repeat transactions in T, base rate rho and one transaction's worth of prior (gamma of shape 1, mean rho):

    own rate    lambda = (1 + x) / (1/rho + T)
    retention   R = (customers with a repeat + 1/2) / (customers + 1)
    P(alive)    = R L / (R L + 1 - R),   L = ((1/rho + t_x) / (1/rho + T))^(1 + x)
    E[Y(h)]     = lambda h while alive

rho = (repeat transactions + 1/2) / (time of customers with a repeat + one year): the rate of those who stay, since R
already counts who does not (over everybody's time the one-time buyers would count twice). This is the posterior of a customer who stays after
its last transaction with probability R: L is the chance of the silence since then, if it stayed. So P(alive) is the
observed retention right after a purchase, falls with silence, and reaches 0; it is finite even for a base of nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Forecaster, Parameters, PurchaseHistories, dot

_YEAR_DAYS = 365.25


@dataclass(frozen=True)
class PooledRate(Forecaster):
    """Parameters: `rate` (rho, per unit of time) and `retention` (R)."""

    name: str = "pooled_rate"
    parameter_names: tuple[str, ...] = ("rate", "retention")
    time_powers: Mapping[str, int] = field(default_factory=lambda: {"rate": -1})

    def fit(self, histories: PurchaseHistories) -> Fit:
        """From three sums; always succeeds. There is no likelihood of lifetimes, and none is given."""
        count, customers = histories.count, histories.customers
        year = _YEAR_DAYS / histories.time_unit_days
        time_of_repeaters = dot(count, np.where(histories.frequency > 0, histories.T, 0.0))
        rate = (dot(count, histories.frequency) + 0.5) / (time_of_repeaters + year)
        retention = (histories.repeat_customers + 0.5) / (customers + 1.0)
        return Fit(
            {"rate": rate, "retention": retention}, {}, None, customers, True, None,
            time_unit_days=histories.time_unit_days,
        )  # fmt: skip

    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """log P(alive at T), shape (n,): at most log retention, never rising with silence."""
        prior, retention = 1.0 / parameters["rate"], parameters["retention"]
        log_silent = -(1.0 + x) * np.log1p((T - t_x) / (prior + t_x))
        log_odds = np.log(retention) - np.log1p(-retention) + log_silent
        return np.minimum(log_odds, 0.0) - np.log1p(np.exp(-np.abs(log_odds)))

    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        """E[transactions in (T, T+h] | alive at T, x, T], shape (n, k): the own rate times h."""
        rate = (1.0 + x) / (1.0 / parameters["rate"] + T)
        return rate[:, None] * np.atleast_1d(horizon)

    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        """P(exactly m transactions in (T, T + horizon] | alive at T, x, T) for each m of `counts` (m,), shape (n, m)."""
        prior = 1.0 / parameters["rate"]
        return negative_binomial.pmf(np.atleast_1d(counts), (1.0 + x)[:, None], horizon, (prior + T)[:, None])


POOLED_RATE = PooledRate()
