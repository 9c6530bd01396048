"""Gauss-Legendre's rule on [0, 1], every weight right to its last digit.

Belongs here: nodes and weights. Not here: any integrand. numpy's and scipy's weights are off by 1e-13 (24 nodes) to 1e-11
(128 nodes) towards the ends, and that is where a decaying integrand has its mass.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats


@cache
def gauss_legendre(nodes: int) -> tuple[Floats, Floats]:
    """Nodes in (0, 1), ascending, and weights that sum to 1; shapes (nodes,). Exact for polynomials of degree
    2 nodes - 1."""
    n = nodes
    x = np.cos(np.pi * (np.arange(n, 0, -1, dtype=np.longdouble) - 0.25) / (n + np.longdouble(0.5)))
    for _ in range(6):
        # Newton on Legendre's polynomial, from its three-term recurrence.
        before, here = np.ones_like(x), x
        for k in range(2, n + 1):
            before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
        slope = n * (before - x * here) / ((1 - x) * (1 + x))
        x = x - here / slope
    weights = 1 / ((1 - x) * (1 + x) * slope**2)
    rule = ((1 + x) / 2).astype(np.float64), weights.astype(np.float64)
    for column in rule:
        column.flags.writeable = False
    return rule
