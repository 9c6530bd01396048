"""Who enters the race for the champion: every way of forecasting a customer's transactions, in one form.

Belongs here: the form, the probability models in it, and the naive forecasts. Not here: the learner
(gradient_boosting.py), the race (backtest.py, champion.py).

Every forecast is a product, E[transactions in the next h days] = level x profile(h):

- `profile` comes from a transaction model, `timing`: what it expects of the customer *while alive*;
- `level` is the customer's own: for a probability model P(alive); for any other forecast of a period of w days, that
  forecast over profile(w). So each has a path over all horizons and a whole predictive distribution: a level up to 1 acts
  as the chance of being alive, and what exceeds 1 as more of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cvm_pipeline.domain.lifetime_value.mathematics.distinct import distinct_pairs
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Forecaster, Parameters
from cvm_pipeline.domain.lifetime_value.race.cuts import recent_days
from cvm_pipeline.domain.lifetime_value.race.slices import Rows


@dataclass(frozen=True)
class Timing:
    """A fitted forecaster of transactions, asked in days."""

    model: Forecaster
    fit: Fit

    @property
    def unit_days(self) -> float:
        """The model's own unit."""
        if self.fit.time_unit_days is None:
            raise ValueError(f"{self.model.name} was not fitted")
        return self.fit.time_unit_days

    @property
    def parameters(self) -> Parameters:
        """The model's, with the day as the unit of time: columns of days need not be divided, row by row."""
        return self.model.in_days(self.fit.parameters, self.unit_days)

    def profile(self, days: Floats, x: Floats, T: Floats) -> Floats:
        """Expected transactions of who is alive, within each of `days` (k,), shape (n, k). T in days."""
        return self.model.expected_while_alive(self.parameters, np.atleast_1d(days), x, T)

    def p_alive(self, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive), (n,). t_x and T in days."""
        return self.model.p_alive(self.parameters, x, t_x, T)

    def pmf(self, counts: Floats, days: float, x: Floats, T: Floats) -> Floats:
        """P(so many transactions within `days` | alive), shape (n, counts). T in days."""
        return self.model.pmf_while_alive(self.parameters, counts, days, x, T)


class Entrant(Protocol):
    """A fitted forecast: small, picklable, the same on one process or many workers."""

    @property
    def name(self) -> str:
        """As published in clv_model_card.model."""

    @property
    def timing(self) -> Timing:
        """Gives the profile."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of Rows that `level` reads beside the history."""

    def level(self, rows: Rows) -> Floats:
        """The customer's own factor on the profile, (n,), 0 or more."""


def expected(entrant: Entrant, rows: Rows, days: float) -> Floats:
    """Expected transactions of each row in the next `days`, (n,)."""
    x, _, T = rows.history
    return entrant.level(rows) * profile_of_distinct(entrant.timing, np.array([days]), x, T)[:, 0]


def profile_of_distinct(timing: Timing, days: Floats, x: Floats, T: Floats) -> Floats:
    """`timing.profile`, evaluated once per distinct (x, T), shape (n, k)."""
    distinct, where = distinct_pairs(x, T)
    return timing.profile(days, *distinct)[where]


@dataclass(frozen=True)
class Probability:
    """A probability model as it is: its level is P(alive)."""

    timing: Timing
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The module's name."""
        return self.timing.model.name

    def level(self, rows: Rows) -> Floats:
        """P(alive), (n,)."""
        return self.timing.p_alive(*rows.history)


@dataclass(frozen=True)
class Naive:
    """A forecast that needs no model, for a period of `days`; `timing` only carries it to other horizons."""

    name: str
    timing: Timing
    days: float
    needs: tuple[str, ...]
    parameters: Mapping[str, float]

    def forecast(self, rows: Rows) -> Floats:
        """Transactions in the next `days`, (n,)."""
        return NAIVE[self.name].forecast(rows, self.days, self.parameters)

    def level(self, rows: Rows) -> Floats:
        """The forecast over what the timing model expects while alive."""
        x, _, T = rows.history
        return self.forecast(rows) / profile_of_distinct(self.timing, np.array([self.days]), x, T)[:, 0]


@dataclass(frozen=True)
class _NaiveRule:
    needs: tuple[str, ...]
    fit: Callable[[Rows, float], Mapping[str, float]]
    forecast: Callable[[Rows, float, Mapping[str, float]], Floats]


def _nothing(rows: Rows, days: float) -> Mapping[str, float]:
    return {}


def _zero(rows: Rows, days: float, parameters: Mapping[str, float]) -> Floats:
    return np.zeros(rows.size)


def _carried_forward(rows: Rows, days: float, parameters: Mapping[str, float]) -> Floats:
    span = recent_days(int(days), 6)
    # The first transaction is no repeat: it can't come again.
    return np.maximum(rows["transactions_6w"] - (rows["T"] < span), 0.0) * (days / span)


def _own_rate(rows: Rows, days: float, parameters: Mapping[str, float]) -> Floats:
    return rows["frequency"] / np.maximum(rows["T"], 1.0) * days


def _fit_retention(rows: Rows, days: float) -> Mapping[str, float]:
    known_before = rows["T"] >= recent_days(int(days), 2)
    bought = rows["transactions_2w"][known_before]
    if not bought.size:
        return {"retention": 0.0, "transactions": 0.0}
    retained = bought > 0
    return {
        "retention": float(retained.mean()),
        "transactions": float(bought[retained].mean()) if retained.any() else 0.0,
    }


def _retained(rows: Rows, days: float, parameters: Mapping[str, float]) -> Floats:
    thirds = days / recent_days(int(days), 2)
    return np.full(rows.size, thirds * parameters["retention"] * parameters["transactions"])


# Zero; the last window again; x / T; what the average retained customer bought in the last third, for everybody.
NAIVE: Mapping[str, _NaiveRule] = {
    "zero": _NaiveRule((), _nothing, _zero),
    "carry_forward": _NaiveRule(("transactions_6w",), _nothing, _carried_forward),
    "own_rate": _NaiveRule((), _nothing, _own_rate),
    "retention": _NaiveRule((), _fit_retention, _retained),
}


def naive_entrants(rows: Rows, days: float, timing: Timing) -> list[Naive]:
    """All naive forecasts of a period of `days`, fitted on what is known of `rows`."""
    return [Naive(name, timing, days, rule.needs, rule.fit(rows, days)) for name, rule in NAIVE.items()]
