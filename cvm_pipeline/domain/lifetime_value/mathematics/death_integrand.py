"""The integrand over the time of death that every quantity of the Pareto/NBD model with an integral shares.

Belongs here: its logarithm, its peak, the part of it that counts, the nodes that this part needs. Not here: what it means.

From some moment on, purchases come at a rate that is gamma(R, A) and death at one that is gamma(s, B). Of dying at tau after
just m purchases the density is, up to factors without tau,

    (tau/(A+tau))^m (A/(A+tau))^R (B/(B+tau))^(s+1) dtau.

With C = min(A, B), D = max(A, B), u = log(1 + tau/C), q = log(1 + tau/D) and p = tau/(A+tau), which is 1 - e^-u where A
is the smaller and else 1 - e^-q, this is p^m exp(-c u - d q) du: log-concave (q is convex in u, log p concave), and
analytic for |Im u| < pi. So it has one peak, at the root of a quadratic equation; the part that counts is found safely;
and Gauss-Legendre's rule converges geometrically there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# What lies this far below the peak, in nats, changes no digit.
NEGLIGIBLE = 38.0
# Few steps: each is a loop of its own over the rows that need it.
_NODES = np.array([8, 12, 16, 24, 32, 40, 48, 60, 80, 128])


@dataclass(frozen=True, eq=False)
class DeathIntegrand:
    """h(u) = m log p - c u - d q of each row, q = log(1 + kappa (e^u - 1)), kappa = C/D; arrays (n,).

    `buying_first`: A is the smaller, so that p = 1 - e^-u.
    """

    c: Floats
    d: Floats
    kappa: Floats
    buying_first: NDArray[np.bool_]

    @classmethod
    def of(cls, R: Floats, A: Floats, s: Floats, B: Floats) -> DeathIntegrand:
        """Of rates gamma(R, A) and gamma(s, B); arrays of one length."""
        first = A <= B
        kappa = np.where(first, A, B) / np.where(first, B, A)
        return cls(np.where(first, R - 1.0, s), np.where(first, s + 1.0, R), kappa, first)

    def rows(self, where: NDArray[np.intp]) -> DeathIntegrand:
        return DeathIntegrand(self.c[where], self.d[where], self.kappa[where], self.buying_first[where])

    def density_at_0(self, s: Floats) -> Floats:
        """What p^m exp(-c u - d q) du is to be multiplied by, for the density of the time of death to be s/B at tau = 0."""
        return s * np.where(self.buying_first, self.kappa, 1.0)

    def height(self, u: Floats, m: float = 0.0) -> Floats:
        z = self.kappa * np.expm1(u)
        return self._height(u, z, m)

    def _height(self, u: Floats, z: Floats, m: float) -> Floats:
        q = np.log1p(z)
        h = -self.c * u - self.d * q
        return h + m * np.log(-np.expm1(-np.where(self.buying_first, u, q))) if m else h

    def _slope(self, u: Floats, z: Floats, m: float) -> Floats:
        bend = (self.kappa + z) / (1.0 + z)
        slope = -self.c - self.d * bend
        return slope + m * np.where(self.buying_first, 1.0 / np.expm1(u), bend / z) if m else slope

    def peak(self, m: float = 0.0) -> Floats:
        """Where h is largest: h' = 0 is a y^2 - b y - m = 0 in y = e^u - 1, and y >= 0."""
        a = self.kappa * (self.c + self.d)
        b = m * np.where(self.buying_first, self.kappa, 1.0) - self.c - self.d * self.kappa
        root = np.sqrt(b * b + 4.0 * a * m)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log1p(np.where(b > 0, (b + root) / (2.0 * a), 2.0 * m / (root - b)))

    def right_end(self, top: Floats, most: Floats, m: float = 0.0) -> Floats:
        """The u right of the peak where h has fallen by NEGLIGIBLE below `top`, or little beyond; at most `most`."""
        # log p <= 0, q >= kappa u and q >= u + log kappa: two points beyond it.
        fall = NEGLIGIBLE - top
        slope = self.c + self.d * self.kappa
        u = np.minimum(most, (fall - self.d * np.log(self.kappa)) / (self.c + self.d))
        u = np.where(slope > 0, np.minimum(u, fall / np.where(slope > 0, slope, 1.0)), u)
        return self._up_to(-fall, u, m, 6 if m else 4)

    def left_end(self, peak: Floats, top: Floats, m: float) -> Floats:
        """The same left of the peak, for m > 0."""
        # h <= m log p + (the most that -c u can be up to the peak): a point beyond it.
        p = np.exp(np.maximum((top - NEGLIGIBLE + np.minimum(self.c, 0.0) * peak) / m, -600.0))
        u = np.where(self.buying_first, -np.log1p(-p), np.log1p(p / ((1.0 - p) * self.kappa)))
        return self._up_to(top - NEGLIGIBLE, u, m, 4)

    def _up_to(self, level: Floats, u: Floats, m: float, steps: int) -> Floats:
        """From where h is below `level` towards where it reaches it: h is concave, so Newton never passes that point."""
        for _ in range(steps):
            z = self.kappa * np.expm1(u)
            lacking = self._height(u, z, m) - level
            below = lacking < 0
            u = u - np.where(below, lacking, 0.0) / np.where(below, self._slope(u, z, m), 1.0)
        return u


def nodes_for(width: Floats, rise: Floats, fall: Floats) -> NDArray[np.intp]:
    """How many nodes a part of this width in u needs for 1e-13, where h rises to its peak and falls by so many nats."""
    # Found by trial against 200 nodes: a wide part brings the singularities nearer; a steep one is like a normal density,
    # whose nodes lie no more than 3/4 of a standard deviation apart.
    # (wide^1.5 + steep^1.5)^(2/3), without powers, which cost as much as a node does.
    wide, steep = 2.0 + 5.0 * np.sqrt(width * np.sqrt(width)), 2.5 + 3.0 * (np.sqrt(rise) + np.sqrt(fall))
    needed = wide * np.sqrt(wide) + steep * np.sqrt(steep)
    return _NODES[np.searchsorted(_NODES**1.5, needed).clip(max=_NODES.size - 1)]
