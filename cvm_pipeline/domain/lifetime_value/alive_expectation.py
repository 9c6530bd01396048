"""Expected transactions of a customer who is alive, under gamma rates and beta dropout after each transaction.

Belongs here: one integral, to some 1e-13 relative over everything a base can hold. Not here: P(alive), likelihoods,
any model.

With rate ~ gamma(R, A) and dropout probability p ~ beta(a, B), both posterior, Fader, Hardie & Lee (2005) eq. 9-10 is

    G(t) = E_p[(1 - (1 + p t / A)^-R) / p] = (a+B-1)/(a-1) [1 - (A/(A+t))^R 2F1(R, B; a+B-1; t/(A+t))].

The right-hand side loses everything to cancellation near a = 1 and overflows at large x, in the Euler-transformed
form as well once R > a+B-1; the left-hand side has only positive terms and nothing happens at a = 1. So the left is
computed, by beta_rule.py.

For given R and B it is a function of t / A alone, and in log(t / A) it is analytic in the strip |Im| < pi and no larger
than twice itself within |Im| <= pi / 2, whatever R, a and B. On stretches of length 1 a polynomial through 18 Chebyshev
nodes is therefore within 1e-15 of it (Trefethen 2013, "Approximation Theory and Approximation Practice", theorem 8.2:
the ellipse reaches to pi / 2, rho = 6.4): each (x, stretch) costs 18 integrals, each expectation beyond that 18
multiplications.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.beta_rule import mean_per_dropout
from cvm_pipeline.domain.lifetime_value.protocol import Floats

_NODES = 18
_CHUNK = 16_384


def expected_while_alive(horizon: Floats, R: Floats, A: Floats, a: Floats, B: Floats) -> Floats:
    """G of each row (n,) and each horizon (k,), shape (n, k), in transactions: one integral each.

    Horizons >= 0 and A > 0 in the same unit; R, A, a, B: (n,).
    """
    last = np.max(horizon, initial=0.0)
    return _integrals(horizon / A[:, None], R, a, B, last / A)


def expected_by_count(horizon: Floats, A: Floats, a: float, R: Floats, B: Floats, which: NDArray[np.intp]) -> Floats:
    """The same where rows share their a, R and B: R and B (j,), `which` of them a row has (n,). By the polynomials."""
    result = np.zeros((A.size, horizon.size))
    later = np.flatnonzero(horizon > 0)
    if A.size == 0 or later.size == 0:
        return result
    log_t, log_A = np.log(horizon[later]), np.log(A)
    first = int(np.floor(log_t.min() - log_A.max()))
    stretches = int(np.floor(log_t.max() - log_A.min())) - first + 1
    rows_at_once = max(1, _CHUNK // later.size)
    parts = [slice(start, start + rows_at_once) for start in range(0, A.size, rows_at_once)]

    def places(part: slice) -> tuple[Floats, NDArray[np.intp]]:
        """Position in its stretch, -1..1, and the place of (which, stretch), each shape (rows, horizons)."""
        at = log_t - log_A[part, None]
        floor = np.floor(at)
        at -= floor
        at *= 2.0
        at -= 1.0
        return at, floor.astype(np.intp) + (which[part, None] * stretches - first)

    occurs = np.zeros(R.size * stretches, dtype=bool)
    for part in parts:
        occurs[places(part)[1]] = True
    cells = np.flatnonzero(occurs)
    powers = np.zeros((_NODES, occurs.size))
    powers[:, cells] = _polynomials(cells % stretches + first, R[cells // stretches], a, B[cells // stretches])
    for part in parts:
        at, cell = places(part)
        value = powers[-1].take(cell)
        for coefficients in powers[-2::-1]:
            value *= at
            value += coefficients.take(cell)
        result[part, later] = value
    return result


def _polynomials(stretch: NDArray[np.intp], R: Floats, a: float, B: Floats) -> Floats:
    """Coefficients of the powers 0, 1, ... of the position in each stretch (m,), shape (nodes, m)."""
    nodes, to_chebyshev, to_powers = _chebyshev()
    y = np.exp(stretch[:, None] + 0.5 * (1.0 + nodes))
    values = _integrals(y, R, np.full(R.size, a), B, np.exp(stretch + 1.0))
    # Not by BLAS, whose digits depend on how many rows there are.
    return np.einsum("ji,mi->jm", to_powers, np.einsum("ji,mi->mj", to_chebyshev, values))


def _integrals(y: Floats, R: Floats, a: Floats, B: Floats, most: Floats) -> Floats:
    """E[(1 - (1 + p y)^-R) / p] for y = t / A (n, k), at most `most` (n,)."""

    def integrand(p: Floats, rows: NDArray[np.intp]) -> Floats:
        values = y[rows, :, None] * p
        np.log1p(values, out=values)
        values *= -R[rows, None, None]
        np.expm1(values, out=values)
        return np.negative(values, out=values)

    return mean_per_dropout(integrand, y.shape[1], a, B, np.maximum(R, 1.0) * most)


@cache
def _chebyshev() -> tuple[Floats, Floats, Floats]:
    """Nodes on [-1, 1]; values there -> Chebyshev coefficients; those -> coefficients of powers.

    One after the other: the product of the two matrices has entries of 1e5, which would cost as many digits.
    """
    angle = np.pi * (np.arange(_NODES) + 0.5) / _NODES
    order = np.arange(_NODES)[:, None]
    to_chebyshev = np.cos(order * angle) * np.where(order == 0, 1.0, 2.0) / _NODES
    to_powers = np.zeros((_NODES, _NODES))
    for j in range(_NODES):
        powers = chebyshev.cheb2poly(np.eye(_NODES)[j])
        to_powers[: powers.size, j] = powers
    return np.cos(angle), to_chebyshev, to_powers
