"""Which window a customer is tested on: a stopping time over five starts, oldest first.

Belongs here: the lengths, what is known at a start, who is eligible there and who stops. Not here: p-values (`null.py`).

A window of L days is tested from its start S - L to the snapshot S. That its p-value holds, the choice of L may depend on
what was known at S - L only: were the length chosen with what is known today, a customer who fell silent would be given
the window that shows it best. So the starts are walked from the oldest, and the decision to stop at one is made with what
was known there, by models fitted to the base as it was there:

- eligible: three transactions and p_alive >= .5 by then, and no alarm raised later than the start;
- who is eligible stops, unless a shorter window would do: P(X = 0) <= .01 in it, while alive, as judged there;
- who is not goes on to the next start. At the last one (4 weeks) whoever is eligible stops.

{stopped at S - L} is therefore an event of the past of S - L: L is a stopping time, and given that past the count in
(S - L, S] has its predictive distribution. One condition looks ahead: an alarm raised within a window takes the customer
out of that window. Alarms are raised by low outcomes, so this takes low outcomes out, and p-values only rise by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Parameters, PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.base_fit import SpendSample, unfit
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import fit_spend

LEAST_TRANSACTIONS = 3
LEAST_P_ALIVE = 0.5
SILENT_AT_MOST = 0.01
# Odd, so that the maximum itself is one of them.
_NODES = (9, 5)


@dataclass(frozen=True)
class SpendNode:
    """One set of Gamma-Gamma's parameters and its weight."""

    weight: float
    parameters: Parameters

    def shapes(self, x: Floats, repeat_sales: Floats) -> tuple[float, Floats, Floats]:
        """p, q (n,) and scale (n,): the total of m transactions to come is scale x BetaPrime(p m, q)."""
        p, q = self.parameters["p"], self.parameters["q"]
        return p, p * x + q, gamma_gamma.scale_to_come(self.parameters, x) + repeat_sales


@dataclass(frozen=True)
class Start:
    """The base's models at the start of one window, fitted on what was known there alone.

    `timing`: None where none could be fitted (`note` says why), so that nobody is tested from here. `spends`: Gamma-Gamma
    as it may be, most likely first, weights adding up to 1; empty where there is none: nobody has the signal of spend.
    """

    window_days: int
    timing: Timing | None
    spends: tuple[SpendNode, ...] = ()
    note: str = ""

    @property
    def model(self) -> Timing:
        """The timing model. Raises ValueError where none could be fitted."""
        if self.timing is None:
            raise ValueError(f"no model at the start of {self.window_days} days: {self.note}")
        return self.timing

    @property
    def rate(self) -> tuple[float, float]:
        """r and alpha (days) of the rate while alive. Raises ValueError without a model."""
        parameters = self.model.parameters
        return parameters["r"], parameters["alpha"]


@dataclass(frozen=True, eq=False)
class Known:
    """What was known of customers at one start, (n,) each: x, t_x and T (days), net total of the x repeats.

    x is -1 for who had no transaction by then.
    """

    x: Floats
    t_x: Floats
    T: Floats
    repeat_sales: Floats

    def take(self, rows: npt.NDArray[np.intp]) -> Known:
        """Some of them."""
        return Known(self.x[rows], self.t_x[rows], self.T[rows], self.repeat_sales[rows])


def fit_start(
    window_days: int, model: str, unit_days: float, histories: PurchaseHistories, spend: SpendSample
) -> Start:
    """The models at one start: the timing model of that name, in its own unit, and spend. `histories` in days."""
    why = unfit(histories)
    timing = None
    if not why:
        chosen = transaction_model(model)
        fit = chosen.fit(histories.in_unit(chosen.own_unit_days or unit_days))
        if fit.converged:
            timing = Timing(chosen, fit)
        else:
            why = f"{model} did not converge: {fit.note}"
    money = fit_spend(spend.frequency, spend.repeat_sales, spend.count, spend.base_mean)
    return Start(window_days, timing, () if money.fallback else spend_nodes(money.by_frequency or money.fit), why)


def spend_nodes(fit: Fit) -> tuple[SpendNode, ...]:
    """What the likelihood leaves open of Gamma-Gamma's parameters, as a few weighted sets; the most likely first.

    Only means are fitted, so p (how alike a customer's own values are) is told by how means vary with x alone: with 500
    customers it may well be twice the truth, and then every total looks improbable. Of the normal distribution of the log
    parameters around their maximum, the two widest directions are taken by Gauss-Hermite quadrature. Empty where the
    likelihood doesn't curve: nothing bounds p then.
    """
    if fit.log_covariance is None:
        return ()
    names = tuple(fit.parameters)
    # kappa is no logarithm; its own error moves totals by little.
    logs = np.log([fit.parameters[name] for name in gamma_gamma.NAMES])
    size = logs.size
    variances, axes = np.linalg.eigh(np.array(fit.log_covariance)[:size, :size])
    found = []
    (first, of_first), (second, of_second) = (np.polynomial.hermite_e.hermegauss(n) for n in _NODES)
    for z, weight in zip(first, of_first, strict=True):
        for y, other in zip(second, of_second, strict=True):
            move = (
                z * np.sqrt(max(variances[-1], 0.0)) * axes[:, -1] + y * np.sqrt(max(variances[-2], 0.0)) * axes[:, -2]
            )
            told = dict(zip(gamma_gamma.NAMES, np.exp(logs + move).tolist(), strict=True))
            kept = {name: fit.parameters[name] for name in names if name not in told}
            found.append((z * z + y * y, SpendNode(float(weight * other / (2.0 * np.pi)), told | kept)))
    return tuple(node for _, node in sorted(found, key=lambda each: each[0]))


def choose(starts: Sequence[Start], known: Sequence[Known], days_since_alarm: Floats) -> npt.NDArray[np.intp]:
    """The start that each customer stops at, an index into `starts` (n,), -1 where at none.

    `starts`, and what was known at each, run from the oldest; `days_since_alarm` (n,): from the newest alarm raised to
    the snapshot, infinite where there was none.
    """
    chosen = np.full(days_since_alarm.size, -1, dtype=np.intp)
    for at, (start, then) in enumerate(zip(starts, known, strict=True)):
        open_rows = (chosen < 0) & (then.x + 1 >= LEAST_TRANSACTIONS) & (start.window_days <= days_since_alarm)
        rows = np.flatnonzero(open_rows)
        if start.timing is None or not rows.size:
            continue
        here = then.take(rows)
        stops = start.timing.p_alive(here.x, here.t_x, here.T) >= LEAST_P_ALIVE
        if at + 1 < len(starts):
            # P(X = 0) falls with the length: some shorter window would do exactly where the next one would.
            r, alpha = start.rate
            stops &= silent(r + here.x, alpha + here.T, starts[at + 1].window_days) > SILENT_AT_MOST
        chosen[rows[stops]] = at
    return chosen


def silent(R: Floats, A: Floats, days: float) -> Floats:
    """P(X = 0 in so many days), while alive at a rate gamma(R, A); (n,). A in days."""
    return np.exp(-R * np.log1p(days / A))
