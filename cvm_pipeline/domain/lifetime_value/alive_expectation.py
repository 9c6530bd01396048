"""Expected transactions of a customer who is alive, under gamma rates and beta dropout after each transaction.

Belongs here: one integral, to some 1e-12 relative over everything a base can hold. Not here: P(alive), likelihoods,
any model.

With rate ~ gamma(R, A) and dropout probability p ~ beta(a, B), both posterior, Fader, Hardie & Lee (2005) eq. 9-10 is

    G(t) = E_p[(1 - (1 + p t / A)^-R) / p] = (a+B-1)/(a-1) [1 - (A/(A+t))^R 2F1(R, B; a+B-1; t/(A+t))].

The right-hand side loses everything to cancellation near a = 1 and overflows at large x, in the Euler-transformed
form as well once R > a+B-1; the left-hand side has only positive terms and nothing happens at a = 1. So the left is
computed: by the trapezoidal rule in u = logit p, which converges geometrically because the integrand is analytic in a
strip around the real line, with both exponential tails summed in closed form (they become one node at p = 0 and one
at p = 1).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# The rule's error is the integrand's Fourier transform at 2 pi / step: about exp(-pi w / 2) for a wide weight (the
# strip's half-width is pi / 2 where R or B is large) and exp(-(w width)^2 / 2) for a narrow one. Both are below 1e-13
# at w = sqrt(400 + 64 / width^2).
_WIDE, _NARROW = 400.0, 64.0
# Tails in closed form are exact to second order in exp(-_TAIL).
_TAIL = 14.5
# A node below exp(-_NEGLIGIBLE) of the largest weight changes nothing.
_NEGLIGIBLE = 34.0
# Stands for p = 0, where (1 - (1 + p s)^-R) / p is R s.
_ZERO = 1e-200
_CHUNK = 400_000


def dropout_rule(a: float, B: float, reach: float) -> tuple[Floats, Floats]:
    """Nodes p and weights w with sum w f(p) = E[f(p)], p ~ beta(a, B); shapes (j,), w sums to 1.

    For f = (1 - (1 + p s)^-R) / p with R s and s at most `reach`. The same for the same arguments, whatever else is
    scored.
    """
    scale = max(reach, a + B, 1.0)
    h = 2.0 * np.pi / np.sqrt(_WIDE + _NARROW / (1.0 / a + 1.0 / B))
    low = -np.log(scale) - _TAIL
    high = np.log(max(a + B, 1.0)) + _TAIL
    u = low + h * np.arange(int(np.ceil((high - low) / h)) + 1)
    log_weight = -a * np.logaddexp(0.0, -u) - B * np.logaddexp(0.0, u)
    weight = np.exp(log_weight - log_weight.max())
    kept = weight > np.exp(-_NEGLIGIBLE) / scale
    p = expit(u)
    ends = np.zeros(2)
    if kept[0]:
        ends[0] = _tail(a, a + B, u[0], h, weight)
    if kept[-1]:
        flipped = weight[::-1]
        ends[1] = _tail(B, a + B, -u[-1], h, flipped)
    p, weight = np.r_[_ZERO, p[kept], 1.0], np.r_[ends[0], weight[kept], ends[1]]
    return p, weight / weight.sum()


def _tail(power: float, total: float, u: float, h: float, weight: Floats) -> float:
    """Weight of the end point for all nodes beyond `u`; adds the rest to the outermost node, weight[0], in place.

    Beyond it the integrand is y^power (f0 + (f1 - f0) y / y0), y = exp(u), which is summed as two geometric series.
    """
    constant = weight[0] * np.exp(total * np.log1p(np.exp(u))) / np.expm1(power * h)
    slope = np.exp(total * np.log1p(np.exp(u))) / np.expm1((power + 1.0) * h)
    first = weight[0]
    weight[0] = first * (1.0 + 1.0 / np.expm1((power + 1.0) * h))
    return float(constant - first * slope)


def expected_while_alive(horizon: Floats, R: float, A: Floats, a: float, B: float, least_A: float) -> Floats:
    """G for each A (n,) and each horizon (k,), shape (n, k), in transactions. Horizons and A in the same unit; all >=
    0, A > 0.

    `least_A` is a lower bound of A that doesn't depend on the batch: the nodes follow from it, so splitting a batch
    changes no digit.
    """
    s_max = float(np.max(horizon, initial=0.0)) / least_A
    p, weight = dropout_rule(a, B, max(R, 1.0) * s_max)
    ratio = weight / p
    result = np.empty((A.size, horizon.size))
    rows = max(1, _CHUNK // max(1, horizon.size * p.size))
    for start in range(0, A.size, rows):
        part = slice(start, start + rows)
        y = (horizon / A[part, None])[:, :, None] * p
        np.log1p(y, out=y)
        y *= -R
        np.expm1(y, out=y)
        y *= ratio
        result[part] = -y.sum(axis=2)
    return result
