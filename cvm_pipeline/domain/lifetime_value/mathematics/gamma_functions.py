"""What Stirling's formula leaves of gamma functions, and the ratios that it makes exact where log-gammas would cancel.

Belongs here: such ratios of several gamma functions. Not here: rising factorials (rising_factorial.py), any model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from cvm_pipeline.domain.lifetime_value.protocol import Floats

HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
# From here on the asymptotic series is exact to 1e-16 with six terms.
_ASYMPTOTIC = 16.0
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360)


def stirling_error(y: Floats) -> Floats:
    """delta(y) = log Gamma(y+1) - [(y + 1/2) log y - y + log(2 pi) / 2], y > 0; shape of `y`."""
    y = np.asarray(y, dtype=np.float64)
    flat = y.ravel()
    large = flat > _ASYMPTOTIC
    inverse = 1.0 / np.where(large, flat, _ASYMPTOTIC)
    square = inverse * inverse
    result = np.zeros_like(flat)
    for coefficient in reversed(_STIRLING):
        result = result * square + coefficient
    result *= inverse
    small = flat[~large]
    result[~large] = gammaln(small + 1.0) - (small + 0.5) * np.log(small) + small - HALF_LOG_2PI
    return result.reshape(y.shape)


def log_beta_ratio(a: ArrayLike, b: ArrayLike, n: ArrayLike) -> Floats:
    """log [B(a, b+n) / B(a, b)], a, b > 0 and n >= 0, broadcast: for p ~ beta(a, b), log E[(1-p)^n].

    Every term goes to 0 with a, as the whole does: right to 1e-14, or that share of it, next to no dropout as well.
    """
    a, b, n = (np.asarray(v, dtype=np.float64) for v in (a, b, n))
    total = a + b
    correction = (stirling_error(b + n) - stirling_error(b)) - (stirling_error(total + n) - stirling_error(total))
    shared = (b - 0.5) * np.log1p(n * (a / (b * (total + n))))
    return shared - a * np.log1p(n / total) - n * np.log1p(a / (b + n)) + correction
