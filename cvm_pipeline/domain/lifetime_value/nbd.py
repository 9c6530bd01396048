"""NBD: Ehrenberg (1959), "The Pattern of Consumer Purchases", Applied Statistics 8(1): the baseline in which nobody dies.

A customer buys for ever at a rate lambda ~ gamma(r, alpha): the Pareto/NBD and BG/NBD models without their dying, so that
log-likelihoods compare. These are of when each purchase came, whatever the times,

    L = Gamma(r+x)/Gamma(r) alpha^r (alpha+T)^-(r+x),

and not of the count alone, which has T^x / x! besides and the same maximum. With R = r+x and A = alpha+T, transactions to
come in a time t are negative binomial (mathematics/negative_binomial.py) with mean R t / A, and DERT = R / (A delta).

Belongs here: the model and its fit. Not here: the search (estimation/maximum_likelihood.py).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial
from cvm_pipeline.domain.lifetime_value.mathematics.rising_factorial import log_rising_factorial, psi_rise
from cvm_pipeline.domain.lifetime_value.protocol import (
    Fit,
    Floats,
    Parameters,
    PurchaseHistories,
    TransactionModel,
    dot,
)

NAMES = ("r", "alpha")
# With T scaled to a mean of 1.
_STARTS = ((0.5, 0.5), (3.0, 1.0))
_LOW, _HIGH = np.array([1e-4, 1e-7]), np.array([1e4, 1e7])


class NBD(TransactionModel):
    """Parameters by the paper's letters: r, alpha (unit of T)."""

    name = "nbd"
    parameter_names = NAMES
    time_powers = MappingProxyType({"alpha": 1})
    knows_p_alive = False

    def fit(self, histories: PurchaseHistories) -> Fit:
        """Maximum likelihood; alpha and the log-likelihood are in the histories' own unit."""
        h, unit_days = histories, histories.time_unit_days
        # t_x says nothing: rows that differ in it alone are one.
        likelihood = _Likelihood(
            PurchaseHistories(h.frequency, np.where(h.frequency > 0, h.T, 0.0), h.T, h.count).grouped()
        )
        customers = likelihood.customers
        if likelihood.mean_T <= 0:
            return Fit.impossible(customers, "nobody was observed for any time", unit_days)
        if likelihood.repeats == 0:
            return Fit.impossible(customers, "nobody bought again", unit_days)
        unit = np.array([1.0, likelihood.mean_T])
        starts = [np.array(start) * unit for start in _STARTS]
        return maximise(NAMES, likelihood, customers, starts, _LOW * unit, _HIGH * unit).as_fit(
            NAMES, customers, unit_days
        )

    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        r, alpha = (parameters[name] for name in NAMES)
        return log_rising_factorial(r, x) - r * np.log1p(T / alpha) - x * np.log(alpha + T)

    def gradient_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        r, alpha = (parameters[name] for name in NAMES)
        return np.column_stack([psi_rise(r, x) - np.log1p(T / alpha), (r * T / alpha - x) / (alpha + T)])

    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return np.zeros(np.shape(T))

    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        return _rate(parameters, x, T)[:, None] * horizon

    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        r, alpha = (parameters[name] for name in NAMES)
        return negative_binomial.pmf(counts, (r + x)[:, None], horizon, (alpha + T)[:, None])

    def residual_while_alive(self, parameters: Parameters, rate: float, x: Floats, T: Floats) -> Floats:
        if not rate > 0:
            raise ValueError(f"over an infinite horizon the discount rate must be above 0, not {rate}")
        return _rate(parameters, x, T) / rate

    def simulate(
        self, parameters: Parameters, T: Floats, horizon: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        r, alpha = (parameters[name] for name in NAMES)
        rate = rng.gamma(r, 1.0 / alpha, T.size)
        x = rng.poisson(rate * T).astype(np.float64)
        # Given their number, purchases are uniform over the time: t_x is the largest.
        last = T * (1.0 - rng.random(T.size)) ** (1.0 / np.maximum(x, 1.0))
        return x, np.where(x > 0, last, 0.0), rng.poisson(rate * horizon).astype(np.float64)


def _rate(parameters: Parameters, x: Floats, T: Floats) -> Floats:
    """The mean of lambda given x in T."""
    r, alpha = (parameters[name] for name in NAMES)
    return (r + x) / (alpha + T)


class _Likelihood:
    """(r, alpha) -> LL of all customers, its gradient (2,) and its Hessian (2, 2)."""

    def __init__(self, histories: PurchaseHistories) -> None:
        self._x, self._T, self._count = histories.frequency, histories.T, histories.count
        self.customers = histories.customers
        self.mean_T = dot(self._T, self._count) / self.customers if self.customers else 0.0
        self.repeats = dot(self._x, self._count)
        of = np.bincount(self._x.astype(np.int64), weights=self._count)
        # Customers with more than i repeats: Gamma(r+x)/Gamma(r) is taken over the base, factor by factor.
        self._more = of[::-1].cumsum()[::-1][1:].astype(np.float64)

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats]:
        r, alpha = map(float, point)
        x, T, count, more = self._x, self._T, self._count, self._more
        since, A = np.log1p(T / alpha), alpha + T
        rates = r + np.arange(more.size, dtype=np.float64)
        value = dot(more, np.log(rates)) - dot(count, r * since + x * np.log(A))
        gradient = np.array([dot(more, 1.0 / rates) - dot(count, since), dot(count, (r * T / alpha - x) / A)])
        mixed = dot(count, T / (alpha * A))
        steep = dot(count, ((r + x) - r * (A / alpha) ** 2) / A**2)
        return value, gradient, np.array([[-dot(more, 1.0 / rates**2), mixed], [mixed, steep]])


MODEL = NBD()
