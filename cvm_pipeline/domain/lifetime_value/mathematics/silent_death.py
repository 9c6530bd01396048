"""Death somewhere in a customer's silence, against being alive: the integral of the Pareto/NBD model.

Belongs here: one integral and the moments that its derivatives need, to some 1e-13 relative. Not here: likelihood, fit.

A customer last seen at t_x, whose rate of buying is gamma(R, alpha + t_x) and rate of dying gamma(s, beta + t_x), is dead at T
rather than alive with the odds of Schmittlein, Morrison & Colombo (1987), eq. 11-13, before the integral is written as a
difference of hypergeometric functions, which cancel and overflow:

    J = int_{t_x}^T s ((alpha+T)/(alpha+tau))^R ((beta+T)/(beta+tau))^s / (beta+tau) dtau.

From t_x on this is the integral over the time of death of death_integrand.py with A = alpha + t_x, B = beta + t_x, and no
purchase: only positive terms, one peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvm_pipeline.domain.lifetime_value.mathematics.death_integrand import NEGLIGIBLE, DeathIntegrand, nodes_for
from cvm_pipeline.domain.lifetime_value.mathematics.gauss_legendre import gauss_legendre
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Rows at once: some twenty columns stay in the second-level cache.
_CHUNK = 4_096
# The features of (alpha, beta), and pairs of them, where (beta, alpha) is what the integrand has.
PAIRS = [(i, j) for i in range(4) for j in range(i, 4)]
_SWAPPED = [2, 3, 0, 1]
_SWAPPED_PAIRS = [PAIRS.index((min(_SWAPPED[i], _SWAPPED[j]), max(_SWAPPED[i], _SWAPPED[j]))) for i, j in PAIRS]


@dataclass(frozen=True, eq=False)
class SilentDeath:
    """log J (n,), and moments of the time of death tau given that it fell in (t_x, T].

    The four features, in this order: log((alpha+tau)/(alpha+t_x)), (tau-t_x)/(alpha+tau), and the same two of beta.
    `mean` (4, n); `product` (10, n), E[feature_i feature_j] for each (i, j) of PAIRS; empty where they weren't asked for.
    """

    log_odds: Floats
    mean: Floats
    product: Floats


def silent_death(
    R: ArrayLike, alpha: ArrayLike, s: ArrayLike, beta: ArrayLike, t_x: Floats, T: Floats, moments: int = 0
) -> SilentDeath:
    """The odds of death for each row (n,), with no moments of its time, the first, or the first two; -inf at t_x = T."""
    R, alpha, s, beta = (np.broadcast_to(np.asarray(v, dtype=np.float64), T.shape) for v in (R, alpha, s, beta))
    silence, by_alpha, by_beta = T - t_x, alpha + t_x, beta + t_x
    log_alpha, log_beta = np.log1p(silence / by_alpha), np.log1p(silence / by_beta)
    integrand = DeathIntegrand.of(R, by_alpha, s, by_beta)
    first = integrand.buying_first
    u_T, q_T = np.where(first, log_alpha, log_beta), np.where(first, log_beta, log_alpha)
    reach, rise, fall = _part_that_counts(integrand, u_T, q_T)
    sums = _integrals(integrand, reach, nodes_for(reach, rise, fall), moments)
    with np.errstate(divide="ignore"):
        log_odds = R * log_alpha + s * log_beta + np.log(integrand.density_at_0(s)) + np.log(reach * sums[0])
    if moments > 0:
        sums[1:] /= sums[0]
    return SilentDeath(log_odds, _in_order(first, sums[1:5], _SWAPPED), _in_order(first, sums[5:], _SWAPPED_PAIRS))


def _in_order(first: NDArray[np.bool_], features: Floats, swapped: list[int]) -> Floats:
    """From (smaller, larger) to (alpha, beta)."""
    return features if first.all() or not features.size else np.where(first, features, features[swapped])


def _part_that_counts(integrand: DeathIntegrand, u_T: Floats, q_T: Floats) -> tuple[Floats, Floats, Floats]:
    """Up to which u the integral runs, how much h rises and how much it falls until there, given u and q at T."""
    reach, top = u_T.copy(), np.zeros_like(u_T)
    rising = np.flatnonzero(integrand.c < 0)
    if rising.size:
        part = integrand.rows(rising)
        top[rising] = part.height(np.minimum(part.peak(), u_T[rising]))
    fall = np.maximum(top + integrand.c * u_T + integrand.d * q_T, 0.0)
    far = np.flatnonzero(fall > NEGLIGIBLE)
    if far.size:
        reach[far], fall[far] = integrand.rows(far).right_end(top[far], u_T[far]), NEGLIGIBLE
    return reach, top, fall


def _integrals(integrand: DeathIntegrand, reach: Floats, nodes: NDArray[np.intp], moments: int) -> Floats:
    """Integrals over u of exp(h) times 1, features and their products, divided by `reach`; shape (1 | 5 | 15, n)."""
    result = np.empty(((1, 5, 15)[moments], reach.size))
    for number in np.unique(nodes):
        inside = np.flatnonzero(nodes == number)
        for start in range(0, inside.size, _CHUNK):
            where = inside[start : start + _CHUNK]
            result[:, where] = _rule(integrand.rows(where), reach[where], int(number), moments)
    return result


def _rule(integrand: DeathIntegrand, reach: Floats, nodes: int, moments: int) -> Floats:
    # Node by node: every number is a row's own, however many rows there are.
    total = np.zeros(((1, 5, 15)[moments], reach.size))
    z, q, spare = np.empty((3, reach.size))
    weighted = np.empty((4, reach.size))
    for node, weight in zip(*gauss_legendre(nodes), strict=True):
        u = node * reach
        e = np.expm1(u)
        np.multiply(integrand.kappa, e, out=z)
        np.log1p(z, out=q)
        mass = -integrand.c * u
        mass -= np.multiply(integrand.d, q, out=spare)
        np.exp(mass, out=mass)
        mass *= weight
        total[0] += mass
        if moments == 0:
            continue
        e /= 1.0 + e
        z /= 1.0 + z
        features = (u, e, q, z)
        for i, feature in enumerate(features):
            total[1 + i] += np.multiply(mass, feature, out=weighted[i])
        if moments == 1:
            continue
        for k, (i, j) in enumerate(PAIRS):
            total[5 + k] += np.multiply(weighted[i], features[j], out=spare)
    return total
