"""Why a customer's value changed between two snapshots: the table `value_change`, exact to the last digit for each row.

Belongs here: the division of a change into its parts, and the decimals that make them add up. Not here: the states in
between (`behaviour_states.py`), what a value is (`lifetime_value/valuation.py`), reading either snapshot.

First, alone, stands `correction`: the value of the old date's history as it is known today, by the old model, less the clv
that was published then. The rest is Shapley's (1953, "A value for n-person games", eq. 12) over four players, of value =
discounted transactions(b, M) x each(x_b, mean_s, M) x rate(revenue_b, margin_m, M):

- behaviour b: x, t_x and T, recent behaviour, and revenue as the weight that the own margin rate has;
- spend s: the mean net value of the own repeat transactions (none where there are none);
- margin m: the own margin rate (none where revenue is not above 0);
- model M: parameters, champion, settings and the base's margin.

Inside every coalition behaviour is `time`, then `frequency` and `recency` by two-player Shapley between the state that only
aged and the new one. Who had no value yet has one part, `entry`; who has none any more lost it by `correction` where no
order of then stands, else by `frequency`. Cost: 40 products and up to 10 forecasts a customer, of which silence saves 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.behaviour_states import AFTER, AGED, BEFORE, MOVED, NOW, ORDERS, SIDES, THEN, States, rows_for
from cvm_pipeline.domain.contracts import VALUE_CHANGE_PARTS
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, from_units, rounded, to_floats, to_units
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.valuation import Valuation

# In the order in which a tie for the remainder is broken.
SHARED = VALUE_CHANGE_PARTS[:6]
PARTS = VALUE_CHANGE_PARTS

SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        *(pa.field(name, MONEY, nullable=False) for name in ("clv_before", "clv", "change", *PARTS)),
    ]
)

# |S|! (3 - |S|)! / 4! of a coalition S of the three others.
_WEIGHTS = (1 / 4, 1 / 12, 1 / 12, 1 / 4)
# A model gives the published value again but for the last digit's rounding.
_SAME, _SAME_UNITS = 1e-9, 1.0

_Totals = tuple[Floats, Floats, Floats, Floats]  # frequency, repeat_sales, margin_total, revenue_total


def changes(batch: pa.RecordBatch, before: Valuation, now: Valuation) -> pa.RecordBatch:
    """Each row's change of clv and its parts, in the batch's order: SCHEMA. However it is split, the same.

    Takes customer_id, clv_before (the published one; null where there was none), clv, and the states of both dates as
    `behaviour_states.States` reads them: a side without a transaction has then_T or now_T null. `identity` is 0: no
    identities are merged. Raises ValueError where `now` does not give a row's clv, KeyError for a missing column.
    """
    had, has = (pc.is_valid(batch[name]).to_numpy(zero_copy_only=False) for name in ("clv_before", "clv"))
    clv_before, clv = to_units(batch["clv_before"]), to_units(batch["clv"])
    stood, stands = (
        pc.is_valid(batch[f"{side}_T"]).to_numpy(zero_copy_only=False) & known
        for side, known in ((THEN, had), (NOW, has))
    )
    units = {name: np.zeros(batch.num_rows, dtype=np.int64) for name in PARTS}
    revalued = np.zeros(batch.num_rows, dtype=np.int64)
    if (both := stood & stands).any():
        rows = batch.filter(pa.array(both))
        parts, start, end = _divided(rows, before, now)
        _require_same(end, clv[both])
        revalued[both] = start
        for name, values in _exactly(parts, clv[both] - start).items():
            units[name][both] = values
    # What stood then was all cancelled since.
    if (emptied := stood & ~has).any():
        revalued[emptied] = _revalued(batch.filter(pa.array(emptied)), before)
        units["frequency"][emptied] = -revalued[emptied]
    units["correction"] = np.where(had, revalued - clv_before, 0)
    units["entry"] = np.where(has & ~both, clv, 0)
    every = np.ones(batch.num_rows, dtype=bool)
    money = (clv_before, clv, clv - clv_before, *units.values())
    arrays = [batch["customer_id"].cast(pa.string()), *(from_units(column, every) for column in money)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _divided(
    batch: pa.RecordBatch, before: Valuation, now: Valuation
) -> tuple[Mapping[str, Floats], np.ndarray, Floats]:
    """The shared parts (n,), the old model's value of the old state in units, and the new one's of the new state."""
    models = {THEN: before, NOW: now}
    states = States.of(batch, before, now)
    own = {side: _totals(batch, side) for side in SIDES}
    forecasts = states.evaluated(models)
    each = {(b, s, M): _each(states.at[b], own[s], models[M]) for b, s, M in product(states.at, SIDES, SIDES)}
    rate = {(b, m, M): _rate(states.at[b], own[m], models[M]) for b, m, M in product(states.at, SIDES, SIDES)}

    def value(b: str, s: str, m: str, M: str) -> Floats:
        # In the order of value_score.score, or the last digit might differ from the published one's.
        return forecasts[b, M] * (each[b, s, M] * rate[b, m, M])

    parts = {name: np.zeros(batch.num_rows) for name in SHARED}
    for s, m, M in product(SIDES, repeat=3):
        weight = _weight(s, m, M)
        at = {b: value(b, s, m, M) for b in states.at}
        parts["time"] += weight * (at[AGED] - at[BEFORE])
        parts["frequency"] += weight / 2 * ((at[ORDERS] - at[AGED]) + (at[AFTER] - at[MOVED]))
        parts["recency"] += weight / 2 * ((at[MOVED] - at[AGED]) + (at[AFTER] - at[ORDERS]))
    for b, one, other in product(SIDES, repeat=3):
        state, weight = AFTER if b == NOW else BEFORE, _weight(b, one, other)
        parts["spend"] += weight * (value(state, NOW, one, other) - value(state, THEN, one, other))
        parts["margin"] += weight * (value(state, one, NOW, other) - value(state, one, THEN, other))
        parts["model"] += weight * (value(state, one, other, NOW) - value(state, one, other, THEN))
    return parts, rounded(value(BEFORE, THEN, THEN, THEN)), value(AFTER, NOW, NOW, NOW)


def _weight(*players: str) -> float:
    return _WEIGHTS[sum(player == NOW for player in players)]


def _revalued(batch: pa.RecordBatch, before: Valuation) -> np.ndarray:
    """The old model's value of the old state, in units."""
    state, own = States.before(batch, before), _totals(batch, THEN)
    transactions = before.transactions(rows_for(state, THEN, before))
    return rounded(transactions * (_each(state, own, before) * _rate(state, own, before)))


def _totals(batch: pa.RecordBatch, side: str) -> _Totals:
    frequency, sales, margin, revenue = (
        to_floats(batch[f"{side}_{name}"]) for name in ("frequency", "repeat_sales", "margin_total", "revenue_total")
    )
    return frequency, sales, margin, revenue


def _each(state: Mapping[str, np.ndarray], own: _Totals, model: Valuation) -> Floats:
    """Expected value of a transaction, by the state's count and the own mean: the model's prior where there is neither."""
    x, sales = _at_scale(state["frequency"], own[0], own[1])
    return model.each(x, sales)


def _rate(state: Mapping[str, np.ndarray], own: _Totals, model: Valuation) -> Floats:
    """Margin rate, by the state's revenue and the own rate: the base's where there is neither."""
    revenue, margin = _at_scale(state["revenue_total"], own[3], own[2])
    return model.rate(margin, revenue)


def _at_scale(weight: Floats, own_weight: Floats, own_total: Floats) -> tuple[Floats, Floats]:
    """The own total as it would be at another weight: the total itself, not a quotient's product, where that is its own."""
    known = (weight > 0) & (own_weight > 0)
    mean = own_total / np.where(known, own_weight, 1.0)
    total = np.where(weight == own_weight, own_total, weight * mean)
    return np.where(known, weight, 0.0), np.where(known, total, 0.0)


def _require_same(values: Floats, published: np.ndarray) -> None:
    off = np.abs(values * 1e4 - published) > _SAME_UNITS + _SAME * np.abs(published)
    if off.any():
        raise ValueError(f"the model does not give the clv of {int(off.sum())} customers: they are another model's")


def _exactly(parts: Mapping[str, Floats], total: np.ndarray) -> dict[str, np.ndarray]:
    """The parts in whole ten-thousandths that add up to `total` (int64), the remainder in the largest."""
    units = np.stack([rounded(parts[name]) for name in SHARED])
    largest = np.argmax(np.abs(units), axis=0)
    units[largest, np.arange(total.size)] += total - units.sum(axis=0)
    return dict(zip(SHARED, units, strict=True))
