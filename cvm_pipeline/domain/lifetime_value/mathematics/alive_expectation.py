"""Expected transactions of a customer who is alive, under gamma rates and beta dropout after each transaction.

Belongs here: the expectation over a horizon and, discounted, over an infinite one, both to some 1e-14 relative over
everything a base can hold. Not here: P(alive), likelihoods, any model.

With rate ~ gamma(R, A) and dropout probability p ~ beta(a, B), both posterior, Fader, Hardie & Lee (2005) eq. 9-10 is

    G(t) = E_p[(1 - (1 + p t / A)^-R) / p] = (a+B-1)/(a-1) [1 - (A/(A+t))^R 2F1(R, B; a+B-1; t/(A+t))].

The right-hand side loses everything to cancellation near a = 1 and overflows at large x, in the Euler-transformed
form as well once R > a+B-1; the left-hand side has only positive terms and nothing happens at a = 1. So the left is
computed (beta_rule.py). Discounted at the continuous rate delta, over an infinite horizon,

    D(delta) = E_p[(R/A) int_0^inf e^(-delta t) (1 + p t / A)^-(R+1) dt] = R E_p[S(R+1, delta A / p) / p]

with S of exponential_integral.py. For given R and B, G is a function of t / A alone and D the same with t = 1 / delta:
where many rows share R and B, log_stretches.py gets both from some 18 integrals a stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.mathematics.beta_rule import mean_per_dropout
from cvm_pipeline.domain.lifetime_value.mathematics.exponential_integral import scaled_exponential_integral
from cvm_pipeline.domain.lifetime_value.mathematics.log_stretches import by_stretches
from cvm_pipeline.domain.lifetime_value.protocol import Floats


@dataclass(frozen=True, eq=False)
class Posterior:
    """R, a and B of who is alive, three arrays (m,): of each row, or of each kind of row."""

    R: Floats
    a: Floats
    B: Floats

    def expected(self, horizon: Floats, A: Floats) -> Floats:
        """G of each row and each horizon (k,) >= 0, shape (m, k): one integral each. A (m,) > 0 in the horizons' unit."""
        last = np.max(horizon, initial=0.0)
        return self._expected(horizon / A[:, None], last / A, np.arange(A.size))

    def discounted(self, rate: float, A: Floats) -> Floats:
        """D of each row, shape (m,): one integral each. `rate` > 0 per unit of time."""
        y = 1.0 / (rate * A)
        return self._discounted(y[:, None], y, np.arange(A.size))[:, 0]

    def expected_by_kind(self, horizon: Floats, A: Floats, kind: NDArray[np.intp]) -> Floats:
        """G of rows (n,) of these kinds, shape (n, k), by polynomials."""
        later = horizon > 0
        if later.all():
            return by_stretches(self._expected, horizon, A, kind)
        result = np.zeros((A.size, horizon.size))
        result[:, later] = by_stretches(self._expected, horizon[later], A, kind)
        return result

    def discounted_by_kind(self, rate: float, A: Floats, kind: NDArray[np.intp]) -> Floats:
        """D of rows (n,) of these kinds, shape (n,), by polynomials."""
        return by_stretches(self._discounted, np.array([1.0 / rate]), A, kind)[:, 0]

    def _expected(self, y: Floats, most: Floats, kind: NDArray[np.intp]) -> Floats:
        """E[(1 - (1 + p y)^-R) / p] for y = t / A (m, k), at most `most` (m,)."""
        R = self.R[kind]

        def bought(p: Floats, rows: NDArray[np.intp]) -> Floats:
            values = y[rows, :, None] * p
            np.log1p(values, out=values)
            values *= -R[rows, None, None]
            np.expm1(values, out=values)
            return np.negative(values, out=values)

        return mean_per_dropout(bought, y.shape[1], self.a[kind], self.B[kind], np.maximum(R, 1.0) * most)

    def _discounted(self, y: Floats, most: Floats, kind: NDArray[np.intp]) -> Floats:
        """R E[S(R+1, 1 / (p y)) / p] for y = 1 / (delta A) (m, k), at most `most` (m,)."""
        R = self.R[kind]

        def bought(p: Floats, rows: NDArray[np.intp]) -> Floats:
            shape = R[rows, None, None]
            return shape * scaled_exponential_integral(shape + 1.0, 1.0 / (y[rows, :, None] * p))

        return mean_per_dropout(bought, y.shape[1], self.a[kind], self.B[kind], (R + 1.0) * most)
