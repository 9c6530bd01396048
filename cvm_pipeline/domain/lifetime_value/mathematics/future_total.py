"""The money that m transactions to come add up to: a beta prime variable, or a gamma one, times a scale.

Belongs here: that distribution, given how many transactions there are. Not here: the shapes and scales of customers
(spend.py), how many transactions come (the timing models), both together (predictive.py).

Each transaction is gamma(p, nu), so m of them are gamma(p m, nu); of a customer with q' and v', nu ~ gamma(q', v') (Fader &
Hardie 2013, eq. 4: q' = q + p x, v' = v + x z). The total over v' is then beta prime (p m, q'):

    P(total <= v' y | m) = I(y / (1 + y); p m, q'),   E = v' p m / (q' - 1),
    variance = v'^2 p m (p m + q' - 1) / ((q' - 1)^2 (q' - 2)).

q' = infinity stands for a known nu = 1: gamma (p m) times the scale. A beta prime variable has a mean only for q' > 1 and a
variance only for q' > 2: else they are infinite and so given, as what they are; the distribution function and its quantiles
hold all the same, and are what is to be used there.

The distribution function is right to 1e-12 for shapes to 1e5, to 1e-10 for q' to 1e6, to 3e-10 at 1e7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincc, gammainc

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# scipy's gammainc loses digits in the tails beyond shapes of 1e5 (all but two of them at 1e7); its betainc, of which the
# gamma distribution is the limit, keeps 11 there.
_GAMMAINC_TO, _LIMIT = 1e5, 1e60


def total_cdf(ratio: ArrayLike, count: ArrayLike, p: ArrayLike, q: ArrayLike) -> Floats:
    """P(total / scale <= ratio | `count` transactions), of the broadcast shape; 1 where count = 0, 0 where ratio < 0.

    `p`: shape of one transaction, above 0; `q`: above 0, or infinite for a gamma total. count may be any number >= 0.
    """
    y, m, p, q = _broadcast(ratio, count, p, q)
    result = np.where(y >= 0, 1.0, 0.0)
    open_ = (m > 0) & (y >= 0) & np.isfinite(y)
    y, a, q = y[open_], (p * m)[open_], q[open_]
    below = np.empty(y.size)
    known = np.isinf(q)
    near = ~known & (y <= 1)
    far = ~known & (y > 1)
    below[near] = betainc(a[near], q[near], y[near] / (1.0 + y[near]))
    # From its own end: y / (1 + y) has no digits left of 1 / (1 + y) where y is large.
    below[far] = betaincc(q[far], a[far], 1.0 / (1.0 + y[far]))
    below[known] = _gamma_cdf(y[known], a[known])
    result[open_] = below
    return result


def total_mean(count: ArrayLike, p: ArrayLike, q: ArrayLike, scale: ArrayLike) -> Floats:
    """E[total | `count`], of the broadcast shape; infinite where q <= 1, unless count or scale is 0."""
    m, p, q, scale = _broadcast(count, p, q, scale)
    finite = np.isfinite(q) & (q > 1)
    mean = scale * m * p * np.where(np.isinf(q), 1.0, 1.0 / np.where(finite, q - 1.0, 1.0))
    return np.where((q > 1) | (mean == 0), mean, np.inf)


def total_variance(count: ArrayLike, p: ArrayLike, q: ArrayLike, scale: ArrayLike) -> Floats:
    """Var[total | `count`], of the broadcast shape; infinite where q <= 2, unless count or scale is 0."""
    m, p, q, scale = _broadcast(count, p, q, scale)
    a = p * m
    finite = np.isfinite(q) & (q > 2)
    less = np.where(finite, q - 1.0, 2.0)
    each = np.where(np.isinf(q), 1.0, (a + less) / (less * less * (less - 1.0)))
    variance = scale * scale * a * each
    return np.where((q > 2) | (variance == 0), variance, np.inf)


def _gamma_cdf(y: Floats, a: Floats) -> Floats:
    limit = betainc(a, _LIMIT, np.minimum(y / _LIMIT, 1.0))
    return np.where(a <= _GAMMAINC_TO, gammainc(a, y), limit)


def _broadcast(*given: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in given)))
