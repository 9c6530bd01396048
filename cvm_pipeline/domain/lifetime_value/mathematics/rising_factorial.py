"""Rising factorials r (r+1) ... (r+x-1) = Gamma(r+x) / Gamma(r): their logarithm and its slope, row by row.

Belongs here: the two, with their digits where r is large and gamma functions cancel (a base of steady buyers). Not here:
sums over a whole base, which a likelihood takes factor by factor.

Above r = 16 both are differences of Stirling's series,
log Gamma(y) = (y - 1/2) log y - y + log(2 pi)/2 + c(y), c(y) = 1/(12 y) - 1/(360 y^3) + ...
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, psi

from cvm_pipeline.domain.lifetime_value.protocol import Floats

_ASYMPTOTIC = 16.0
# c(y) = sum_k _SERIES[k] y^-(2k+1); seven terms are exact to 1e-16 from 16 on.
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360, 1 / 156)


def log_rising_factorial(r: ArrayLike, x: ArrayLike) -> Floats:
    """log Gamma(r+x)/Gamma(r), r > 0 and x >= 0, broadcast; 0 at x = 0."""
    r, x = np.asarray(r, dtype=np.float64), np.asarray(x, dtype=np.float64)
    large = np.maximum(r, _ASYMPTOTIC)
    stirling = x * np.log(large + x) + (large - 0.5) * np.log1p(x / large) - x
    stirling += _remainder(large + x) - _remainder(large)
    return np.where(r > _ASYMPTOTIC, stirling, gammaln(r + x) - gammaln(r))


def psi_rise(r: ArrayLike, x: ArrayLike) -> Floats:
    """psi(r+x) - psi(r) = 1/r + 1/(r+1) + ... + 1/(r+x-1), the slope of the above in r."""
    r, x = np.asarray(r, dtype=np.float64), np.asarray(x, dtype=np.float64)
    large = np.maximum(r, _ASYMPTOTIC)
    stirling = np.log1p(x / large) + 0.5 * x / (large * (large + x))
    stirling += _remainder_slope(large + x) - _remainder_slope(large)
    return np.where(r > _ASYMPTOTIC, stirling, psi(r + x) - psi(r))


def _remainder(y: Floats) -> Floats:
    inverse = 1.0 / y
    return inverse * np.polyval(_SERIES[::-1], inverse * inverse)


def _remainder_slope(y: Floats) -> Floats:
    square = 1.0 / (y * y)
    slopes = [-(2 * k + 1) * c for k, c in enumerate(_SERIES)]
    return square * np.polyval(slopes[::-1], square)
