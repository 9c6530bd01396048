"""A customer's behaviour at two dates, and the states that lie between them when a change of value is divided.

Belongs here: which states are evaluated, that each is one that a customer can be in, and the forecasts of them all.
Not here: the division (`value_change.py`), forecasting itself (`lifetime_value/valuation.py`).

    before   x0, t0, T0        what the old date's history is, as known today
    aged     x0, t0, T1        T moved without a purchase
    orders   x1, t0, T1        of the new state all but its recency
    moved    x0, t1, T1        of the new state its recency alone
    after    x1, t1, T1

- Money and recent behaviour, the weight of the margin and covariates go with x: they are new where x is, else old.
- What was bought in the last so many days is counted anew for the state that aged: of the old purchases, up to the new
  date. In `orders` and `moved` it agrees with the time since the last purchase: nothing where that is as long, at least
  that purchase where it is shorter. Gaps keep their regularity: their squares go with t squared.
- Where x and t are as they were, nobody bought: all of behaviour is time, what returns took off the revenue included.
- Where a state between can't be (no repeat then or now; more repeats than days, since a transaction is a day), all that
  is not time is frequency; where T can't even have moved (an order cancelled since had been the first), all of it.
- Days are counted in the step that the model in question has learned with: the two need not be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race.slices import HISTORY, Rows
from cvm_pipeline.domain.lifetime_value.valuation import Valuation

THEN, NOW = "then", "now"
SIDES = (THEN, NOW)
BEFORE, AGED, ORDERS, MOVED, AFTER = "before", "aged", "orders", "moved", "after"

# Of each side, as marts.fct_customer_slices names them.
COLUMNS = (
    *HISTORY, "net_sales", "repeat_sales", "last_value", "gap_sum_of_squares", "margin_total", "revenue_total",
)  # fmt: skip
STEPS = (1, 2, 4, 6)
# What was bought in the last so many steps; for a model, once in each of the three states that a purchase can be counted of.
WINDOWS = tuple(f"{what}_{steps}w" for what in ("transactions", "net_sales") for steps in STEPS)
COUNTED = (BEFORE, AGED, AFTER)

State = Mapping[str, np.ndarray]


def window_column(model: str, state: str, window: str) -> str:
    """The batch's column of what was bought within `window` in that state, in the step of that side's model."""
    return f"{model}_{state}_{window}"


def windows_needed(*models: Valuation) -> bool:
    """Whether any of them looks at recent behaviour."""
    return any(set(WINDOWS) & set(model.champion.needs) for model in models)


def words_needed(*models: Valuation) -> tuple[str, ...]:
    """The covariates that any of them looks at."""
    return tuple(sorted({word for model in models for word in _words(model)}))


def rows_for(state: State, side: str, model: Valuation) -> Rows:
    """A state as that side's model sees it."""
    words = _words(model)
    seen = {name: state[name] for name in HISTORY}
    for name in set(model.champion.needs) - words:
        if name == "days_since_last":
            seen[name] = state["T"] - state["recency"]
        else:
            seen[name] = state[f"{side}_{name}" if name in WINDOWS else name]
    return Rows(seen, {name: state[name] for name in words})


@dataclass(frozen=True, eq=False)
class States:
    """The five states of each row, as columns (n,).

    `silent`: rows where nobody bought, so that `aged` is `after`; `ages`: where `aged` is a state of its own, and else
    `before`; `between`: where `orders` and `moved` are, and else `after` and `aged`.
    """

    at: Mapping[str, State]
    silent: np.ndarray
    ages: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, batch: pa.RecordBatch, before: Valuation, now: Valuation) -> States:
        """From then_ and now_ of COLUMNS and, where needed, windows by `window_column` and covariates. Raises KeyError."""
        words = words_needed(before, now)
        models = {THEN: before, NOW: now}
        old = _side(batch, THEN, words) | _windows(batch, BEFORE, models)
        new = _side(batch, NOW, words) | _windows(batch, AFTER, models)
        aged = old | {"T": new["T"]} | _windows(batch, AGED, models)
        x0, t0, x1, t1 = old["frequency"], old["recency"], new["frequency"], new["recency"]
        silent = (x0 == x1) & (t0 == t1)
        ages = ~silent & (t0 <= new["T"])
        between = ages & (x0 > 0) & (x1 > 0) & (x1 <= t0) & (x0 <= t1)
        orders = _with_recency(new, t0, models)
        moved = _with_recency(aged, t1, models)
        aged = _where(ages, aged, _where(silent, new, old))
        states = {
            BEFORE: old, AGED: aged, ORDERS: _where(between, orders, new), MOVED: _where(between, moved, aged), AFTER: new,
        }  # fmt: skip
        return cls(states, silent, ages, between)

    @staticmethod
    def before(batch: pa.RecordBatch, model: Valuation) -> State:
        """The old state alone."""
        return _side(batch, THEN, words_needed(model)) | _windows(batch, BEFORE, {THEN: model})

    def evaluated(self, models: Mapping[str, Valuation]) -> dict[tuple[str, str], Floats]:
        """Discounted transactions of each state by each side's model, (n,); a state that is another's is not asked twice."""
        found: dict[tuple[str, str], Floats] = {}
        for side, model in models.items():
            before, after = (model.transactions(rows_for(self.at[name], side, model)) for name in (BEFORE, AFTER))
            aged = self._forecast(AGED, self.ages, np.where(self.silent, after, before), side, model)
            found |= {(BEFORE, side): before, (AGED, side): aged, (AFTER, side): after}
            found[ORDERS, side] = self._forecast(ORDERS, self.between, after, side, model)
            found[MOVED, side] = self._forecast(MOVED, self.between, aged, side, model)
        return found

    def _forecast(self, state: str, rows: np.ndarray, default: Floats, side: str, model: Valuation) -> Floats:
        result = default.copy()
        if rows.any():
            chosen = {name: column[rows] for name, column in self.at[state].items()}
            result[rows] = model.transactions(rows_for(chosen, side, model))
        return result


def _words(model: Valuation) -> set[str]:
    return set(model.champion.needs) & set(model.settings.covariates)


def _side(batch: pa.RecordBatch, side: str, words: tuple[str, ...]) -> dict[str, np.ndarray]:
    found = {name: to_floats(batch[f"{side}_{name}"]) for name in COLUMNS}
    return found | {name: batch[f"{side}_{name}"].cast(pa.string()).to_numpy(zero_copy_only=False) for name in words}


def _windows(batch: pa.RecordBatch, state: str, models: Mapping[str, Valuation]) -> dict[str, np.ndarray]:
    return {
        f"{side}_{name}": to_floats(batch[window_column(side, state, name)])
        for side, model in models.items()
        if windows_needed(model)
        for name in WINDOWS
    }


def _where(rows: np.ndarray, one: State, other: State) -> dict[str, np.ndarray]:
    return {name: np.where(rows, one[name], other[name]) for name in one}


def _with_recency(state: State, recency: Floats, models: Mapping[str, Valuation]) -> dict[str, np.ndarray]:
    """The state with another time of its last purchase, all else made to agree with it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        stretch = np.where(state["recency"] > 0, recency / state["recency"], 1.0)
    found = dict(state) | {"recency": recency, "gap_sum_of_squares": state["gap_sum_of_squares"] * stretch**2}
    silence = state["T"] - recency
    for side, model in models.items():
        for steps in STEPS if windows_needed(model) else ():
            count, sales = f"{side}_transactions_{steps}w", f"{side}_net_sales_{steps}w"
            inside = silence < steps * model.step_days
            none = state[count] == 0
            found[sales] = np.where(inside, np.where(none, state["last_value"], state[sales]), 0.0)
            found[count] = np.where(inside, np.maximum(state[count], 1.0), 0.0)
    return found
