"""The family of BG/NBD and MBG/NBD: buying at a gamma rate, with a chance to drop out at the toss of a beta coin.

Belongs here: what the two share once the number of tosses that a customer is known to have survived, s, is given:
likelihood, gradient, fit, P(alive), expectations. The members say s(x) and their paper: BG/NBD tosses after each repeat
transaction (s = x), MBG/NBD after the first one too (s = x + 1).
Not here: the integral behind the expectations (alive_expectation.py), the search (maximum_likelihood.py).

A customer alive at T survived all s tosses; one who is dead dropped out at the last of them, at t_x, which needs s > 0:

    L = Gamma(r+x)/Gamma(r) alpha^r [ B(a, b+s)/B(a, b) (alpha+T)^-(r+x)
                                      + 1{s>0} B(a+1, b+s-1)/B(a, b) (alpha+t_x)^-(r+x) ]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from cvm_pipeline.domain.lifetime_value.alive_expectation import expected_while_alive
from cvm_pipeline.domain.lifetime_value.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, PurchaseHistories, dot

NAMES = ("r", "alpha", "a", "b")
# With T scaled to a mean of 1. The first is the neighbourhood of most retail bases; the others: heavy dropout, hardly
# any dropout with steady rates, and wide differences between customers.
_STARTS = ((0.5, 0.25, 1.0, 2.0), (1.0, 0.2, 2.0, 1.0), (3.0, 1.0, 0.3, 5.0), (0.1, 0.05, 0.5, 1.5))
_LOW, _HIGH = np.array([1e-4, 1e-7, 1e-4, 1e-4]), np.array([1e4, 1e7, 1e5, 1e5])
_EXPLORED = 20_000
# A mean dropout below one in a million transactions is none.
_NO_DROPOUT = 1e-6


@dataclass(frozen=True)
class GeometricDropout:
    """One member of the family; satisfies `TransactionModel`. Parameters by the papers' letters: r, alpha, a, b."""

    name: str
    first_toss: int
    knows_p_alive: bool
    parameter_names: tuple[str, ...] = NAMES

    def _tosses(self, x: Floats) -> Floats:
        return x + self.first_toss

    def fit(self, histories: PurchaseHistories) -> Fit:
        """Maximum likelihood; alpha and the log-likelihood are in the histories' own unit."""
        grouped = histories.grouped()
        customers = grouped.customers
        mean_T = dot(grouped.T, grouped.count) / customers if customers else 0.0
        if mean_T <= 0:
            return Fit.impossible(customers, "nobody was observed for any time", grouped.time_unit_days)
        likelihood = _Likelihood(grouped, self._tosses(grouped.frequency))
        explore = None
        if grouped.T.size > _EXPLORED:
            thin = grouped.thinned(_EXPLORED)
            explore = _Likelihood(thin, self._tosses(thin.frequency))
        unit = np.array([1.0, mean_T, 1.0, 1.0])
        starts = [np.array(start) * unit for start in _STARTS]
        found = maximise(NAMES, likelihood, customers, starts, _LOW * unit, _HIGH * unit, explore)
        fit = found.as_fit(NAMES, customers, grouped.time_unit_days)
        share = fit.parameters["a"] / (fit.parameters["a"] + fit.parameters["b"])
        if share >= _NO_DROPOUT:
            return fit
        why = f"no dropout is seen (mean {share:.0e} a transaction): everybody counts as alive"
        return replace(fit, note=f"{why}; {fit.note}" if fit.note else why)

    def log_likelihood(self, parameters: Mapping[str, float], histories: PurchaseHistories) -> float:
        """Sum over customers, undivided, in the histories' unit."""
        likelihood = _Likelihood(histories, self._tosses(histories.frequency))
        return likelihood(np.array([parameters[name] for name in NAMES]))[0]

    def gradient(self, parameters: Mapping[str, float], histories: PurchaseHistories) -> Floats:
        """d log-likelihood / d (r, alpha, a, b), shape (4,)."""
        likelihood = _Likelihood(histories, self._tosses(histories.frequency))
        return likelihood(np.array([parameters[name] for name in NAMES]))[1]

    def p_alive(self, parameters: Mapping[str, float], x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T), shape (n,): the first term of L over both; exactly 1 where no coin was tossed."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        return expit(-_log_odds_dead(r, alpha, a, b, x, t_x, T, self._tosses(x)))

    def expected_transactions(
        self, parameters: Mapping[str, float], horizon: Floats, x: Floats, t_x: Floats, T: Floats
    ) -> Floats:
        """E[transactions in (T, T+h] | x, t_x, T], shape (n, k); P(alive) is inside, never multiply by it again."""
        r, alpha, a, b = (parameters[name] for name in NAMES)
        horizon = np.atleast_1d(np.asarray(horizon, dtype=np.float64))
        result = np.empty((np.size(x), horizon.size))
        order = np.lexsort((T, x))
        changes = np.flatnonzero(np.diff(x[order])) + 1
        for rows in np.split(order, changes):
            if rows.size == 0:
                continue
            one = float(x[rows[0]])
            distinct, where = np.unique(T[rows], return_inverse=True)
            alive = expected_while_alive(
                horizon, r + one, alpha + distinct, a, b + one + self.first_toss, least_A=alpha
            )
            result[rows] = alive[where]
        result *= self.p_alive(parameters, x, t_x, T)[:, None]
        return result

    def unconditional_expectation(self, parameters: Mapping[str, float], t: Floats) -> Floats:
        """E[X(t)] of a new customer: the conditional expectation right after the first transaction. Shape of `t`."""
        new = np.zeros(1)
        return self.expected_transactions(parameters, np.ravel(t), new, new, new).reshape(np.shape(t))


def _log_odds_dead(r: float, alpha: float, a: float, b: float, x: Floats, t_x: Floats, T: Floats, s: Floats) -> Floats:
    """log of the second term of L over the first, -inf where s = 0. B(a+1, b+s-1) / B(a, b+s) = a / (b+s-1)."""
    tossed = s > 0
    ratio = np.log(a) - np.log(np.where(tossed, b + s - 1.0, 1.0))
    return np.where(tossed, ratio + (r + x) * np.log1p((T - t_x) / (alpha + t_x)), -np.inf)


class _Likelihood:
    """LL and its gradient at (r, alpha, a, b).

    Ratios of gamma functions a whole number apart are finite products, Gamma(r+x)/Gamma(r) = r (r+1) ... (r+x-1) and
    B(a, b+s)/B(a, b) = prod (b+i)/(a+b+i): summed once over i, they keep every digit where gammaln would cancel
    (b = 1e5 in a base without dropout). For the same reason alpha^r (alpha+T)^-r is (1 + T/alpha)^-r.
    """

    def __init__(self, histories: PurchaseHistories, s: Floats) -> None:
        self._x, self._s = histories.frequency, s
        self._t_x, self._T, self._count = histories.recency, histories.T, histories.count
        # Customers with more than i repeats, and with more than i tosses survived.
        self._more_x, self._more_s = (_exceeding(column, histories.count) for column in (histories.frequency, s))
        self._before_last = np.where(s > 0, s - 1.0, 0.0)

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats | None]:
        r, alpha, a, b = map(float, point)
        x, t_x, T, more_x, more_s = self._x, self._t_x, self._T, self._more_x, self._more_s
        odds = _log_odds_dead(r, alpha, a, b, x, t_x, T, self._s)
        dead = expit(odds) * self._count
        alive = self._count - dead
        since_T, since_t = np.log1p(T / alpha), np.log1p(t_x / alpha)
        rates, survived = r + np.arange(more_x.size, dtype=np.float64), b + np.arange(more_s.size, dtype=np.float64)
        by_row = np.logaddexp(0.0, odds) - (r + x) * since_T - x * np.log(alpha)
        value = dot(self._count, by_row) + dot(more_x, np.log(rates)) - dot(more_s, np.log1p(a / survived))
        slope = alive * (r * T / alpha - x) / (alpha + T) + dead * (r * t_x / alpha - x) / (alpha + t_x)
        gradient = np.array(
            [
                dot(more_x, 1.0 / rates) - dot(alive, since_T) - dot(dead, since_t),
                slope.sum(),
                dead.sum() / a - dot(more_s, 1.0 / (a + survived)),
                dot(more_s, a / (survived * (a + survived))) - dot(dead, 1.0 / (b + self._before_last)),
            ]
        )
        return float(value), gradient, None


def _exceeding(whole: Floats, count: Floats) -> Floats:
    """Customers whose value exceeds i, for i = 0..largest - 1."""
    of = np.bincount(whole.astype(np.int64), weights=count)
    return of[::-1].cumsum()[::-1][1:].astype(np.float64)
