"""Expected net value of one future transaction: Gamma-Gamma, and a stated fallback where it can't be had.

Belongs here: choosing between them, and what refunds do. Not here: the Gamma-Gamma formulas (gamma_gamma.py).

- Fitted on customers whose mean repeat value is above 0. In scoring a mean at or below 0 (refunds) is read as 0: the
  expectation falls towards 0 with each further transaction and stays finite and positive.
- Without repeat transactions: the model's population mean p v / (q - 1). Where q <= 1, or that mean exceeds 10 times
  the one seen, the model has no usable mean: the own mean is then shrunk to the base's, as below.
- Fallback (under 20 repeat customers, no variance, no convergence): (own repeat total + m) / (x + 1), never below 0,
  with m the mean value of all the base's transactions (0 where that is negative): one transaction's worth of prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, dot

LEAST_CUSTOMERS = 20
_WILD = 10.0


@dataclass(frozen=True)
class Spend:
    """A fitted spend: Gamma-Gamma unless `fallback`. `base_mean`: mean value of the base's transactions, 0 or more."""

    fit: Fit
    base_mean: float
    fallback: bool
    note: str = ""

    def expected(self, frequency: Floats, repeat_sales: Floats) -> Floats:
        """Expected value of one transaction, (n,), finite and >= 0. `repeat_sales`: net total over the x repeats."""
        total = np.where(frequency > 0, np.maximum(repeat_sales, 0.0), 0.0)
        if self.fallback:
            return (total + self.base_mean) / (frequency + 1.0)
        mean = total / np.maximum(frequency, 1.0)
        return gamma_gamma.conditional_mean(self.fit.parameters, frequency, mean)


def fit_spend(frequency: Floats, repeat_sales: Floats, count: Floats, base_mean: float) -> Spend:
    """The spend model of a base: x, net total over the repeats, customers sharing both; rows with x = 0 are left out."""
    prior = max(base_mean, 0.0) if np.isfinite(base_mean) else 0.0
    bought = (frequency > 0) & (repeat_sales > 0)
    x, n = frequency[bought], count[bought]
    mean = repeat_sales[bought] / x
    customers = float(n.sum())
    if customers < LEAST_CUSTOMERS:
        why = f"{customers:g} customers with repeat spend above 0, fewer than {LEAST_CUSTOMERS}"
        return Spend(Fit.impossible(customers, why), prior, True, why)
    if np.ptp(mean) <= 1e-9 * mean.max():
        why = "every customer spends the same: no variance"
        return Spend(Fit.impossible(customers, why), prior, True, why)
    fit = gamma_gamma.fit(x, mean, n)
    if not fit.converged:
        return Spend(fit, prior, True, f"Gamma-Gamma did not converge: {fit.note}")
    expected = gamma_gamma.population_mean(fit.parameters)
    if expected is None:
        return Spend(fit, prior, True, f"q = {fit.parameters['q']:.3g} <= 1: the model has no mean")
    if expected > _WILD * dot(n, mean) / customers:
        return Spend(fit, prior, True, f"the model's mean {expected:.6g} exceeds {_WILD:g} times the one seen")
    return Spend(fit, prior, False, fit.note)
