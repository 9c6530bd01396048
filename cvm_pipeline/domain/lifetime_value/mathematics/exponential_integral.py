"""The exponential integral of real order, scaled: what discounting over an infinite horizon comes to under gamma dropout.

Belongs here: one integral, to 2e-15 relative. Not here: what a rate or an order means to a model.

    S(n, x) = int_0^inf e^(-x u) (1+u)^(-n) du = e^x E_n(x)          (DLMF 8.19.3; U(1, 2-n, x) in Tricomi's letter)

With v = log(1+u) the integrand is exp(-x (e^v - 1) - (n-1) v): positive, and entire in v, so that Gauss-Legendre's rule
on the part that counts converges faster than geometrically. Below x = 1 that part grows without end; there it is cut at
1+u = 1/x. Beyond the cut the integral is S(n, 1) again; before it e^(-x e^v) is a power series whose terms integrate in
closed form and cancel by no more than a factor e:

    S(n, x) = e^x [ sum_k (-x)^k/k! (x^-(k+1-n) - 1)/(k+1-n) + x^(n-1) S(n, 1)/e ],   x < 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exprel

from cvm_pipeline.domain.lifetime_value.mathematics.gauss_legendre import gauss_legendre
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Orders 1e-3..2e4 and x from 1 to 1e12 are right to 1e-15 from 24 nodes on.
_NODES = 24
# The integrand falls from its largest value, 1 at v = 0; below exp(-_NEGLIGIBLE) nothing counts.
_NEGLIGIBLE = 38.0
_TERMS = 19
_CHUNK = 4_096


def scaled_exponential_integral(order: ArrayLike, x: ArrayLike) -> Floats:
    """int_0^inf e^(-x u) (1+u)^(-order) du, element by element; order > 0 and x > 0, broadcast against each other."""
    n, at = np.broadcast_arrays(np.asarray(order, dtype=np.float64), np.asarray(x, dtype=np.float64))
    shape, n, at = n.shape, n.ravel(), at.ravel()
    result = np.empty(n.size)
    for start in range(0, n.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _beyond_one(n[part], np.maximum(at[part], 1.0))
    small = at < 1.0
    if small.any():
        result[small] = _below_one(n[small], at[small], result[small])
    return result.reshape(shape)


def _beyond_one(n: Floats, x: Floats) -> Floats:
    # Where x (e^v - 1) + (n-1) v = _NEGLIGIBLE: convex, so Newton comes down on it from above.
    cut = np.log1p(_NEGLIGIBLE / x)
    for _ in range(3):
        cut -= (x * np.expm1(cut) + (n - 1.0) * cut - _NEGLIGIBLE) / (x * np.exp(cut) + n - 1.0)
    nodes, weights = gauss_legendre(_NODES)
    v = cut[:, None] * nodes
    exponent = np.expm1(v)
    exponent *= -x[:, None]
    exponent -= (n - 1.0)[:, None] * v
    np.exp(exponent, out=exponent)
    return cut * (exponent * weights).sum(axis=1)


def _below_one(n: Floats, x: Floats, at_one: Floats) -> Floats:
    reach = -np.log(x)
    rest = x ** (n - 1.0)
    total, factorial = rest * at_one * np.exp(-1.0), 1.0
    for k in range(_TERMS):
        q = (k + 1.0 - n) * reach
        # x^k expm1(q) / q, without e^q, which overflows where x^k vanishes.
        total += (-1.0) ** k / factorial * np.where(q > 0, rest, x**k) * reach * exprel(-np.abs(q))
        factorial *= k + 1.0
    return np.exp(x) * total
