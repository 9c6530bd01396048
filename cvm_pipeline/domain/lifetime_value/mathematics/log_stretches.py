"""Many values of a smooth function of t / A from few: polynomials on stretches of length 1 of log(t / A).

Belongs here: the stretches and their polynomials. Not here: any such function.

Made for functions that are analytic in log(t / A) in the strip |Im| < pi and hardly larger within |Im| <= pi / 2 than on
the real line, as every mean of 1 / (1 + y)^n over y = p t / A is. A polynomial through 18 Chebyshev nodes on a stretch is
then within 1e-15 of the function (Trefethen 2013, "Approximation Theory and Approximation Practice", theorem 8.2: the
ellipse reaches to pi / 2, rho = 6.4). A value depends on its own t / A and on nothing else that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.protocol import Floats

_NODES = 18
# Values computed at once: the working arrays stay in a core's cache.
_CHUNK = 16_384
# Values whose places are kept: 16 MB.
_HELD = 2**20

# t / A (m, nodes), the largest of each row's stretch (m,), which function each row is of (m,) -> values (m, nodes).
Function = Callable[[Floats, Floats, NDArray[np.intp]], Floats]


def by_stretches(function: Function, t: Floats, A: Floats, which: NDArray[np.intp]) -> Floats:
    """The function at t / A for each t (k,) and row (n,), shape (n, k); `which` (n,) tells several functions apart.

    t > 0 and A > 0.
    """
    result = np.empty((A.size, t.size))
    if result.size == 0:
        return result
    log_t, log_A = np.log(t), np.log(A)
    first = int(np.floor(log_t.min() - log_A.max()))
    stretches = int(np.floor(log_t.max() - log_A.min())) - first + 1
    rows_at_once = max(1, _CHUNK // t.size)
    parts = [slice(start, start + rows_at_once) for start in range(0, A.size, rows_at_once)]

    def places(part: slice) -> tuple[Floats, NDArray[np.intp]]:
        """Position in its stretch, -1..1, and the place of (which, stretch), each shape (rows, k)."""
        at = log_t - log_A[part, None]
        floor = np.floor(at)
        at -= floor
        at *= 2.0
        at -= 1.0
        return at, floor.astype(np.intp) + (which[part, None] * stretches - first)

    # Found twice rather than held, where there are many.
    held = [places(part) for part in parts] if result.size <= _HELD else None
    occurs = np.zeros((int(which.max()) + 1) * stretches, dtype=bool)
    for _, cell in held or map(places, parts):
        occurs[cell] = True
    cells = np.flatnonzero(occurs)
    powers = np.zeros((_NODES, occurs.size))
    powers[:, cells] = _polynomials(function, cells % stretches + first, cells // stretches)
    for part, (at, cell) in zip(parts, held or map(places, parts), strict=True):
        value = powers[-1].take(cell)
        for coefficients in powers[-2::-1]:
            value *= at
            value += coefficients.take(cell)
        result[part] = value
    return result


def _polynomials(function: Function, stretch: NDArray[np.intp], which: NDArray[np.intp]) -> Floats:
    """Coefficients of the powers 0, 1, ... of the position in each stretch (m,), shape (nodes, m)."""
    nodes, to_chebyshev, to_powers = _chebyshev()
    values = function(np.exp(stretch[:, None] + 0.5 * (1.0 + nodes)), np.exp(stretch + 1.0), which)
    # Not by BLAS, whose digits depend on how many rows there are.
    return np.einsum("ji,mi->jm", to_powers, np.einsum("ji,mi->mj", to_chebyshev, values))


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
