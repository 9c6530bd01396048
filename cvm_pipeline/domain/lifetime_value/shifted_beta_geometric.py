"""Shifted beta-geometric: Fader & Hardie (2007), "How to Project Customer Retention", J. of Interactive Marketing 21(1).

Belongs here: customers under contract, who renew at the end of each period or are lost: likelihood, fit, retention,
survival, expected renewals, residual lifetime, simulation. Not here: customers who come and go unseen (transaction models).

At each renewal a customer leaves with its own chance theta ~ beta(alpha, beta). Periods are counted from the first one,
which is there by definition; so with n renewals survived

    S(t) = B(alpha, beta+t) / B(alpha, beta),   r_t = S(t) / S(t-1) = (beta+t-1) / (alpha+beta+t-1)     (eq. 5, 7)
    P(lost at renewal t) = S(t-1) alpha / (alpha+beta+t-1)
    S(t | n) = S(n+t) / S(n): as for a new customer with beta+n in place of beta.

DERL, the discounted expected residual lifetime of who has renewed n times, is Fader & Hardie (2010), "Customer-Base
Valuation in a Contractual Setting", Marketing Science 29(1): sum_{t>=1} S(t | n) / (1+d)^(t-1).

The module ends in `CONTRACT_MODEL`, not `MODEL`: what ends in `MODEL` is found by registry.py, raced and asked for
transactions, and this has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.mathematics.beta_lifetimes import (
    Whole,
    discounted_periods,
    expected_periods,
    tosses_survived,
    whole_numbers,
)
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Parameters, dot

NAMES = ("alpha", "beta")
_LOW, _HIGH = np.full(2, 1e-4), np.full(2, 1e6)
# alpha, then beta in the ratio of renewals to losses: mixed, steady, and all alike.
_STARTS = ((1.0, 1.0), (0.3, 0.3), (20.0, 1.0))


@dataclass(frozen=True, eq=False)
class ContractHistories:
    """Distinct histories of contracts and how many customers share each; arrays of one length.

    `renewals`: renewals survived so far, whole numbers; `ended`: whether the next one was refused, otherwise the contract
    still runs; `count`: customers with exactly this history, above 0. Raises ValueError with the rule and the row.
    """

    renewals: Floats
    ended: NDArray[np.bool_]
    count: Floats

    def __post_init__(self) -> None:
        for name, dtype in (("renewals", np.float64), ("ended", np.bool_), ("count", np.float64)):
            column = np.array(getattr(self, name), dtype=dtype)
            if column.ndim != 1 or column.size != np.size(self.renewals):
                raise ValueError(f"{name} must be one-dimensional and as long as renewals")
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        _whole(self.renewals, "renewals")
        sound = np.isfinite(self.count) & (self.count > 0)
        if not sound.all():
            row = int(np.argmin(sound))
            raise ValueError(f"count must be above 0; row {row} has {self.count[row]:g}")

    @property
    def customers(self) -> float:
        """Customers in all."""
        return float(self.count.sum())

    @classmethod
    def from_cohort(cls, under_contract: ArrayLike) -> ContractHistories:
        """One cohort from the customers under contract in periods 1, 2, ..., the last of them still running."""
        alive = np.asarray(under_contract, dtype=np.float64)
        if alive.ndim != 1 or alive.size == 0 or not np.isfinite(alive).all() or (np.diff(alive) > 0).any():
            raise ValueError("under_contract must be finite, one-dimensional and never rising")
        count = np.append(alive[:-1] - alive[1:], alive[-1])
        ended = np.arange(alive.size) < alive.size - 1
        seen = count > 0
        return cls(whole_numbers(alive.size)[seen], ended[seen], count[seen])


class ShiftedBetaGeometric:
    """Parameters by the paper's letters: alpha, beta."""

    name = "shifted_beta_geometric"
    parameter_names = NAMES

    def fit(self, histories: ContractHistories) -> Fit:
        """Maximum likelihood. Never raises for want of convergence: `converged` is False and `note` says why."""
        likelihood = _Likelihood(histories)
        if likelihood.decisions == 0:
            return Fit.impossible(histories.customers, "no contract has come up for renewal yet")
        if likelihood.losses in (0.0, likelihood.decisions):
            which = "nobody has left yet" if likelihood.losses == 0 else "everybody left at the first renewal"
            return Fit.impossible(histories.customers, f"{which}: any parameters far enough out fit the same")
        odds = (likelihood.decisions - likelihood.losses) / likelihood.losses
        starts = [np.array([a, a * b * odds]) for a, b in _STARTS]
        found = maximise(NAMES, likelihood, histories.customers, starts, _LOW, _HIGH)
        return found.as_fit(NAMES, histories.customers)

    def log_likelihood(self, parameters: Parameters, histories: ContractHistories) -> float:
        """Sum over customers of log P(lost at renewal n + 1), or of log S(n) where the contract runs; undivided."""
        return _Likelihood(histories)(_point(parameters))[0]

    def gradient(self, parameters: Parameters, histories: ContractHistories) -> Floats:
        """d log-likelihood / d (alpha, beta), (2,)."""
        return _Likelihood(histories)(_point(parameters))[1]

    def retention_rate(self, parameters: Parameters, t: ArrayLike) -> Floats:
        """r_t, the share of those under contract in period t who renew, for t = 1, 2, ...; shape of `t`."""
        alpha, beta = _point(parameters)
        return np.asarray(1.0 / (1.0 + alpha / (beta + (_whole(t, "t", 1) - 1.0))))

    def survival(self, parameters: Parameters, t: ArrayLike, renewals: ArrayLike = 0) -> Floats:
        """S(t | n), the chance to survive t renewals more after n = `renewals`; shapes broadcast."""
        return np.exp(self.log_survival(parameters, t, renewals))

    def log_survival(self, parameters: Parameters, t: ArrayLike, renewals: ArrayLike = 0) -> Floats:
        """log S(t | n)."""
        alpha, beta = _point(parameters)
        start, more = np.broadcast_arrays(_whole(renewals, "renewals"), _whole(t, "t"))
        end = start + more
        return -tosses_survived(alpha, beta, int(np.max(end, initial=0))).between(start, end)

    def p_alive(self, parameters: Parameters, renewals: ArrayLike, ended: ArrayLike, periods: int = 1) -> Floats:
        """P(still under contract after `periods` renewals more), (n,): S(periods | n), and 0 where the contract has ended."""
        return np.where(np.asarray(ended, dtype=bool), 0.0, self.survival(parameters, periods, renewals))

    def expected_renewals(self, parameters: Parameters, horizon: ArrayLike, renewals: ArrayLike) -> Floats:
        """Sum of S(t | n) for t = 1..h, for each h of `horizon` (k,) and each n of `renewals` (n,): shape (n, k).

        Of a contract that runs. Horizons are whole numbers of renewals.
        """
        alpha, beta = _point(parameters)
        n, h = _whole(np.atleast_1d(renewals), "renewals"), _whole(np.atleast_1d(horizon), "horizon")
        first = self.retention_rate(parameters, n + 1)
        return np.asarray(first[:, None] * expected_periods(alpha, beta, n[:, None] + 1, h))

    def residual_lifetime(
        self, parameters: Parameters, discount_rate: float, renewals: ArrayLike, horizon: float = np.inf
    ) -> Floats:
        """DERL: sum of S(t | n) / (1+d)^(t-1) for t = 1..`horizon`, (n,), d = `discount_rate` a period, of a running contract.

        As the paper has it, valued right before renewal n + 1, so that this one is not discounted. `horizon`: whole, or
        infinite, where d must be above 0: ValueError otherwise, since the sum need not converge.
        """
        alpha, beta = _point(parameters)
        if not (discount_rate >= 0 and np.isfinite(discount_rate)) or (discount_rate == 0 and np.isinf(horizon)):
            raise ValueError(f"discount_rate must be above 0 (from 0 on over a finite horizon), not {discount_rate}")
        n = _whole(np.atleast_1d(renewals), "renewals")
        if not np.isposinf(horizon):
            _whole(horizon, "horizon")
        distinct, where = np.unique(n, return_inverse=True)
        periods = discounted_periods(alpha, beta, distinct + 1, float(np.log1p(discount_rate)), horizon)
        return np.asarray((self.retention_rate(parameters, distinct + 1) * periods)[where])

    def simulate(
        self, parameters: Parameters, decisions: ArrayLike, rng: np.random.Generator
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """One customer per number of renewals that came up, (n,): those survived, and whether the contract has ended."""
        alpha, beta = _point(parameters)
        offered = _whole(np.atleast_1d(decisions), "decisions")
        theta = rng.beta(alpha, beta, offered.size)
        with np.errstate(divide="ignore"):
            survived = np.floor(rng.standard_exponential(offered.size) / -np.log1p(-theta))
        return np.minimum(survived, offered), survived < offered


class _Likelihood:
    """LL, its gradient and its Hessian at (alpha, beta), from how many came up for each renewal and how many left at it.

    At renewal i + 1 a customer stays with chance (beta+i) / (alpha+beta+i).
    """

    def __init__(self, histories: ContractHistories) -> None:
        renewals = histories.renewals.astype(np.int64)
        length = int(renewals.max(initial=-1)) + 2
        survived = np.bincount(renewals, weights=histories.count, minlength=length)
        self._stayed = survived[::-1].cumsum()[::-1][1:].astype(np.float64)
        lost = histories.count * histories.ended
        self._left = np.bincount(renewals, weights=lost, minlength=length)[:-1].astype(np.float64)
        self.losses = float(self._left.sum())
        self.decisions = float(self._stayed.sum()) + self.losses

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats]:
        alpha, beta = map(float, point)
        stayed, left = self._stayed, self._left
        stay = beta + whole_numbers(stayed.size)
        either = alpha + stay
        value = -dot(stayed, np.log1p(alpha / stay)) - dot(left, np.log1p(stay / alpha))
        gradient = np.array(
            [
                dot(left, stay / (alpha * either)) - dot(stayed, 1.0 / either),
                dot(stayed, alpha / (stay * either)) - dot(left, 1.0 / either),
            ]
        )
        both = dot(stayed + left, either**-2.0)
        hessian = np.array(
            [[both - left.sum() / alpha**2, both], [both, both - dot(stayed, stay**-2.0)]]
        )  # fmt: skip
        return float(value), gradient, hessian


def _point(parameters: Parameters) -> Floats:
    return np.array([parameters[name] for name in NAMES], dtype=np.float64)


def _whole(values: ArrayLike, name: str, least: int = 0) -> Whole:
    """As whole numbers. Raises ValueError where they are not, or below `least`."""
    numbers = np.asarray(values, dtype=np.float64)
    holds = (numbers == np.floor(numbers)) & (numbers >= least) & np.isfinite(numbers)
    if not holds.all():
        row = int(np.argmin(np.ravel(holds)))
        raise ValueError(f"{name} must be whole numbers, {least} or more; row {row} has {np.ravel(numbers)[row]:g}")
    return numbers.astype(np.int64)


CONTRACT_MODEL = ShiftedBetaGeometric()
