"""What every transaction model takes and gives: purchase histories in, a fit and expectations out.

Belongs here: the shape of histories, of a fit and of a model, so that card, champion and scoring know no model by name.
Not here: any formula of a model. A new model is a new module that ends in `MODEL = ...` (registry.py finds it).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# By the paper's letters. In `*_rows` a value may also be an array (n,): with covariates each row has its own.
Parameters = Mapping[str, float]


def dot(left: Floats, right: Floats) -> float:
    """Sum of products of two vectors, pairwise: BLAS's own depends on how many threads it finds, and so would the tables."""
    return float(np.sum(left * right))


@dataclass(frozen=True, eq=False)
class PurchaseHistories:
    """Distinct purchase histories and how many customers share each; float64 arrays of one length.

    `frequency` x: transactions after the first. `recency` t_x: first to last transaction, `T`: first transaction to the
    snapshot, both in the MODEL's unit, of `time_unit_days` days. `count`: customers with exactly this history.
    Raises ValueError where a row is impossible: the message names the rule and the first row that breaks it.
    """

    frequency: Floats
    recency: Floats
    T: Floats
    count: Floats
    time_unit_days: float = 1.0

    def __post_init__(self) -> None:
        for name in ("frequency", "recency", "T", "count"):
            column = np.array(getattr(self, name), dtype=np.float64)
            if column.ndim != 1 or column.size != np.size(self.frequency):
                raise ValueError(f"{name} must be one-dimensional and as long as frequency")
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        if not (np.isfinite(self.time_unit_days) and self.time_unit_days > 0):
            raise ValueError(f"time_unit_days must be a positive number, not {self.time_unit_days}")
        x, t_x, T, count = self.frequency, self.recency, self.T, self.count
        finite = np.isfinite(x) & np.isfinite(t_x) & np.isfinite(T) & np.isfinite(count)
        self._require(finite, "every value must be finite")
        self._require((x >= 0) & (x == np.floor(x)), "frequency must be a whole number, 0 or more")
        self._require((t_x >= 0) & (t_x <= T), "recency must lie between 0 and T")
        self._require((t_x == 0) == (x == 0), "recency is 0 exactly where frequency is 0")
        self._require(count > 0, "count must be above 0")

    def _require(self, holds: NDArray[np.bool_], rule: str) -> None:
        if not holds.all():
            row = int(np.argmin(holds))
            raise ValueError(
                f"{rule}; row {row} has frequency {self.frequency[row]:g}, recency {self.recency[row]:g}, "
                f"T {self.T[row]:g}, count {self.count[row]:g} (time unit: {self.time_unit_days:g} days)"
            )

    @classmethod
    def from_days(
        cls, frequency: ArrayLike, recency_days: ArrayLike, T_days: ArrayLike, count: ArrayLike, unit_days: float
    ) -> PurchaseHistories:
        """The same histories with days turned into the model's unit: the one door where durations are converted."""
        if not (np.isfinite(unit_days) and unit_days > 0):
            raise ValueError(f"unit_days must be a positive number, not {unit_days}")
        recency = np.asarray(recency_days, dtype=np.float64) / unit_days
        T = np.asarray(T_days, dtype=np.float64) / unit_days
        as_floats = [np.asarray(column, dtype=np.float64) for column in (frequency, count)]
        return cls(as_floats[0], recency, T, as_floats[1], unit_days)

    def in_unit(self, unit_days: float) -> PurchaseHistories:
        """The same histories in another unit."""
        days = self.time_unit_days
        return PurchaseHistories.from_days(self.frequency, self.recency * days, self.T * days, self.count, unit_days)

    @property
    def customers(self) -> float:
        """Customers in all."""
        return float(self.count.sum())

    @property
    def repeat_customers(self) -> float:
        """Customers with at least one repeat transaction."""
        return float(self.count[self.frequency > 0].sum())

    def grouped(self) -> PurchaseHistories:
        """Sorted by (x, T, t_x), identical rows merged: no sum depends on how the rows were ordered or split."""
        x, t_x, T = self.frequency, self.recency, self.T
        # As SQL hands them on: a check costs a sixtieth of the sort (2.3 million rows: .016 s against .97 s).
        rises = [np.diff(column) for column in (x, T, t_x)]
        ahead = (rises[0] > 0) | ((rises[0] == 0) & ((rises[1] > 0) | ((rises[1] == 0) & (rises[2] > 0))))
        if ahead.all():
            return self
        order = np.lexsort((self.recency, self.T, self.frequency))
        x, t_x, T, count = (column[order] for column in (self.frequency, self.recency, self.T, self.count))
        starts = np.flatnonzero(np.r_[True, (np.diff(x) != 0) | (np.diff(T) != 0) | (np.diff(t_x) != 0)])
        return PurchaseHistories(x[starts], t_x[starts], T[starts], np.add.reduceat(count, starts), self.time_unit_days)

    def thinned(self, most: int) -> PurchaseHistories:
        """Every k-th row, so that at most `most` remain: for exploring starts, never for a result."""
        step = -(-self.frequency.size // most)
        rows = slice(None, None, max(step, 1))
        return PurchaseHistories(
            self.frequency[rows], self.recency[rows], self.T[rows], self.count[rows], self.time_unit_days
        )


@dataclass(frozen=True)
class Fit:
    """A fitted model: small, and all that scoring needs.

    `parameters` and `standard_errors` by the paper's letters (one that can't be had is absent); `intervals`: 95 %
    intervals of the parameters (low, high), where they were asked for, and `interval_method` how they were got. `log_likelihood` is undivided, unscaled and in the
    model's own unit. `gradient_norm`: largest |d log-likelihood / d log parameter| per customer. `log_covariance`:
    covariance matrix of the log parameters, in the order of `parameters`, where the likelihood curves in all of them.
    `note`: why it did not converge or what a reader should know, else empty.
    """

    parameters: Parameters
    standard_errors: Mapping[str, float | None]
    log_likelihood: float | None
    customers: float
    converged: bool
    gradient_norm: float | None
    note: str = ""
    time_unit_days: float | None = None
    log_covariance: tuple[tuple[float, ...], ...] | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    interval_method: str = ""

    @classmethod
    def impossible(cls, customers: float, note: str, time_unit_days: float | None = None) -> Fit:
        """No fit at all, and why."""
        return cls({}, {}, None, customers, False, None, note, time_unit_days)


class Forecaster(ABC):
    """What scoring needs of timing. Every duration is in the model's unit; arrays are float64 of one length n.

    Two kinds of quantity, told apart by name: what is said of a customer *given its history* has P(alive) inside
    (`expected_transactions`, `pmf`); only what ends in `_while_alive` may be multiplied by it, and that is done here.
    """

    name: str  # the module's name, as published in `clv_model_card.model` and `customer_value.clv_model`
    parameter_names: tuple[str, ...]
    time_powers: Mapping[str, int]  # 1: a parameter is a time, -1: a rate; one that is neither is absent
    own_unit_days: float | None = None  # the only unit that it can be fitted in, where the unit is not free

    @abstractmethod
    def fit(self, histories: PurchaseHistories) -> Fit:
        """The parameters. Never raises for want of convergence: `converged` is False and `note` says why."""

    @abstractmethod
    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """log P(alive at T | x, t_x, T), shape (n,), at most 0."""

    @abstractmethod
    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        """E[transactions in (T, T + h] | alive at T, x, T] for each h of `horizon` (k,), shape (n, k)."""

    @abstractmethod
    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        """P(exactly m transactions in (T, T + horizon] | alive at T, x, T) for each m of `counts` (m,), shape (n, m)."""

    def in_days(self, parameters: Parameters, unit_days: float) -> Parameters:
        """The same parameters with the day as the unit of time, where it was one of `unit_days` days.

        Raises ValueError where the model has a unit of its own and this is another.
        """
        if self.own_unit_days not in (None, unit_days):
            raise ValueError(f"{self.name} counts in units of {self.own_unit_days:g} days, not of {unit_days:g}")
        return {name: value * unit_days ** self.time_powers.get(name, 0) for name, value in parameters.items()}

    def p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T), shape (n,)."""
        return np.exp(self.log_p_alive(parameters, x, t_x, T))

    def expected_transactions(
        self, parameters: Parameters, horizon: Floats, x: Floats, t_x: Floats, T: Floats
    ) -> Floats:
        """E[transactions in (T, T + h] | x, t_x, T] for each h of `horizon` (k,), shape (n, k).

        P(alive) is already inside: never multiply by it.
        """
        alive = self.p_alive(parameters, x, t_x, T)
        return alive[:, None] * self.expected_while_alive(parameters, np.atleast_1d(horizon), x, T)

    def unconditional_expectation(self, parameters: Parameters, t: Floats) -> Floats:
        """E[X(t)]: repeat transactions of a new customer in the first t, shape of `t`."""
        t = np.asarray(t, dtype=np.float64)
        new = np.zeros(1)
        return self.expected_transactions(parameters, np.ravel(t), new, new, new).reshape(t.shape)

    def pmf(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(exactly m transactions in (T, T + horizon] | x, t_x, T), shape (n, m); P(alive) is inside."""
        log_alive = self.log_p_alive(parameters, x, t_x, T)[:, None]
        counts = np.asarray(counts, dtype=np.float64)
        chance = np.exp(log_alive) * self.pmf_while_alive(parameters, counts, horizon, x, T)
        return np.where(counts == 0, chance - np.expm1(log_alive), np.where(counts < 0, 0.0, chance))

    def unconditional_pmf(self, parameters: Parameters, counts: Floats, t: float) -> Floats:
        """P(X(t) = m): a new customer's repeat transactions in the first t, shape (m,)."""
        new = np.zeros(1)
        return self.pmf(parameters, counts, t, new, new, new)[0]


class TransactionModel(Forecaster):
    """A probability model of when customers buy, fitted by maximum likelihood."""

    knows_p_alive: bool  # whether its P(alive) may be published (BG/NBD's is 1 for everybody without a repeat purchase)

    @abstractmethod
    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """log L(parameters | x, t_x, T) of each row, shape (n,). A parameter may be a float or an array (n,)."""

    @abstractmethod
    def gradient_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """d log L / d parameter of each row, shape (n, parameters), in the order of `parameter_names`."""

    @abstractmethod
    def residual_while_alive(self, parameters: Parameters, rate: float, x: Floats, T: Floats) -> Floats:
        """Discounted expected residual transactions of who is alive at T, over an infinite horizon, shape (n,).

        `rate` is continuous, per unit of the model's time. Raises ValueError where rate <= 0: the sum need not converge.
        """

    @abstractmethod
    def simulate(
        self, parameters: Parameters, T: Floats, horizon: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """One customer per T: x and t_x by T, and the transactions of the `horizon` after it; three arrays (n,)."""

    def log_likelihood(self, parameters: Parameters, histories: PurchaseHistories) -> float:
        """Sum over customers of the log-likelihood of (x, t_x, T), undivided, in the histories' unit."""
        h = histories
        return dot(h.count, self.log_likelihood_rows(parameters, h.frequency, h.recency, h.T))

    def residual_transactions(self, parameters: Parameters, rate: float, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """DERT: discounted expected residual transactions over an infinite horizon, shape (n,); P(alive) is inside.

        Fader, Hardie & Lee (2005), "RFM and CLV", eq. 2, of each model. Raises ValueError where rate <= 0.
        """
        return self.p_alive(parameters, x, t_x, T) * self.residual_while_alive(parameters, rate, x, T)
