"""Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value" (brucehardie.com/notes/025).

Belongs here: likelihood, fit and expectation of the mean value of a transaction. Not here: what to do where it can't be
fitted or has no mean (spend.py), the test that spend does not depend on frequency.

A transaction's value is gamma(p, nu), and nu ~ gamma(q, v) over customers. With mean z over x transactions, eq. 1a:

    f(z | p, q, v; x) = Gamma(px+q) / (Gamma(px) Gamma(q)) v^q z^(px-1) x^(px) / (v + x z)^(px+q)
    E[Z | z, x] = p (v + x z) / (px + q - 1)     (eq. 5);     E[Z] = p v / (q - 1) for q > 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln

from cvm_pipeline.domain.lifetime_value.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, dot

NAME = "gamma_gamma"
NAMES = ("p", "q", "v")
# (p, q) with values scaled to a mean of 1; v follows from that mean.
_STARTS = ((6.0, 4.0), (1.0, 3.0), (0.4, 1.5), (30.0, 10.0))
# Beyond p or q = 1e3 values vary by under 3 %, and gammaln loses the digits that tell one p from another.
_LOW, _HIGH = np.array([1e-3, 1e-3, 1e-7]), np.array([1e3, 1e3, 1e7])
_EXPLORED = 20_000


def fit(frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None = None) -> Fit:
    """Maximum likelihood from customers with x > 0 repeat transactions of mean value > 0; `count` customers a row.

    v is in the values' own currency, as is the log-likelihood. Raises ValueError on x <= 0, values <= 0 or not finite.
    """
    x = np.asarray(frequency, dtype=np.float64)
    z = np.asarray(mean_value, dtype=np.float64)
    n = np.ones_like(x) if count is None else np.asarray(count, dtype=np.float64)
    _require(x, z, n)
    if x.size == 0:
        return Fit.impossible(0.0, "no customer with a repeat transaction above 0")
    order = np.lexsort((n, z, x))
    x, z, n = x[order], z[order], n[order]
    customers = float(n.sum())
    mean = dot(n, z) / customers
    explore = None
    if x.size > _EXPLORED:
        rows = slice(None, None, -(-x.size // _EXPLORED))
        explore = _Likelihood(x[rows], z[rows], n[rows])
    unit = np.array([1.0, 1.0, mean])
    starts = [np.array([p, q, mean * (q - 1.0) / p]) for p, q in _STARTS]
    found = maximise(NAMES, _Likelihood(x, z, n), customers, starts, _LOW * unit, _HIGH * unit, explore)
    return found.as_fit(NAMES, customers)


def log_likelihood(
    parameters: Mapping[str, float], frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None = None
) -> float:
    """Sum over customers of log f(z | x), undivided. Raises ValueError as `fit`."""
    return _evaluate(parameters, frequency, mean_value, count)[0]


def gradient(
    parameters: Mapping[str, float], frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None = None
) -> Floats:
    """d log-likelihood / d (p, q, v), shape (3,). Raises ValueError as `fit`."""
    return _evaluate(parameters, frequency, mean_value, count)[1]


def population_mean(parameters: Mapping[str, float]) -> float | None:
    """E[Z] = p v / (q - 1); None where q <= 1: the distribution has no mean."""
    p, q, v = (parameters[name] for name in NAMES)
    return p * v / (q - 1.0) if q > 1.0 else None


def conditional_mean(parameters: Mapping[str, float], frequency: Floats, mean_value: Floats) -> Floats:
    """E[Z | z, x], shape (n,): eq. 5, which needs px + q > 1; for x = 0 it is the population's mean."""
    p, q, v = (parameters[name] for name in NAMES)
    return p * (v + frequency * mean_value) / (p * frequency + q - 1.0)


def _evaluate(
    parameters: Mapping[str, float], frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None
) -> tuple[float, Floats]:
    x = np.asarray(frequency, dtype=np.float64)
    z = np.asarray(mean_value, dtype=np.float64)
    n = np.ones_like(x) if count is None else np.asarray(count, dtype=np.float64)
    _require(x, z, n)
    return _Likelihood(x, z, n)(np.array([parameters[name] for name in NAMES]))


def _require(x: Floats, z: Floats, n: Floats) -> None:
    if not x.shape == z.shape == n.shape or x.ndim != 1:
        raise ValueError("frequency, mean_value and count must be one-dimensional and of one length")
    sound = np.isfinite(x) & np.isfinite(z) & np.isfinite(n) & (x > 0) & (z > 0) & (n > 0)
    if not sound.all():
        row = int(np.argmin(sound))
        raise ValueError(
            "Gamma-Gamma takes customers with frequency > 0 and mean value > 0; "
            f"row {row} has frequency {x[row]:g}, mean {z[row]:g}, count {n[row]:g}"
        )


class _Likelihood:
    """LL and its gradient at (p, q, v). Gamma functions are evaluated once for each distinct x."""

    def __init__(self, x: Floats, z: Floats, n: Floats) -> None:
        self._x, where = np.unique(x, return_inverse=True)
        self._of_x = np.bincount(where, weights=n, minlength=self._x.size).astype(np.float64)
        self._x_of_row, self._total, self._count = x, x * z, n
        self._customers = n.sum()
        self._log_z = dot(n, np.log(z))
        self._x_log_total = dot(n * x, np.log(x * z))

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        p, q, v = map(float, point)
        x, n, of_x = self._x, self._customers, self._of_x
        sum_ = v + self._total
        log_sum = self._count * np.log(sum_)
        shape = p * self._x_of_row + q
        value = (
            dot(of_x, gammaln(p * x + q) - gammaln(p * x)) - n * gammaln(q) + n * q * np.log(v)
            + p * self._x_log_total - self._log_z - dot(log_sum, shape)
        )  # fmt: skip
        outer = digamma(p * x + q)
        gradient = np.array(
            [
                dot(of_x * x, outer - digamma(p * x)) + self._x_log_total - dot(log_sum, self._x_of_row),
                dot(of_x, outer) - n * digamma(q) + n * np.log(v) - log_sum.sum(),
                n * q / v - dot(self._count / sum_, shape),
            ]
        )
        return float(value), gradient
