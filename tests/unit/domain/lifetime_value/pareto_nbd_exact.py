"""The Pareto/NBD quantities to many digits, each integral by two routes; the inputs are the doubles themselves.

By quadrature: panel by panel in u = log(1 + tau / min(A, B)) over the part that counts. By hypergeometric functions: as in
Fader & Hardie (2005), whose differences cancel, hence the digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import mpmath

DIGITS = 160
# What an integrand has lost where it is cut, in nats: 100 leave 43 digits.
_CUT = 100
Mp = mpmath.mpf


@dataclass(frozen=True)
class DeathIntegral:
    """int_0^t (tau/(A+tau))^m (A/(A+tau))^R (B/(B+tau))^(s+1) dtau."""

    m: float
    R: mpmath.mpf
    A: mpmath.mpf
    s: mpmath.mpf
    B: mpmath.mpf
    t: mpmath.mpf

    def by_quadrature(self) -> mpmath.mpf:
        with mpmath.workdps(60):
            scale = min(self.A, self.B)
            most = mpmath.log1p(self.t / scale)
            low, high = Mp(0), most
            if self._slope(scale * mpmath.expm1(most)) < 0:
                for _ in range(80):
                    middle = (low + high) / 2
                    low, high = (middle, high) if self._slope(scale * mpmath.expm1(middle)) > 0 else (low, middle)
            else:
                low = most
            peak = low
            top = self._log(peak) if peak > 0 else Mp(0)
            start, end = self._end(peak, Mp(10) ** -70, top), self._end(peak, most, top)
            panels = mpmath.linspace(start, end, 12 + int(2 * (end - start)))
            with mpmath.workdps(45):
                value = mpmath.quad(lambda u: mpmath.exp(self._log(u) - top), panels)
            return scale * value * mpmath.exp(top)

    def _log(self, u: mpmath.mpf) -> mpmath.mpf:
        tau = min(self.A, self.B) * mpmath.expm1(u)
        h = u - self.R * mpmath.log1p(tau / self.A) - (self.s + 1) * mpmath.log1p(tau / self.B)
        return h + self.m * mpmath.log(tau / (self.A + tau)) if self.m else h

    def _slope(self, tau: mpmath.mpf) -> mpmath.mpf:
        bought = self.m * self.A / tau if self.m else 0
        return 1 / (min(self.A, self.B) + tau) + (bought - self.R) / (self.A + tau) - (self.s + 1) / (self.B + tau)

    def _end(self, peak: mpmath.mpf, outside: mpmath.mpf, top: mpmath.mpf) -> mpmath.mpf:
        inside = peak
        if self._log(outside) > top - _CUT:
            return outside
        for _ in range(30):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self._log(middle) > top - _CUT else (inside, middle)
        return outside

    def by_hypergeometric(self) -> mpmath.mpf:
        with mpmath.workdps(DIGITS + int(4 * self.m)):
            # tau^m = ((A+tau) - A)^m leaves integrals without m.
            total = Mp(0)
            for k in range(int(self.m) + 1):
                power = self.R + self.m - k
                tails = [_tail(power, self.A + tau, self.s, self.B + tau) for tau in (Mp(0), self.t)]
                total += mpmath.binomial(self.m, k) * (-self.A) ** (self.m - k) * (tails[0] - tails[1])
            return total * self.A**self.R * self.B ** (self.s + 1)


def _tail(R: mpmath.mpf, A: mpmath.mpf, s: mpmath.mpf, B: mpmath.mpf) -> mpmath.mpf:
    """int_0^inf (A+tau)^-R (B+tau)^-(s+1) dtau = M^-(R+s) / (R+s) 2F1(R+s, b; R+s+1; z), M the larger of A and B."""
    larger, b, z = (A, s + 1, 1 - B / A) if A >= B else (B, R, 1 - A / B)
    a = R + s
    if z < 0.99:
        # By Euler's transformation: a series of positive terms. hyp2f1 takes minutes of it where s is nearly whole.
        other, total, term, k = a + 1 - b, mpmath.mpf(0), mpmath.mpf(1), 0
        while term > total * mpmath.eps:
            total += term
            term *= (other + k) / (a + 1 + k) * z
            k += 1
        value = (1 - z) ** (1 - b) * total
    else:
        value = mpmath.hyp2f1(a, b, a + 1, z, maxterms=10**7, maxprec=10**6)
    return larger**-a / a * value


@dataclass(frozen=True)
class Customer:
    """Parameters and a history, as exact numbers."""

    r: mpmath.mpf
    alpha: mpmath.mpf
    s: mpmath.mpf
    beta: mpmath.mpf
    x: mpmath.mpf
    t_x: mpmath.mpf
    T: mpmath.mpf

    @classmethod
    def of(cls, *doubles: float) -> Customer:
        return cls(*(Mp(float(value)) for value in doubles))

    @property
    def shape(self) -> mpmath.mpf:
        return self.r + self.x

    @cache  # noqa: B019
    def odds_of_death(self, hypergeometric: bool = False) -> mpmath.mpf:
        """J: dead against alive."""
        with mpmath.workdps(DIGITS):
            if self.t_x == self.T:
                return Mp(0)
            A, B = self.alpha + self.t_x, self.beta + self.t_x
            integral = DeathIntegral(0, self.shape, A, self.s, B, self.T - self.t_x)
            value = integral.by_hypergeometric() if hypergeometric else integral.by_quadrature()
            return self.s / B * ((self.alpha + self.T) / A) ** self.shape * ((self.beta + self.T) / B) ** self.s * value

    def log_likelihood(self, hypergeometric: bool = False) -> mpmath.mpf:
        with mpmath.workdps(DIGITS):
            alive = (
                mpmath.loggamma(self.shape) - mpmath.loggamma(self.r)
                + self.r * mpmath.log(self.alpha) - self.shape * mpmath.log(self.alpha + self.T)
                + self.s * mpmath.log(self.beta / (self.beta + self.T))
            )  # fmt: skip
            return alive + mpmath.log1p(self.odds_of_death(hypergeometric))

    def log_p_alive(self, hypergeometric: bool = False) -> mpmath.mpf:
        with mpmath.workdps(DIGITS):
            return -mpmath.log1p(self.odds_of_death(hypergeometric))

    def expected_while_alive(self, t: float) -> mpmath.mpf:
        with mpmath.workdps(DIGITS):
            A, B, t_, less = self.alpha + self.T, self.beta + self.T, Mp(float(t)), self.s - 1
            lived = mpmath.log1p(t_ / B) if less == 0 else (1 - (B / (B + t_)) ** less) / less
            return self.shape / A * B * lived

    def pmf_while_alive(self, m: int, t: float, hypergeometric: bool = False) -> mpmath.mpf:
        with mpmath.workdps(DIGITS):
            A, B, R, t_ = self.alpha + self.T, self.beta + self.T, self.shape, Mp(float(t))
            integral = DeathIntegral(m, R, A, self.s, B, t_)
            dead = self.s / B * (integral.by_hypergeometric() if hypergeometric else integral.by_quadrature())
            lives = (t_ / (A + t_)) ** m * (A / (A + t_)) ** R * (B / (B + t_)) ** self.s
            return mpmath.binomial(R + m - 1, m) * (dead + lives)

    def residual_while_alive(self, rate: float) -> mpmath.mpf:
        """R/A B U(1, 2-s, rate B) (DLMF 13.4.4)."""
        with mpmath.workdps(DIGITS):
            B = self.beta + self.T
            return self.shape / (self.alpha + self.T) * B * mpmath.hyperu(1, 2 - self.s, Mp(float(rate)) * B)
