"""The Pareto/NBD log-likelihood with its gradient and its curvature, row by row and over a base.

Belongs here: derivatives. Not here: the model (pareto_nbd.py), its integral (mathematics/silent_death.py), the search.

L is a sum over the ways that a silence can have come about: alive at T, or dead at some tau in (t_x, T]. So the gradient of
log L is the average, over these ways, of the gradients of their logs, and the Hessian the average of their Hessians plus
the variance of their gradients. With P = P(alive), for death at tau (for alive put T for tau, s for s+1, nothing for 1/s):

    d/dr = -log(1 + tau/alpha)              d/dalpha = (r tau/alpha - x) / (alpha+tau)
    d/ds = 1/s - log(1 + tau/beta)          d/dbeta  = (s tau/beta - 1) / (beta+tau)

Both times are measured from 0 or from t_x throughout, so that nothing large is subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from cvm_pipeline.domain.lifetime_value.mathematics.silent_death import PAIRS, SilentDeath, silent_death
from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories, dot

# Rows at once: bounds memory.
_CHUNK = 65_536


class BaseLikelihood:
    """(r, alpha, s, beta) -> LL of all customers, its gradient (4,) and its Hessian (4, 4)."""

    def __init__(self, histories: PurchaseHistories) -> None:
        self._histories = histories
        of = np.bincount(histories.frequency.astype(np.int64), weights=histories.count)
        # Customers with more than i repeats: Gamma(r+x)/Gamma(r) is taken over the base, factor by factor.
        self._more = of[::-1].cumsum()[::-1][1:].astype(np.float64)

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats]:
        h, more = self._histories, self._more
        r, alpha, s, beta = (float(value) for value in point)
        rates = r + np.arange(more.size, dtype=np.float64)
        value, gradient, hessian = dot(more, np.log(rates)), np.zeros(4), np.zeros((4, 4))
        gradient[0], hessian[0, 0] = dot(more, 1.0 / rates), -dot(more, 1.0 / rates**2)
        for start in range(0, h.T.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = Rows.of(r, alpha, s, beta, h.frequency[part], h.recency[part], h.T[part], moments=2)
            count = h.count[part]
            value += dot(count, rows.value())
            gradient += [dot(count, column) for column in rows.gradient()]
            for i, j, column in rows.curvatures():
                hessian[i, j] += dot(count, column)
        return value, gradient, np.triu(hessian) + np.triu(hessian, 1).T


@dataclass(frozen=True, eq=False)
class Rows:
    """log L less log Gamma(r+x)/Gamma(r), and its derivatives; everything (n,)."""

    r: float | Floats
    alpha: float | Floats
    s: float | Floats
    beta: float | Floats
    x: Floats
    t_x: Floats
    T: Floats
    death: SilentDeath

    @classmethod
    def of(
        cls,
        r: float | Floats,
        alpha: float | Floats,
        s: float | Floats,
        beta: float | Floats,
        x: Floats,
        t_x: Floats,
        T: Floats,
        moments: int,
    ) -> Rows:
        return cls(r, alpha, s, beta, x, t_x, T, silent_death(r + x, alpha, s, beta, t_x, T, moments))

    def value(self) -> Floats:
        alive = -self.r * np.log1p(self.T / self.alpha) - self.x * np.log(self.alpha + self.T)
        return alive - self.s * np.log1p(self.T / self.beta) + np.logaddexp(0.0, self.death.log_odds)

    def gradient(self) -> list[Floats]:
        """By r, alpha, s, beta; psi(r+x) - psi(r) is left out of the first."""
        alive, dead = expit(-self.death.log_odds), expit(self.death.log_odds)
        return [alive * a + dead * d for a, d in zip(self._if_alive(), self._if_dead(), strict=True)]

    def _if_alive(self) -> list[Floats]:
        r, alpha, s, beta, T = self.r, self.alpha, self.s, self.beta, self.T
        return [
            -np.log1p(T / alpha),
            (r * T / alpha - self.x) / (alpha + T),
            -np.log1p(T / beta),
            s * T / beta / (beta + T),
        ]

    def _if_dead(self) -> list[Floats]:
        """Averages over the time of death."""
        r, alpha, s, beta, x, t_x = self.r, self.alpha, self.s, self.beta, self.x, self.t_x
        log_alpha, share_alpha, log_beta, share_beta = self.death.mean
        return [
            -np.log1p(t_x / alpha) - log_alpha,
            (r * t_x / alpha - x + (r + x) * share_alpha) / (alpha + t_x),
            1.0 / s - np.log1p(t_x / beta) - log_beta,
            (s * t_x / beta - 1.0 + (s + 1.0) * share_beta) / (beta + t_x),
        ]

    def curvatures(self) -> Iterator[tuple[int, int, Floats]]:
        """d2 log L / d parameter_i d parameter_j for i <= j; psi'(r+x) - psi'(r) is left out of the first."""
        r, alpha, s, beta, t_x, T = self.r, self.alpha, self.s, self.beta, self.t_x, self.T
        R, by_alpha, by_beta = r + self.x, alpha + t_x, beta + t_x
        alive, dead = expit(-self.death.log_odds), expit(self.death.log_odds)
        mean, product = self.death.mean, dict(zip(PAIRS, self.death.product, strict=True))
        # E[1/(alpha+tau)], E[1/(alpha+tau)^2], from E[1 - share] and E[(1 - share)^2].
        near_a, near_b = (1.0 - mean[1]) / by_alpha, (1.0 - mean[3]) / by_beta
        square_a = (1.0 - 2.0 * mean[1] + product[1, 1]) / by_alpha**2
        square_b = (1.0 - 2.0 * mean[3] + product[3, 3]) / by_beta**2
        own = {
            (0, 1): alive * (T / (alpha * (alpha + T))) + dead * (1.0 / alpha - near_a),
            (1, 1): R * (alive / (alpha + T) ** 2 + dead * square_a) - r / alpha**2,
            (2, 2): -dead / s**2,
            (2, 3): alive * (T / (beta * (beta + T))) + dead * (1.0 / beta - near_b),
            (3, 3): s * alive / (beta + T) ** 2 + (s + 1.0) * dead * square_b - s / beta**2,
        }
        # How the gradient given tau moves with the four features, and how the two averages differ.
        weight = (-1.0, R / by_alpha, -1.0, (s + 1.0) / by_beta)
        apart = [a - d for a, d in zip(self._if_alive(), self._if_dead(), strict=True)]
        for i, j in PAIRS:
            spread = weight[i] * weight[j] * (product[i, j] - mean[i] * mean[j]) + alive * apart[i] * apart[j]
            yield i, j, dead * spread + own.get((i, j), 0.0)
