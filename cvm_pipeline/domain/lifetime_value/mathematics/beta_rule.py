"""Means over a beta-distributed dropout probability: E[f(p) / p], p ~ beta(a, B), for f that rise from 0 and level off.

Belongs here: one quadrature rule, right to some 1e-13 for a and B from 1e-4 to 1e5. Not here: any f.

The trapezoidal rule in u = logit p converges geometrically, because beta weight and f are analytic in a strip around the
real line; both exponential tails are summed in closed form (they become one node at p = 0 and one at p = 1). Every
weight is positive, so nothing cancels, and nothing happens at a = 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# The rule's error is the integrand's Fourier transform at w = 2 pi / step: about exp(-pi w / 2) for a wide weight (the
# strip's half-width is pi / 2 where f or B is sharp) and exp(-(w width)^2 / 2) for a narrow one. Both are below 1e-15
# at w = sqrt(500 + 100 / width^2).
_WIDE, _NARROW = 500.0, 100.0
# Tails in closed form are exact to second order in exp(-_TAIL).
_TAIL = 14.5
# Weights below exp(-_NEGLIGIBLE) of the largest, times what f can gain there, change nothing.
_NEGLIGIBLE = 34.0
# Stands for p = 0.
_ZERO = 1e-200
# Rules are padded to a multiple of this many nodes: as many as a row needs by itself, whatever it is computed with.
_PAD = 16
# Values held at once: the working arrays stay in a core's cache.
_CHUNK = 50_000

# p (m, 1, nodes) and which rows these are (m,) -> f (m, k, nodes).
Integrand = Callable[[Floats, NDArray[np.intp]], Floats]


def mean_per_dropout(f: Integrand, columns: int, a: Floats, B: Floats, reach: Floats) -> Floats:
    """E[f(p) / p] of each row's own p ~ beta(a, B), shape (n, columns); a, B, reach: (n,).

    `reach`: f(p) / p bends at p = 1 / reach, before that it is constant. A row's result depends on nothing but the row.
    """
    result = np.empty((a.size, columns))
    scale = np.maximum(np.maximum(reach, a + B), 1.0)
    step = 2.0 * np.pi / np.sqrt(_WIDE + _NARROW / (1.0 / a + 1.0 / B))
    least = -np.log(scale) - _TAIL
    most = np.log(np.maximum(a + B, 1.0)) + _TAIL
    low, high = _span(a, B, least, most, _NEGLIGIBLE + np.log(scale))
    nodes = np.ceil((high - low) / step).astype(np.intp) + 1
    padded = -(-nodes // _PAD) * _PAD
    for size in np.unique(padded):
        same = np.flatnonzero(padded == size)
        rows_at_once = max(1, _CHUNK // (columns * int(size)))
        for start in range(0, same.size, rows_at_once):
            rows = same[start : start + rows_at_once]
            u = low[rows, None] + step[rows, None] * np.arange(size)
            tails = low[rows] == least[rows], high[rows] == most[rows]
            p, weight = _rule(a[rows], B[rows], u, step[rows], nodes[rows], tails)
            values = f(p[:, None, :], rows)
            values *= (weight / p)[:, None, :]
            result[rows] = values.sum(axis=2)
    return result


def _span(a: Floats, B: Floats, least: Floats, most: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """Where the log weight is within `depth` of its largest, inside least..most; never too narrow."""
    mode = np.log(a / B)
    ends = []
    for sign, furthest in ((-1.0, mode - least), (1.0, most - mode)):
        # The fall from the mode is convex: from beyond, Newton comes down on the root and stays beyond it.
        v = np.maximum(furthest, 0.0)
        at_mode = _log_weight(a, B, mode)
        for _ in range(6):
            u = mode + sign * v
            fall = at_mode - _log_weight(a, B, u)
            slope = -sign * (a * expit(-u) - B * expit(u))
            with np.errstate(divide="ignore", invalid="ignore"):
                v = np.where(fall > depth, v - (fall - depth) / slope, v)
        ends.append(mode + sign * v)
    low, high = np.maximum(ends[0], least), np.minimum(ends[1], most)
    # Rounding must not make a tail look cut off.
    return np.where(low - least < 1e-9, least, low), np.where(most - high < 1e-9, most, high)


def _log_weight(a: Floats, B: Floats, u: Floats) -> Floats:
    # log(1 + exp(u)) is min(u, 0) less than its mirror image; logaddexp would take ten times as long.
    common = (a + B) * np.log1p(np.exp(-np.abs(u)))
    return a * np.minimum(u, 0.0) - B * np.maximum(u, 0.0) - common


def _rule(
    a: Floats, B: Floats, u: Floats, step: Floats, nodes: NDArray[np.intp], tails: tuple[NDArray[np.bool_], ...]
) -> tuple[Floats, Floats]:
    """Nodes p and weights of each row, shape (m, nodes + 2), weights summing to 1; beyond a row's own nodes they are 0."""
    log_weight = _log_weight(a[:, None], B[:, None], u)
    own = np.arange(u.shape[1]) < nodes[:, None]
    log_weight = np.where(own, log_weight, -np.inf)
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    every, last = np.arange(a.size), nodes - 1
    ends = np.zeros((2, a.size))
    for end, at, sign, power in ((0, 0, -1.0, a), (1, last, 1.0, B)):
        edge = np.where(tails[end], -sign * u[every, at], -_TAIL)
        ends[end], outermost = _tail(power, a + B, edge, step, weight[every, at])
        ends[end] = np.where(tails[end], ends[end], 0.0)
        weight[every, at] = np.where(tails[end], outermost, weight[every, at])
    p = np.column_stack([np.full(a.size, _ZERO), 1.0 / (1.0 + np.exp(-u)), np.ones(a.size)])
    weight = np.column_stack([ends[0], weight, ends[1]])
    return p, weight / weight.sum(axis=1, keepdims=True)


def _tail(power: Floats, total: Floats, u: Floats, step: Floats, outermost: Floats) -> tuple[Floats, Floats]:
    """Weights of the end point and of the outermost node, at `u`, once they carry all nodes beyond it.

    Beyond it the integrand is y^power (f0 + (f1 - f0) y / y0), y = exp(u), which is summed as two geometric series.
    """
    # By its logarithm: with covariates a + B may pass 10^9, where the factor overflows beside a weight of 0.
    with np.errstate(divide="ignore"):
        bare = np.exp(np.log(outermost) + total * np.log1p(np.exp(u)))
    with np.errstate(over="ignore"):
        first, second = 1.0 / np.expm1(power * step), 1.0 / np.expm1((power + 1.0) * step)
    return bare * (first - second), outermost * (1.0 + second)
