"""The family of BG/NBD and MBG/NBD: buying at a gamma rate, with a chance to drop out at the toss of a beta coin.

Belongs here: what the two share once the number of tosses that a customer is known to have survived, s, is given. The
members say s(x) and their paper: BG/NBD tosses after each repeat transaction (s = x), MBG/NBD after the first one too
(s = x + 1).
Not here: sums over a base (geometric_dropout_likelihood.py), the integrals behind expectations (mathematics/alive_expectation.py), the
search (estimation/maximum_likelihood.py).

A customer alive at T survived all s tosses; one who is dead dropped out at the last of them, at t_x, which needs s > 0:

    L = Gamma(r+x)/Gamma(r) alpha^r [ B(a, b+s)/B(a, b) (alpha+T)^-(r+x)
                                      + 1{s>0} B(a+1, b+s-1)/B(a, b) (alpha+t_x)^-(r+x) ]

Who is alive at T has rate ~ gamma(R, A) and dropout probability p ~ beta(a, B), R = r+x, A = alpha+T, B = b+s. Of its N
would-be transactions in a time t, negative binomial with shape R and success t / (A+t), those up to the dropout happen:

    P(X = m) = P(N = m) E[(1-p)^m] + 1{m>0} P(N >= m) E[p (1-p)^(m-1)]
    E[X]     = E[(1 - (1 + p t/A)^-R) / p]
    DERT     = E[(R/A) int_0^inf e^(-delta t) (1 + p t/A)^-(R+1) dt] = R E[S(R+1, delta A/p) / p]

the last two in mathematics/alive_expectation.py, with S its scaled exponential integral.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.geometric_dropout_likelihood import BaseLikelihood
from cvm_pipeline.domain.lifetime_value.mathematics import negative_binomial
from cvm_pipeline.domain.lifetime_value.mathematics.alive_expectation import Posterior
from cvm_pipeline.domain.lifetime_value.mathematics.distinct import Counts, distinct_counts
from cvm_pipeline.domain.lifetime_value.mathematics.gamma_functions import log_beta_ratio
from cvm_pipeline.domain.lifetime_value.mathematics.pieces import pieces
from cvm_pipeline.domain.lifetime_value.mathematics.rising_factorial import log_rising_factorial, psi_rise
from cvm_pipeline.domain.lifetime_value.protocol import (
    Fit,
    Floats,
    Parameters,
    PurchaseHistories,
    TransactionModel,
    dot,
)

NAMES = ("r", "alpha", "a", "b")
# With T scaled to a mean of 1. The first is the neighbourhood of most retail bases; the others: heavy dropout, hardly
# any dropout with steady rates, and wide differences between customers.
_STARTS = ((0.5, 0.25, 1.0, 2.0), (1.0, 0.2, 2.0, 1.0), (3.0, 1.0, 0.3, 5.0), (0.1, 0.05, 0.5, 1.5))
_LOW, _HIGH = np.array([1e-4, 1e-7, 1e-4, 1e-4]), np.array([1e4, 1e7, 1e5, 1e5])
_EXPLORED = 20_000
# A mean dropout below one in a million transactions is none.
_NO_DROPOUT = 1e-6
# Probabilities held at once.
_CHUNK = 200_000


@dataclass(frozen=True)
class GeometricDropout(TransactionModel):
    """One member of the family. Parameters by the papers' letters: r, alpha, a, b."""

    name: str
    first_toss: int
    knows_p_alive: bool
    parameter_names: tuple[str, ...] = NAMES
    time_powers: Mapping[str, int] = field(default_factory=lambda: {"alpha": 1})

    def fit(self, histories: PurchaseHistories) -> Fit:
        """Maximum likelihood; alpha and the log-likelihood are in the histories' own unit."""
        grouped = histories.grouped()
        customers = grouped.customers
        mean_T = dot(grouped.T, grouped.count) / customers if customers else 0.0
        if mean_T <= 0:
            return Fit.impossible(customers, "nobody was observed for any time", grouped.time_unit_days)
        if grouped.frequency[-1] == 0:
            return Fit.impossible(customers, "nobody bought again", grouped.time_unit_days)
        likelihood = BaseLikelihood(grouped, self.first_toss)
        explore = None
        if grouped.T.size > _EXPLORED:
            explore = BaseLikelihood(grouped.thinned(_EXPLORED), self.first_toss)
        unit = np.array([1.0, mean_T, 1.0, 1.0])
        starts = [np.array(start) * unit for start in _STARTS]
        found = maximise(NAMES, likelihood, customers, starts, _LOW * unit, _HIGH * unit, explore)
        fit = found.as_fit(NAMES, customers, grouped.time_unit_days)
        share = fit.parameters["a"] / (fit.parameters["a"] + fit.parameters["b"])
        if share >= _NO_DROPOUT:
            return fit
        why = f"no dropout is seen (mean {share:.0e} a transaction): everybody counts as alive"
        return replace(fit, note=f"{why}; {fit.note}" if fit.note else why)

    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """log L of each row, shape (n,); a parameter may be an array (n,)."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        bought = _by_count(lambda k: log_rising_factorial(r, k), x, r)
        tossed = _by_count(lambda k: log_beta_ratio(a, b, k + self.first_toss), x, a, b)
        alive = -r * np.log1p(T / alpha) - x * np.log(alpha + T)
        dead = -r * np.log1p(t_x / alpha) - x * np.log(alpha + t_x) + self._log_last_toss(a, b, x)
        result = bought + tossed + np.logaddexp(alive, dead)
        if not self.first_toss:
            return result
        # One-time buyers: 1 less the chance to have stayed and bought again, which may be next to nothing.
        again = b / (a + b) * -np.expm1(-r * np.log1p(T / alpha))
        return np.where((x == 0) & (again < 0.5), np.log1p(-np.minimum(again, 0.5)), result)

    def gradient_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """d log L / d (r, alpha, a, b) of each row, shape (n, 4); a parameter may be an array (n,)."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        odds = self._log_odds_dead(parameters, x, t_x, T)
        alive, dead = expit(-odds), expit(odds)
        shorter = _by_count(lambda k: psi_rise(a + b, k + self.first_toss), x, a, b)
        survived = _by_count(lambda k: psi_rise(b, k + self.first_toss), x, b)
        by_r = _by_count(lambda k: psi_rise(r, k), x, r)
        by_r = by_r - alive * np.log1p(T / alpha) - dead * np.log1p(t_x / alpha)
        by_alpha = alive * (r * T / alpha - x) / (alpha + T) + dead * (r * t_x / alpha - x) / (alpha + t_x)
        before_last = np.where(self._tosses(x) > 0, b + (self._tosses(x) - 1.0), 1.0)
        return np.column_stack([by_r, by_alpha, dead / a - shorter, survived - shorter - dead / before_last])

    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """log P(alive at T | x, t_x, T), shape (n,): the first term of L over both; exactly 0 where no coin was tossed."""
        odds = self._log_odds_dead(parameters, x, t_x, T)
        return 0.0 - (np.maximum(odds, 0.0) + np.log1p(np.exp(-np.abs(odds))))

    def p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T), shape (n,)."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        if any(np.ndim(value) for value in (r, alpha, a, b)):
            return np.exp(self.log_p_alive(parameters, x, t_x, T))
        # As log_p_alive, in pieces that fit the cache and by the faster logarithm: at R = 10^4 it costs 2e-12.
        result = np.empty(x.shape)
        counts = Counts.covering(x)
        last_toss = self._log_last_toss(a, b, counts.values)
        for rows in pieces(x.size):
            odds = alpha + T[rows]
            odds /= alpha + t_x[rows]
            np.log(odds, out=odds)
            odds *= r + x[rows]
            odds += last_toss.take(counts.place(x[rows]))
            # Of what is infinite or next to it the exponential takes ten times as long; 1 + e^-700 is 1.
            np.clip(odds, -700.0, 700.0, out=odds)
            np.exp(odds, out=odds)
            odds += 1.0
            np.divide(1.0, odds, out=result[rows])
        return result

    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        """E[transactions in (T, T + h] | alive at T, x, T] for each h of `horizon` (k,), shape (n, k).

        Given the parameters as floats, each further row costs little: distinct (x, T) need not be looked for.
        """
        horizon = np.atleast_1d(np.asarray(horizon, dtype=np.float64))
        A = parameters["alpha"] + T
        posterior, kind = self._posterior(parameters, x)
        return posterior.expected(horizon, A) if kind is None else posterior.expected_by_kind(horizon, A, kind)

    def residual_while_alive(self, parameters: Parameters, rate: float, x: Floats, T: Floats) -> Floats:
        """DERT of who is alive at T, shape (n,). `rate`: continuous, per unit of time. Raises ValueError where rate <= 0."""
        if not rate > 0:
            raise ValueError(f"the discount rate must be above 0 over an infinite horizon, not {rate}")
        A = parameters["alpha"] + T
        posterior, kind = self._posterior(parameters, x)
        return posterior.discounted(rate, A) if kind is None else posterior.discounted_by_kind(rate, A, kind)

    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        """P(exactly m transactions in (T, T + horizon] | alive at T, x, T) for each m of `counts` (m,), shape (n, m)."""
        m = np.atleast_1d(np.asarray(counts, dtype=np.float64))
        posterior, kind = self._posterior(parameters, x)
        kind = np.arange(x.size) if kind is None else kind
        a, B = posterior.a[:, None], posterior.B[:, None]
        before = np.maximum(m - 1.0, 0.0)
        survived = np.exp(log_beta_ratio(a, B, m))
        # E[p (1-p)^(m-1)]: the chance to survive all but the last toss, and to drop out at that.
        dropped = np.where(m > 0, np.exp(log_beta_ratio(a, B, before)) * (a / (a + (B + before))), 0.0)
        R, A = posterior.R[kind, None], (parameters["alpha"] + T)[:, None]
        result = np.empty((x.size, m.size))
        rows_at_once = max(1, _CHUNK // max(m.size, 1))
        for start in range(0, x.size, rows_at_once):
            rows = slice(start, start + rows_at_once)
            exactly, at_least = _with_tails(m, R[rows], horizon, A[rows])
            result[rows] = exactly * survived[kind[rows]] + at_least * dropped[kind[rows]]
        return result

    def simulate(
        self, parameters: Parameters, T: Floats, horizon: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """One customer per T: x and t_x by T, and the transactions of the `horizon` after it; three arrays (n,)."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        T = np.asarray(T, dtype=np.float64)
        rate, p = rng.gamma(r, 1.0 / np.asarray(alpha), T.size), rng.beta(a, b, T.size)
        by_T, later = (rng.poisson(rate * span).astype(np.float64) for span in (T, horizon))
        # Tosses up to the one that ends it are geometric; the float says "never" by infinity.
        with np.errstate(divide="ignore"):
            tosses = 1.0 + np.floor(rng.exponential(size=T.size) / -np.log1p(-p))
        most = tosses - self.first_toss
        x = np.minimum(by_T, most)
        # The x-th of that many transactions, which are uniform over (0, T).
        share = np.where(x > 0, rng.beta(np.maximum(x, 1.0), np.maximum(by_T - x, 0.0) + 1.0), 0.0)
        return x, share * T, np.where(most > by_T, np.minimum(later, most - by_T), 0.0)

    def _tosses(self, x: Floats) -> Floats:
        return x + self.first_toss

    def _posterior(self, parameters: Parameters, x: Floats) -> tuple[Posterior, NDArray[np.intp] | None]:
        """Of each number of transactions, and which one a row has; of each row, and None, where parameters differ by row."""
        r, _, a, b = values = [parameters[name] for name in NAMES]
        if any(np.ndim(value) for value in values):
            counts, kind = x, None
        else:
            counts, kind = distinct_counts(x)
        columns = (r + counts, a, b + self._tosses(counts))
        return Posterior(*(np.broadcast_to(np.asarray(c, dtype=np.float64), counts.shape) for c in columns)), kind

    def _log_last_toss(self, a: float, b: float, x: Floats) -> Floats:
        """log [B(a+1, b+s-1) / B(a, b+s)] = log a - log(b+s-1), -inf where s = 0."""
        s = self._tosses(x)
        return np.where(s > 0, np.log(a) - np.log(np.where(s > 0, b + (s - 1.0), 1.0)), -np.inf)

    def _log_odds_dead(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """log of the second term of L over the first, -inf where s = 0."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        return self._log_last_toss(a, b, x) + (r + x) * np.log1p((T - t_x) / (alpha + t_x))


def _with_tails(m: Floats, R: Floats, t: float, A: Floats) -> tuple[Floats, Floats]:
    """P(N = m) and P(N >= m) of the would-be transactions N, R and A (n, 1), shape (n, m)."""
    exactly = negative_binomial.pmf(m, R, t, A)
    if not (np.diff(m) == 1).all():
        return exactly, negative_binomial.survival(m, R, t, A)
    # Summed from the last one down, every term positive: an incomplete beta a row in place of one a count.
    last = negative_binomial.survival(m[-1:], R, t, A)
    return exactly, np.column_stack([exactly[:, :-1], last])[:, ::-1].cumsum(axis=1)[:, ::-1]


def _by_count(f: Callable[[Floats], Floats], x: Floats, *parameters: float) -> Floats:
    """f(x) of each row; evaluated once per number of transactions where the parameters are the same for all rows."""
    if any(np.ndim(value) for value in parameters):
        return f(x)
    counts, which = distinct_counts(x)
    return f(counts)[which]
