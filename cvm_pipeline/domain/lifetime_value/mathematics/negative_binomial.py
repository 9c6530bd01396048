"""The negative binomial distribution: how often a Poisson buyer buys whose rate is gamma distributed.

Belongs here: its probabilities, right to some 1e-13, and to 2e-12 in the far tails of shapes above 1e4. Not here: any model.

With rate ~ gamma(R, A) the transactions N of a time t are negative binomial, with z = t / (A + t):

    P(N = n) = Gamma(R+n) / (Gamma(R) n!) (1-z)^R z^n,        P(N >= n) = I_z(n, R).

z is given as the pair (t, A), so that neither z nor 1 - z = A / (A + t) is rounded against 1. Differences of log-gammas
lose five digits at n = 1e4; Loader (2000), "Fast and Accurate Computation of Binomial Probabilities", does not: with
M = (R+n) z the mean number of successes in R + n trials and delta(y) what Stirling's formula leaves of
log Gamma(y+1),

    P(n) = sqrt(R / (2 pi n (R+n))) exp(delta(R+n) - delta(R) - delta(n) - D(R, R+n-M) - D(n, M)),
    D(y, m) = y log(y/m) + m - y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincc

from cvm_pipeline.domain.lifetime_value.mathematics.gamma_functions import HALF_LOG_2PI, stirling_error
from cvm_pipeline.domain.lifetime_value.protocol import Floats


def log_pmf(n: ArrayLike, R: ArrayLike, t: ArrayLike, A: ArrayLike) -> Floats:
    """log P(N = n), -inf where t = 0 < n; arguments broadcast. n >= 0 whole, R > 0, t >= 0, A > 0 (unit of t)."""
    shape = np.broadcast_shapes(*(np.shape(v) for v in (n, R, t, A)))
    n_, R_, t_, A_ = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (n, R, t, A))
    none = -R_ * np.log1p(t_ / A_)
    return np.where(n_ > 0, _log_pmf_of_some(np.maximum(n_, 1.0), R_, t_, A_), none).reshape(shape)


def pmf(n: ArrayLike, R: ArrayLike, t: ArrayLike, A: ArrayLike) -> Floats:
    """P(N = n); arguments as for `log_pmf`."""
    return np.exp(log_pmf(n, R, t, A))


def survival(n: ArrayLike, R: ArrayLike, t: ArrayLike, A: ArrayLike) -> Floats:
    """P(N >= n), keeping its digits down to 1e-290; arguments as for `log_pmf`."""
    n_, R_, t_, A_ = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (n, R, t, A)))
    result = np.ones(n_.shape)
    # Never 1 - z: the smaller of z and 1 - z is passed on.
    small, large = (n_ > 0) & (t_ < A_), (n_ > 0) & (t_ >= A_)
    result[small] = betainc(n_[small], R_[small], t_[small] / (A_[small] + t_[small]))
    result[large] = betaincc(R_[large], n_[large], A_[large] / (A_[large] + t_[large]))
    return result.reshape(np.broadcast_shapes(*(np.shape(v) for v in (n, R, t, A))))


def _log_pmf_of_some(n: Floats, R: Floats, t: Floats, A: Floats) -> Floats:
    trials = R + n
    with np.errstate(divide="ignore"):
        # By how much the mean number of successes exceeds n, without subtracting the mean itself.
        excess = (R * t - n * A) / (A + t)
        corrections = stirling_error(trials) - stirling_error(R) - stirling_error(n)
        distance = _deviance(R, trials * (A / (A + t)), -excess) + _deviance(n, trials * (t / (A + t)), excess)
    return corrections - distance + 0.5 * np.log(R / (n * trials)) - HALF_LOG_2PI


def _deviance(y: Floats, mean: Floats, excess: Floats) -> Floats:
    """y log(y / mean) + mean - y, with excess = mean - y."""
    share = excess / y
    near = np.abs(share) < 0.5
    return np.where(near, excess - y * np.log1p(np.where(near, share, 0.0)), excess - y * np.log(mean / y))
