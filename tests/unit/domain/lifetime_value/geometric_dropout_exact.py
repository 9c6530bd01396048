"""BG/NBD and MBG/NBD to many digits, each quantity by two routes that must agree to 30; the inputs are the doubles themselves.

One route is the models' closed forms, in gamma and hypergeometric functions; the other has none of these: finite
products, and sums over the would-be transactions.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np

from cvm_pipeline.domain.lifetime_value import bg_nbd, mbg_nbd

DIGITS = 150
FLOOR = mpmath.mpf(10) ** -290
MODELS = (bg_nbd.MODEL, mbg_nbd.MODEL)
NEAR_ONE = (1.0, 1.0 + 1e-15, 1.0 - 1e-15, 1.0 + 1e-9, 1.0 - 1e-9, 1.0 + 1e-4, 1.0 - 1e-4)
CENTURY = 36_525.0


@dataclass(frozen=True)
class Case:
    """Parameters, one history, one horizon: everything as the doubles that the models get."""

    first_toss: int
    r: float
    alpha: float
    a: float
    b: float
    x: float
    t_x: float
    T: float
    horizon: float

    @property
    def model(self):
        return MODELS[self.first_toss]

    @property
    def parameters(self) -> dict[str, float]:
        return {"r": self.r, "alpha": self.alpha, "a": self.a, "b": self.b}

    @property
    def history(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.array([self.x]), np.array([self.t_x]), np.array([self.T])

    @property
    def tosses(self) -> int:
        return int(self.x) + self.first_toss

    def exact(self) -> tuple[mpmath.mpf, ...]:
        """r, alpha, a, b, and the posterior R, A, B."""
        r, alpha, a, b = map(mpmath.mpf, (self.r, self.alpha, self.a, self.b))
        return r, alpha, a, b, r + int(self.x), alpha + mpmath.mpf(self.T), b + self.tosses


def draw(rng: np.random.Generator, most_x: int = 10_000) -> Case:
    """From the extremes of issue 3: parameters 1e-3..1e3, a next to 1 half of the time, an hour to a century."""
    r, alpha, a, b = 10.0 ** rng.uniform(-3, 3, 4)
    for shape in ("a", "r", "b"):
        if rng.random() < (0.5 if shape == "a" else 0.1):
            near = float(rng.choice(NEAR_ONE))
            r, a, b = (near if shape == name else v for name, v in (("r", r), ("a", a), ("b", b)))
    T = float(rng.choice([1.0, 30.0, 365.25, 3650.0, 10_957.0]))
    x = float(rng.choice([n for n in (0, 0, 1, 2, 7, 60, 300, 1_000, 10_000) if n <= most_x]))
    t_x = 0.0 if x == 0 else T * float(rng.choice([1.0, rng.uniform(0.01, 1), 1e-3]))
    if x == 0 and rng.random() < 0.3:
        T = 0.0
    horizon = float(rng.choice([1 / 24, 1.0, 30.4375, 365.25, 3652.5, CENTURY]))
    return Case(int(rng.integers(0, 2)), r, alpha, a, b, x, t_x, T, horizon)


def agreed(one: mpmath.mpf, other: mpmath.mpf) -> mpmath.mpf:
    with mpmath.workdps(DIGITS):
        assert abs(one - other) <= abs(one) * mpmath.mpf(10) ** -30, (one, other)
    return one


def likelihood_parts(case: Case) -> tuple[mpmath.mpf, mpmath.mpf]:
    """The two terms of L, alive and dead; by gamma functions and by finite products."""
    with mpmath.workdps(DIGITS):
        r, alpha, a, b, R, A, _ = case.exact()
        x, s, until = int(case.x), case.tosses, alpha + mpmath.mpf(case.t_x)
        bought = mpmath.exp(mpmath.loggamma(R) - mpmath.loggamma(r)) * alpha**r
        alive = bought * mpmath.beta(a, b + s) / mpmath.beta(a, b) * A**-R
        dead = bought * mpmath.beta(a + 1, b + s - 1) / mpmath.beta(a, b) * until**-R if s else mpmath.mpf(0)
        product = mpmath.mpf(1)
        for i in range(x):
            product *= (r + i) / A
        for i in range(s):
            product *= (b + i) / (a + b + i)
        product *= (alpha / A) ** r
        agreed(alive, product)
        if s:
            agreed(dead, product * a / (b + s - 1) * (A / until) ** R)
        return alive, dead


def expectation(case: Case) -> mpmath.mpf:
    """E[X | alive at T] by the papers' hypergeometric form."""
    with mpmath.workdps(DIGITS):
        _, _, a, _, R, A, B = case.exact()
        if a == 1:
            # The singularity at a = 1 is removable: this far from it the value agrees to some 60 digits.
            a += mpmath.mpf(10) ** -65
        z = mpmath.mpf(case.horizon) / (A + mpmath.mpf(case.horizon))
        f = mpmath.hyp2f1(R, B, a + B - 1, z, maxterms=10**7, maxprec=10**6)
        return (a + B - 1) / (a - 1) * (1 - (1 - z) ** R * f)


def expectation_by_sum(case: Case) -> mpmath.mpf:
    """The same as a sum over i of P(N > i) E[survives i tosses]: all terms positive."""
    with mpmath.workdps(DIGITS):
        _, _, a, _, R, A, B = case.exact()
        t = mpmath.mpf(case.horizon)
        z = t / (A + t)
        chance, survives = (1 - z) ** R, mpmath.mpf(1)
        more, total, j = 1 - chance, mpmath.mpf(0), 0
        while True:
            term = survives * more
            total += term
            j += 1
            if term < total * mpmath.mpf(10) ** -45 and j > R * t / A:
                return total
            survives *= (B + j - 1) / (a + B + j - 1)
            chance *= z * (R + j - 1) / j
            more -= chance


def pmf(case: Case, m: int) -> mpmath.mpf:
    """P(X = m | alive at T): the tail of N by 2F1, and by what is left of 1."""
    with mpmath.workdps(DIGITS):
        _, _, a, _, R, A, B = case.exact()
        t = mpmath.mpf(case.horizon)
        z = t / (A + t)
        exactly = mpmath.exp(mpmath.loggamma(R + m) - mpmath.loggamma(R) - mpmath.loggamma(m + 1)) * (1 - z) ** R * z**m
        if m == 0:
            return exactly
        left, term = mpmath.mpf(1), (1 - z) ** R
        for n in range(m):
            left -= term
            term *= z * (R + n) / (n + 1)
        agreed(exactly, term)
        at_least = exactly * mpmath.hyp2f1(1, R + m, m + 1, z, maxterms=10**7, maxprec=10**6)
        if left > mpmath.mpf(10) ** (30 - DIGITS):
            agreed(at_least, left)
        survived = mpmath.beta(a, B + m) / mpmath.beta(a, B)
        dropped = mpmath.beta(a + 1, B + m - 1) / mpmath.beta(a, B)
        return exactly * survived + at_least * dropped


def residual(case: Case, rate: float) -> mpmath.mpf:
    """DERT | alive at T: R int_0^inf e^(-c y) 2F1(R+1, a; a+B; -y) dy with c = delta A, which is Meijer's G^(3,1)_(2,3)(c)."""
    with mpmath.workdps(DIGITS):
        _, _, a, _, R, A, B = case.exact()
        c = mpmath.mpf(rate) * A
        g = mpmath.meijerg([[1], [a + B]], [[1, R + 1, a], []], c, maxprec=10**6, maxterms=10**7)
        return R / c * mpmath.gamma(a + B) / (mpmath.gamma(R + 1) * mpmath.gamma(a)) * g


def residual_by_quadrature(case: Case, rate: float) -> mpmath.mpf:
    """The same as R E_p[S(R+1, c/p) / p], S(n, x) = e^x E_n(x): the trapezoidal rule in u = logit p."""
    with mpmath.workdps(50):
        _, _, a, _, R, A, B = case.exact()
        c = mpmath.mpf(rate) * A
        step = 1 / (8 + 3 * mpmath.sqrt(a * B / (a + B)))
        # Beyond these the integrand is a power of p, or of 1-p, to 40 digits: a geometric series.
        low = -mpmath.ceil((mpmath.log((R + 1) / c + a + B + 1) + 95) / step)
        high = mpmath.ceil((mpmath.log(a + B + 1) + 95) / step)
        total, k, norm = mpmath.mpf(0), low, mpmath.log(mpmath.beta(a, B))
        while k <= high:
            u = k * step
            log_weight = -a * mpmath.log1p(mpmath.exp(-u)) - B * mpmath.log1p(mpmath.exp(u)) - norm
            if log_weight + max(0, -u) > -130:
                p = 1 / (1 + mpmath.exp(-u))
                value = mpmath.exp(log_weight) * R * scaled(R + 1, c / p) / p
                if k == low:
                    value /= 1 - mpmath.exp(-a * step)
                if k == high:
                    value /= 1 - mpmath.exp(-B * step)
                total += value
            k += 1
        return total * step


def scaled(order: mpmath.mpf, x: mpmath.mpf) -> mpmath.mpf:
    """e^x E_order(x): DLMF 8.9.2's continued fraction, contracted, where x is large; else by mpmath."""
    if x > 40:
        fraction = mpmath.mpf(0)
        for k in range(200 if x < 1000 else 30, 0, -1):
            fraction = k * (order + k - 1) / (x + order + 2 * k - fraction)
        return 1 / (x + order - fraction)
    with mpmath.workdps(80):
        return mpmath.exp(x) * mpmath.expint(order, x)
