"""How many purchases a customer makes who dies within the horizon, under a gamma rate of buying and one of dying.

Belongs here: one family of integrals over the time of death, for many rows and counts at once. Not here: the other term of
the distribution, of who lives on (pareto_nbd.py).

Fader & Hardie (2020), "Deriving the Conditional PMF of the Pareto/NBD Model", before the integral is written as a double
sum of hypergeometric functions: with NB(m; R, tau, A) the negative binomial probability (negative_binomial.py),

    P(m, dead by t) = int_0^t NB(m; R, tau, A) s B^s (B+tau)^-(s+1) dtau,

which is the integrand of death_integrand.py. Neighbouring counts share their nodes: from one to the next the integrand
changes by a factor (R+m)/(m+1) tau/(A+tau), so that exponentials are taken for the first count of a block only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial
from cvm_pipeline.domain.lifetime_value.mathematics.death_integrand import DeathIntegrand, nodes_for
from cvm_pipeline.domain.lifetime_value.mathematics.gauss_legendre import gauss_legendre
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Nodes times rows at once: what stays in the second-level cache.
_CHUNK = 16_384


def counts_before_death(counts: Floats, R: Floats, A: Floats, s: Floats, B: Floats, t: float) -> Floats:
    """P(m transactions in a time t, and dead by its end) for each m of `counts` (k,) and each row (n,), shape (n, k)."""
    wanted, where = np.unique(np.asarray(counts, dtype=np.int64), return_inverse=True)
    result = np.zeros((R.size, wanted.size))
    if wanted.size and t > 0:
        integrand, last = DeathIntegrand.of(R, A, s, B), np.log1p(t / np.minimum(A, B))
        scale = np.log(integrand.density_at_0(s))
        for first, end in _blocks(int(wanted[-1])):
            columns = np.flatnonzero((wanted >= first) & (wanted <= end))
            if columns.size:
                result[:, columns] = np.exp(
                    scale[:, None] + _log_of_block(first, end, wanted[columns], integrand, last, R)
                )
    return result[:, where.reshape(-1)]


def _blocks(largest: int) -> list[tuple[int, int]]:
    """First and last of neighbouring counts: no more than double, and four standard deviations apart."""
    blocks: list[tuple[int, int]] = []
    first = 0
    while first <= largest:
        blocks.append((first, first + max(min(first, int(4.0 * first**0.5)) - 1, 0)))
        first = blocks[-1][1] + 1
    return blocks


def _log_of_block(
    first: int, end: int, wanted: NDArray[np.int64], integrand: DeathIntegrand, last: Floats, R: Floats
) -> Floats:
    """log of Gamma(R+m)/(Gamma(R) m!) int_0^last p^m exp(-c u - d q) du for each wanted m, shape (n, k)."""
    low, high, top, nodes = _part_that_counts(first, end, integrand, last)
    # By way of the probability at its own mode, whose logarithm is small, and not of log-gammas, whose are not.
    mode = negative_binomial.log_pmf(first, R, first / R, 1.0)
    binomial = mode + R * np.log1p(first / R) + (first * np.log1p(R / first) if first else 0.0)
    result = np.empty((R.size, wanted.size))
    for number in np.unique(nodes):
        inside = np.flatnonzero(nodes == number)
        rows = max(1, _CHUNK // int(number))
        for start in range(0, inside.size, rows):
            where = inside[start : start + rows]
            part = integrand.rows(where)
            shares = _shares(first, wanted, part, low[where], high[where], top[where], R[where], int(number))
            result[where] = (top[where] + binomial[where])[:, None] + shares
    return result


def _part_that_counts(
    first: int, end: int, integrand: DeathIntegrand, last: Floats
) -> tuple[Floats, Floats, Floats, NDArray[np.intp]]:
    """From where to where the integrals run, the top of the first count's h, and how many nodes they need."""
    peaks = [np.minimum(integrand.peak(m), last) for m in (first, end)]
    tops = [integrand.height(peak, m) for peak, m in zip(peaks, (first, end), strict=True)]
    low = integrand.left_end(peaks[0], tops[0], first) if first else np.zeros_like(last)
    high = integrand.right_end(tops[1], last, end)
    nodes = np.zeros(last.size, dtype=np.intp)
    for top, m in zip(tops, (first, end), strict=True):
        rise, fall = (np.maximum(top - integrand.height(at, m), 0.0) for at in (low, high))
        nodes = np.maximum(nodes, nodes_for(high - low, rise, fall))
    return low, high, tops[0], nodes


def _shares(
    first: int,
    wanted: NDArray[np.int64],
    part: DeathIntegrand,
    low: Floats,
    high: Floats,
    top: Floats,
    R: Floats,
    nodes: int,
) -> Floats:
    """log of (R+first) ... (R+m-1) / ((first+1) ... m) int exp(h - top) du for each wanted m, shape (n, k)."""
    at, weights = gauss_legendre(nodes)
    width = high - low
    u = low[:, None] + width[:, None] * at
    q = np.log1p(part.kappa[:, None] * np.expm1(u))
    p = -np.expm1(-np.where(part.buying_first[:, None], u, q))
    mass = -part.c[:, None] * u - part.d[:, None] * q - top[:, None]
    if first:
        mass += first * np.log(p)
    np.exp(mass, out=mass)
    mass *= weights
    largest = p[:, -1].copy()
    p /= largest[:, None]
    result, factor = np.empty((R.size, wanted.size)), np.log(width)
    column = 0
    for m in range(first, int(wanted[-1]) + 1):
        if m == wanted[column]:
            result[:, column] = factor + np.log(mass.sum(axis=1))
            column += 1
        mass *= p
        factor = factor + np.log(largest * ((R + m) / (m + 1.0)))
    return result
