"""The Gamma-Gamma log-likelihood with gradient and curvature, in a form that keeps its digits.

Belongs here: the evaluation, by row and summed over a base. Not here: what the model is and says (gamma_gamma.py).

u = x z / (v x^kappa + x z) is beta (a, q), a = px. With m = a / (a + q), mu = p v / q and t = ln(z / mu) - kappa ln x, which
is logit u - logit m, the density is Stirling's formula with its correction d(y) = ln Gamma(y) - (y - 1/2) ln y + y - ln(2 pi)/2:

    ln f = -ln z + ln(a q / (2 pi (a + q))) / 2 + d(a + q) - d(a) - d(q) + a A + q B,
    A = ln(u / m) = t - ln(1 + m (e^t - 1)),     B = ln((1 - u) / (1 - m)) = A - t.

No gamma functions of large arguments are subtracted, so nothing is lost where p or q is large (a difference of gammaln
has no digit left of what one value of p differs by from the next at 1e7). With C = ln f - (a A + q B) and
w = (a + q)(u - m), the slopes in (ln p, ln q, ln v) are C_p + a A, C_q + q B and w.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from cvm_pipeline.domain.lifetime_value.mathematics.gamma_functions import HALF_LOG_2PI, stirling_error
from cvm_pipeline.domain.lifetime_value.protocol import Floats, dot

# d(y) = sum B_2k / (2k (2k-1)) y^(1-2k): its slopes are right to 1e-16 of the first term from here on.
_SERIES_FROM = 16.0
_SERIES = np.array([1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360, 1 / 156])
_POWERS = np.arange(1.0, 14.0, 2.0)
# Rows at once: what is made of them stays in a core's own cache.
_CHUNK = 16_384


def value_of_rows(p: float, q: float, log_mu: float, kappa: float, x: Floats, z: Floats) -> Floats:
    """ln f of each row, (n,)."""
    return _terms_of_rows(p, q, log_mu, kappa, x, z).value - np.log(z)


def gradient_of_rows(p: float, q: float, log_mu: float, kappa: float, x: Floats, z: Floats) -> Floats:
    """d ln f / d (ln p, ln q, ln v, kappa) of each row, (n, 4)."""
    terms = _terms_of_rows(p, q, log_mu, kappa, x, z)
    return np.column_stack([terms.by_p, terms.by_q, terms.by_v, np.log(x) * terms.by_v])


def _terms_of_rows(p: float, q: float, log_mu: float, kappa: float, x: Floats, z: Floats) -> _Terms:
    beta = _Beta(p * x, q)
    t = np.log(z) - log_mu - kappa * np.log(x)
    moments = beta.moments(t, np.arange(x.size))
    return beta.terms(np.ones_like(t), t, *moments, moments[1] ** 2)


class Likelihood:
    """LL of a base with its derivatives: all but t is evaluated once for each distinct x, identical customers once."""

    def __init__(self, x: Floats, z: Floats, n: Floats) -> None:
        order = np.lexsort((z, x))
        x, z, n = x[order], z[order], n[order]
        first = _starts(x, z)
        self._rows = x[first], z[first], np.add.reduceat(n, first) if n.size else n
        x, z, self._n = self._rows
        self._first = _starts(x)
        self._x = x[self._first]
        self._of = np.repeat(np.arange(self._x.size), np.diff(np.r_[self._first, x.size]))
        self._log_x, self._log_z = np.log(self._x), np.log(z)
        self._of_x, self._sum_log_z = self._by_x(self._n), self._by_x(self._n * self._log_z)
        self.customers, self.rows = float(self._of_x.sum()), x.size
        self.mean_log = float(self._sum_log_z.sum() / self.customers) if self.rows else 0.0

    def _by_x(self, values: Floats) -> Floats:
        return np.add.reduceat(values, self._first) if values.size else values

    def thinned(self, most: int) -> Likelihood:
        """On every k-th row, so that at most `most` remain."""
        x, z, n = (column[:: -(-self.rows // most)] for column in self._rows)
        return Likelihood(x, z, n)

    def start(self, p: float, q: float) -> Floats:
        """(p, q, mu) with mu where it puts the mean of ln z."""
        a = p * self._x
        off = dot(self._of_x, digamma(a) - np.log(a)) / self.customers - (digamma(q) - np.log(q))
        return np.array([p, q, np.exp(self.mean_log - off)])

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats]:
        """LL, gradient and Hessian at (p, q, mu) or (p, q, mu, e^kappa)."""
        k = point.size
        value, slope, curvature = self._in_logs(*map(float, point[:2]), *map(float, np.log(point[2:])))
        return value, slope[:k] / point, (curvature[:k, :k] - np.diag(slope[:k])) / np.outer(point, point)

    def _in_logs(self, p: float, q: float, log_mu: float, kappa: float = 0.0) -> tuple[float, Floats, Floats]:
        """LL and its derivatives in (ln p, ln q, ln mu, kappa): float, (4,), (4, 4)."""
        along = self._log_x
        beta = _Beta(p * self._x, q)
        centre = log_mu + kappa * along
        sums = np.zeros((4, along.size))
        for start in range(0, self.rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            of, n = self._of[part], self._n[part]
            log, slope, bend = beta.moments(self._log_z[part] - centre[of], of)
            here = slice(of[0], of[-1] + 1)
            for total, each in zip(sums, (log, slope, bend, slope * slope), strict=True):
                total[here] += np.bincount(of - of[0], weights=n * each)
        terms = beta.terms(self._of_x, self._sum_log_z - self._of_x * centre, *sums)
        gradient = [terms.by_p - terms.by_v, terms.by_q + terms.by_v, terms.by_v, along * terms.by_v]
        by_kappa = [along * each for each in (terms.pm, terms.qm, terms.mm)]
        hessian = [
            [terms.pp, terms.pq, terms.pm, by_kappa[0]],
            [terms.pq, terms.qq, terms.qm, by_kappa[1]],
            [terms.pm, terms.qm, terms.mm, by_kappa[2]],
            [*by_kappa, along * by_kappa[2]],
        ]
        return float(np.sum(terms.value - self._sum_log_z)), np.sum(gradient, axis=1), np.sum(hessian, axis=2)


@dataclass(frozen=True, eq=False)
class _Terms:
    """Of the customers of each a, (k,): ln f + ln z, slopes in (ln p, ln q, ln v), curvature in (ln p, ln q, ln mu)."""

    value: Floats
    by_p: Floats
    by_q: Floats
    by_v: Floats
    pp: Floats
    qq: Floats
    mm: Floats
    pq: Floats
    pm: Floats
    qm: Floats


class _Beta:
    """The density of logit u about logit m, for several a (k,) and one q.

    Where a > q the formulas are those of 1 - u, with t's sign turned: ln(1 + m (e^t - 1)) loses digits for m near 1.
    """

    def __init__(self, a: Floats, q: float) -> None:
        self._a, self._q, self._sum = a, q, a + q
        self._sign = np.where(a <= q, 1.0, -1.0)
        self._share = np.minimum(a, q) / self._sum

    def moments(self, t: Floats, of: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """What t enters through, (n,) each; `of`: the place among a of each row's own."""
        away = np.expm1(self._sign[of] * t)
        share = self._share[of] * away
        inside = 1.0 / (1.0 + share)
        return np.log1p(share), away * inside, (1.0 + away) * inside * inside

    def terms(self, n: Floats, t: Floats, log: Floats, slope: Floats, bend: Floats, square: Floats) -> _Terms:
        """From the sums over the customers of each a: of 1, of t, of the moments and of the second's square."""
        a, q, up = self._a, self._q, self._sign > 0
        m, rest = a / self._sum, q / self._sum
        width = a * rest
        w = self._sign * width * slope
        w_square = width * width / self._sum * square
        a_A, q_B = a * (np.where(up, t, 0.0) - log), -q * (np.where(up, 0.0, t) + log)
        d_sum, e_sum, f_sum = _stirling(self._sum)
        d_a, e_a, f_a = _stirling(a)
        d_q, e_q, f_q = _stirling(np.array([q]))
        both = n * m * rest * (e_sum - 0.5)
        return _Terms(
            value=n * (0.5 * np.log(width) - HALF_LOG_2PI + d_sum - d_a - d_q) + a_A + q_B,
            by_p=n * (0.5 * rest + (m * e_sum - e_a)) + a_A,
            by_q=n * (0.5 * m + (rest * e_sum - e_q)) + q_B,
            by_v=w,
            pp=both + n * (m * m * f_sum - f_a) - (w - a_A) + w_square,
            qq=both + n * (rest * rest * f_sum - f_q) + (w + q_B) + w_square,
            mm=-width * bend,
            pq=n * m * rest * f_sum - both - w_square,
            pm=rest * w - w_square,
            qm=m * w + w_square,
        )


def _stirling(y: Floats) -> tuple[Floats, Floats, Floats]:
    """d(y), y d'(y) and (y d/dy)^2 d(y)."""
    large = y >= _SERIES_FROM
    inverse = 1.0 / np.where(large, y, _SERIES_FROM)
    by_series = [polyval(inverse * inverse, _SERIES * (-_POWERS) ** k) * inverse for k in (1, 2)]
    small = np.where(large, 1.0, y)
    slope = small * (digamma(small) - np.log(small)) + 0.5
    by_gamma = slope, slope + small * (small * polygamma(1, small) - 1.0) - 0.5
    first, second = (np.where(large, *pair) for pair in zip(by_series, by_gamma, strict=True))
    return stirling_error(y), first, second


def _starts(*columns: Floats) -> NDArray[np.intp]:
    """Where a new combination begins, in sorted columns."""
    new = np.ones(columns[0].size, dtype=bool)
    new[1:] = np.any([np.diff(column) != 0 for column in columns], axis=0)
    return np.flatnonzero(new)
