"""Expected net value of one future transaction, and how several add up: Gamma-Gamma, and a stated fallback without it.

Belongs here: choosing between them, and what refunds do. Not here: the Gamma-Gamma formulas (gamma_gamma.py), the test of
its assumption (spend_independence.py), the distribution of totals (mathematics/future_total.py).

- Fitted on customers whose mean repeat value is above 0. In scoring a mean at or below 0 (refunds) is read as 0: the
  expectation falls towards 0 with each further transaction and stays finite and positive.
- Where spend depends on frequency (spend_independence.py has the rule), the alternative with kappa stands in; `fit` stays the
  paper's.
- Without repeat transactions: the model's population mean p v / (q - 1). Where q <= 1, or that mean exceeds 10 times
  the one seen, the model has no usable mean: the own mean is then shrunk to the base's, as below.
- Fallback (under 20 repeat customers, no variance, no convergence): (own repeat total + m) / (x + 1), never below 0,
  with m the mean value of all the base's transactions (0 where that is negative): one transaction's worth of prior. A
  transaction is then gamma with that mean and the base's coefficient of variation, of which totals by customer tell

      cv^2 = (sum of x (z / mean - 1)^2 + 1) / customers,    mean = (sum of x z) / (sum of x):

  unbiased where transactions are alike, with one customer's worth of cv = 1 as prior (which is what nobody's spend gives);
  what differs between customers counts as if it differed between transactions, so totals are rather too wide than too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Parameters, dot
from cvm_pipeline.domain.lifetime_value.spend_independence import Independence, independence

LEAST_CUSTOMERS = 20
_WILD = 10.0
# Means that differ by less differ by rounding: Gamma-Gamma's bounds lie at .03 %.
_ALIKE = 1e-6
# cv from a thousandth to thirty.
_LEAST_SHAPE, _MOST_SHAPE = 1e-3, 1e6


@dataclass(frozen=True)
class Spend:
    """A fitted spend: Gamma-Gamma unless `fallback`. `base_mean`: mean value of the base's transactions, 0 or more.

    `fit`: the paper's Gamma-Gamma, whatever is in use. `independence`: the test of its assumption, None where there was
    nothing to test. `by_frequency`: the alternative, where it is in use. `shape`: of one transaction in the fallback.
    """

    fit: Fit
    base_mean: float
    fallback: bool
    note: str = ""
    independence: Independence | None = None
    by_frequency: Fit | None = None
    shape: float = 1.0

    @property
    def parameters(self) -> Parameters:
        """Of the model in use; of no meaning where `fallback`."""
        return (self.by_frequency or self.fit).parameters

    def expected(self, frequency: Floats, repeat_sales: Floats) -> Floats:
        """Expected value of one transaction, (n,), finite and >= 0. `repeat_sales`: net total over the x repeats."""
        if self.fallback:
            return (_taken(frequency, repeat_sales) + self.base_mean) / (frequency + 1.0)
        return gamma_gamma.mean_given_total(self.parameters, frequency, repeat_sales)

    def shapes(self, frequency: Floats, repeat_sales: Floats) -> tuple[float, Floats, Floats]:
        """p, q (n,) and scale (n,) of the total of m transactions to come, as mathematics/future_total.py takes them.

        p and q depend on x alone; q is infinite in the fallback. scale is 0 where `expected` is.
        """
        if self.fallback:
            return self.shape, np.full(frequency.shape, np.inf), self.expected(frequency, repeat_sales) / self.shape
        p, q = self.parameters["p"], self.parameters["q"]
        scale = gamma_gamma.scale_to_come(self.parameters, frequency) + _taken(frequency, repeat_sales)
        return p, p * frequency + q, scale


def fit_spend(frequency: Floats, repeat_sales: Floats, count: Floats, base_mean: float) -> Spend:
    """The spend model of a base: x, net total over the repeats, customers sharing both; rows with x = 0 are left out."""
    prior = max(base_mean, 0.0) if np.isfinite(base_mean) else 0.0
    bought = np.flatnonzero((frequency > 0) & (repeat_sales > 0))
    # In one order whatever the rows', and sorted: two fits and two rankings follow.
    bought = bought[np.lexsort((repeat_sales[bought], frequency[bought]))]
    x, n = frequency[bought], count[bought]
    mean = repeat_sales[bought] / x
    customers = float(n.sum())
    shape = _shape(x, mean, n)
    if customers < LEAST_CUSTOMERS:
        why = f"{customers:g} customers with repeat spend above 0, fewer than {LEAST_CUSTOMERS}"
        return Spend(Fit.impossible(customers, why), prior, True, why, shape=shape)
    if np.ptp(mean) <= _ALIKE * mean.max():
        why = "every customer spends the same: no variance"
        return Spend(Fit.impossible(customers, why), prior, True, why, shape=shape)
    fit = gamma_gamma.fit(x, mean, n)
    tested = independence(x, mean, n, fit)
    seen = dot(n, mean) / customers
    if tested.fails and tested.alternative is not None and not _unusable(tested.alternative, seen):
        return Spend(fit, prior, False, _joined(fit.note, tested.note), tested, tested.alternative, shape)
    why = _unusable(fit, seen)
    return Spend(fit, prior, bool(why), _joined(why or fit.note, tested.note), tested, None, shape)


def _unusable(fit: Fit, seen: float) -> str:
    """Why no expectation can be had from the fit, else empty; `seen`: the mean of the customers' means."""
    if not fit.converged:
        return f"Gamma-Gamma did not converge: {fit.note}"
    expected = gamma_gamma.population_mean(fit.parameters)
    if expected is None:
        return f"q = {fit.parameters['q']:.3g} <= 1: the model has no mean"
    if expected > _WILD * seen:
        return f"the model's mean {expected:.6g} exceeds {_WILD:g} times the one seen"
    return ""


def _taken(frequency: Floats, repeat_sales: Floats) -> Floats:
    return np.where(frequency > 0, np.maximum(repeat_sales, 0.0), 0.0)


def _shape(x: Floats, mean: Floats, n: Floats) -> float:
    customers = float(n.sum())
    if not customers:
        return 1.0
    pooled = dot(n * x, mean) / dot(n, x)
    square = (dot(n * x, (mean / pooled - 1.0) ** 2) + 1.0) / customers
    return float(np.clip(1.0 / square, _LEAST_SHAPE, _MOST_SHAPE))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
