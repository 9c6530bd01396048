"""Pareto/NBD: Schmittlein, Morrison & Colombo (1987), "Counting Your Customers", Management Science 33(1), 1-24.

While alive a customer buys at a rate lambda ~ gamma(r, alpha); it dies, unseen and at any time, at a rate mu ~ gamma(s, beta).
After Fader & Hardie (2005), "A Note on Deriving the Pareto/NBD Model and Related Expressions", with R = r+x, A = alpha+T,
B = beta+T of a customer alive at T, who buys at a rate gamma(R, A) and dies at one that is gamma(s, B):

    L = Gamma(R)/Gamma(r) alpha^r beta^s [ A^-R B^-s + int_{t_x}^T s (alpha+tau)^-R (beta+tau)^-(s+1) dtau ]
    P(alive) = 1 / (1 + J), J the second term over the first           (SMC eq. 11-13; mathematics/silent_death.py)
    E[X(t)]  = R/A B/(s-1) [1 - (B/(B+t))^(s-1)]                       (SMC eq. 22 less P(alive); new customers: eq. 17)
    P(X = m) = NB(m; R, t, A) (B/(B+t))^s + P(m, dead by t)            (Fader & Hardie 2020; mathematics/counts_before_death.py)
    DERT     = R/A B S(s, delta B)                                     (Fader, Hardie & Lee 2005, "RFM and CLV", eq. 2)

with S the scaled exponential integral (mathematics/exponential_integral.py). The papers' hypergeometric functions are these integrals,
written as differences that cancel and overflow.

Belongs here: the model and its fit. Not here: integrals, derivatives (pareto_nbd_likelihood.py), the search
(estimation/maximum_likelihood.py).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial
from cvm_pipeline.domain.lifetime_value.mathematics.counts_before_death import counts_before_death
from cvm_pipeline.domain.lifetime_value.mathematics.exponential_integral import scaled_exponential_integral
from cvm_pipeline.domain.lifetime_value.mathematics.rising_factorial import log_rising_factorial, psi_rise
from cvm_pipeline.domain.lifetime_value.mathematics.silent_death import silent_death
from cvm_pipeline.domain.lifetime_value.pareto_nbd_likelihood import BaseLikelihood, Rows
from cvm_pipeline.domain.lifetime_value.protocol import (
    Fit,
    Floats,
    Parameters,
    PurchaseHistories,
    TransactionModel,
    dot,
)

NAMES = ("r", "alpha", "s", "beta")
# With T scaled to a mean of 1: ordinary retail; customers more alike, who die late; all dying early; few dying, and early.
# On 40 simulated bases the four ended at the same place; where nobody but a few die, only the last finds the maximum.
_STARTS = ((0.5, 0.3, 0.6, 0.4), (2.0, 0.5, 1.0, 2.0), (0.2, 0.1, 3.0, 3.0), (1.0, 0.2, 0.1, 0.05))
_LOW, _HIGH = np.array([1e-4, 1e-7, 1e-4, 1e-7]), np.array([1e4, 1e7, 1e4, 1e7])
_EXPLORED = 2_000
# Dead by the base's mean T: a share below this is none.
_NO_DEATH = 1e-6


class ParetoNBD(TransactionModel):
    """Parameters by the paper's letters: r, alpha (unit of T), s, beta (unit of T)."""

    name = "pareto_nbd"
    parameter_names = NAMES
    time_powers = MappingProxyType({"alpha": 1, "beta": 1})
    knows_p_alive = True

    def fit(self, histories: PurchaseHistories) -> Fit:
        """Maximum likelihood; alpha, beta and the log-likelihood are in the histories' own unit."""
        grouped = histories.grouped()
        customers = grouped.customers
        mean_T = dot(grouped.T, grouped.count) / customers if customers else 0.0
        if mean_T <= 0:
            return Fit.impossible(customers, "nobody was observed for any time", grouped.time_unit_days)
        if grouped.frequency[-1] == 0:
            return Fit.impossible(customers, "nobody bought again", grouped.time_unit_days)
        likelihood = BaseLikelihood(grouped)
        explore = BaseLikelihood(grouped.thinned(_EXPLORED)) if grouped.T.size > 2 * _EXPLORED else None
        unit = np.array([1.0, mean_T, 1.0, mean_T])
        starts = [np.array(start) * unit for start in _STARTS]
        found = maximise(NAMES, likelihood, customers, starts, _LOW * unit, _HIGH * unit, explore)
        fit = found.as_fit(NAMES, customers, grouped.time_unit_days)
        remark = _on_the_ridge(fit, mean_T)
        return replace(fit, note=f"{remark}; {fit.note}" if fit.note else remark) if remark else fit

    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        r, alpha, s, beta = (parameters[name] for name in NAMES)
        return log_rising_factorial(r, x) + Rows.of(r, alpha, s, beta, x, t_x, T, moments=0).value()

    def gradient_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        r, alpha, s, beta = (parameters[name] for name in NAMES)
        columns = Rows.of(r, alpha, s, beta, x, t_x, T, moments=1).gradient()
        columns[0] += psi_rise(r, x)
        return np.column_stack(columns)

    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        r, alpha, s, beta = (parameters[name] for name in NAMES)
        return -np.logaddexp(0.0, silent_death(r + x, alpha, s, beta, t_x, T).log_odds)

    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        R, A, s, B = _posterior(parameters, x, T)
        # With L = log(1 + t/B) this is (e^((1-s) L) - 1) / (1-s), or L at s = 1 itself: 1 - s is exact where it is small.
        lifetime, less = np.log1p(horizon / B[:, None]), (1.0 - s)[:, None]
        lived = np.where(less == 0, lifetime, np.expm1(less * lifetime) / np.where(less == 0, 1.0, less))
        return (R * B / A)[:, None] * lived

    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        R, A, s, B = _posterior(parameters, x, T)
        alive = np.exp(
            negative_binomial.log_pmf(counts, R[:, None], horizon, A[:, None]) - (s * np.log1p(horizon / B))[:, None]
        )
        return alive + counts_before_death(counts, R, A, s, B, horizon)

    def residual_while_alive(self, parameters: Parameters, rate: float, x: Floats, T: Floats) -> Floats:
        if not rate > 0:
            raise ValueError(f"over an infinite horizon the discount rate must be above 0, not {rate}")
        R, A, s, B = _posterior(parameters, x, T)
        return R / A * B * scaled_exponential_integral(s, rate * B)

    def simulate(
        self, parameters: Parameters, T: Floats, horizon: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        r, alpha, s, beta = (parameters[name] for name in NAMES)
        rate, dying = rng.gamma(r, 1.0 / alpha, T.size), rng.gamma(s, 1.0 / beta, T.size)
        with np.errstate(divide="ignore", over="ignore"):
            lifetime = rng.exponential(1.0, T.size) / dying
        seen = np.minimum(lifetime, T)
        later = np.clip(lifetime - T, 0.0, horizon)
        x = rng.poisson(rate * seen).astype(np.float64)
        # Given their number, purchases are uniform over the time that the customer was there: t_x is the largest.
        last = seen * (1.0 - rng.random(T.size)) ** (1.0 / np.maximum(x, 1.0))
        return x, np.where(x > 0, last, 0.0), rng.poisson(rate * later).astype(np.float64)


def _on_the_ridge(fit: Fit, mean_T: float) -> str:
    """What the data don't say of s and beta, if anything."""
    s, beta = fit.parameters["s"], fit.parameters["beta"]
    if -np.expm1(-s * np.log1p(mean_T / beta)) < _NO_DEATH:
        return "no death is seen: everybody counts as alive"
    if fit.log_covariance is None:
        return ""
    logs = np.array(fit.log_covariance)[2:, 2:]
    if logs[0, 0] < 1.0:
        return ""
    error = np.sqrt(logs[0, 0] - 2.0 * logs[0, 1] + logs[1, 1])
    return (
        f"s and beta are known together only: s/beta, a new customer's rate of dying, is {s / beta:.3g} +- {error:.0%}"
    )


def _posterior(parameters: Parameters, x: Floats, T: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Of who is alive at T: the rate of buying is gamma(R, A), that of dying gamma(s, B); each (n,)."""
    r, alpha, s, beta = (parameters[name] for name in NAMES)
    return r + x, alpha + T, np.broadcast_to(np.asarray(s, dtype=np.float64), T.shape), beta + T


MODEL = ParetoNBD()
