"""Customers at two dates and the models of both, made by hand: what `value_change` is given, and a reckoning by orderings.

Belongs here: plain Python over one customer at a time, written a second time. Not here: any test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise, permutations, product

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.behaviour_states import COLUMNS, COUNTED, SIDES, STEPS, window_column
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_money
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Naive, Probability, Timing
from cvm_pipeline.domain.lifetime_value.race.gradient_boosting import Average, Boosted, Trees, train
from cvm_pipeline.domain.lifetime_value.race.slices import BEHAVIOUR, HISTORY, Outcome, Rows
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.domain.lifetime_value.value_model import Settings

Days = Mapping[int, float]  # day of a transaction -> its net value
SHARED = ("time", "frequency", "recency", "spend", "margin", "model")


@dataclass(frozen=True)
class Customer:
    """What is known of one at both dates. `rates`: own margin rates then and now; `returned`: unmatched, by side."""

    then: Days
    now: Days
    rates: tuple[float, float] = (0.4, 0.4)
    returned: tuple[float, float] = (0.0, 0.0)
    clv_before: float | None = None  # None: what the old model says of `then`


def fit_of(**parameters: float) -> Fit:
    return Fit(parameters, {}, None, 1000.0, True, 0.0, time_unit_days=7.0)


def timing(scale: float = 1.0) -> Timing:
    return Timing(transaction_model("mbg_nbd"), fit_of(r=0.52 * scale, alpha=6.2, a=0.89, b=1.62))


def spend(scale: float = 1.0) -> Spend:
    return Spend(fit_of(p=6.2, q=3.7, v=15.4 * scale), 30.0, False)


def probability(scale: float = 1.0, settings: Settings | None = None, rate: float = 0.35, step: int = 14) -> Valuation:
    margins = MarginParameters(rate, 0.01, 2.0, 1000.0, False)
    return Valuation(
        settings or Settings(), spend(scale), margins, Probability(timing(scale)), 90.0, step, timing(scale)
    )


@cache
def trained(seed: int) -> Trees:
    """Trees that have seen 700 made-up rows and follow recent purchases, money and silence."""
    chance = np.random.default_rng(seed)
    x = chance.integers(0, 12, 700).astype(float)
    T = chance.integers(40, 400, 700).astype(float)
    columns = {name: chance.gamma(1.0, 20.0, 700) for name in BEHAVIOUR}
    columns |= {"frequency": x, "T": T, "recency": np.where(x > 0, np.maximum(x, T * chance.random(700)), 0.0)}
    columns["days_since_last"] = T - columns["recency"]
    for steps in STEPS:
        columns[f"transactions_{steps}w"] = np.minimum(x, chance.poisson(steps / 2, 700)).astype(float)
    pace = x / T * 60 + columns["transactions_2w"] / 3 + columns["net_sales_1w"] / 100
    seen = train([(Rows(columns), Outcome(chance.poisson(pace).astype(float), pace, 60))])
    assert isinstance(seen, Trees)
    return seen


def average(seed: int, scale: float = 1.0, step: int = 14) -> Valuation:
    boosted = Boosted(trained(seed), timing(scale), 90.0)
    return replace(probability(scale, step=step), champion=Average(boosted))


def pooled() -> Valuation:
    champion = Probability(Timing(POOLED_RATE, fit_of(rate=0.03, retention=0.45)))
    money = Spend(Fit.impossible(10.0, "few"), 25.0, True, "few")
    return replace(probability(), champion=champion, spend=money, margin=MarginParameters(1.0, 0.0, 0.0, 0.0, True))


def carried_forward(step: int = 15) -> Valuation:
    return replace(
        probability(step=step),
        champion=Naive("carry_forward", timing(), 90.0, ("transactions_6w",), {}),
    )


def random_customers(count: int, seed: int, then: int, now: int) -> list[Customer]:
    """Silent ones, one-time buyers, busy ones, some with a purchase cancelled or returned since, and rates that move."""
    chance = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        born = int(chance.integers(0, then - 5))
        pace = chance.gamma(0.8, 30.0) + 2.0
        worth = chance.gamma(4.0, 10.0)
        days = {born: round(worth, 4)}
        day = float(born)
        end = born + chance.exponential(now)
        while (day := day + max(1.0, chance.exponential(pace))) < min(now + 1, end):
            days[int(day)] = round(worth * chance.gamma(6.0, 1 / 6.0), 4)
        known = {day: value for day, value in days.items() if day <= then}
        standing = dict(days)
        if chance.random() < 0.2:
            standing[born] = round(standing[born] * 0.5, 4)
        if chance.random() < 0.15 and len(standing) > 1:
            del standing[sorted(standing)[int(chance.integers(0, len(standing)))]]
        rates = tuple(float(rate) for rate in chance.uniform(-0.1, 0.9, 2))
        back = (0.0, float(round(chance.gamma(1.0, 60.0), 4)) if chance.random() < 0.1 else 0.0)
        found.append(Customer(known, standing, (rates[0], rates[1]), back))
    return found


def facts(days: Days, at: int, rate: float, returned: float) -> dict[str, float]:
    """What a slice of that day says of who bought on these days."""
    known = sorted(days)
    values = [days[day] for day in known]
    gaps = [after - before for before, after in pairwise(known)]
    revenue = round(sum(values) - returned, 4)
    return {
        "frequency": len(known) - 1.0, "recency": float(known[-1] - known[0]), "T": float(at - known[0]),
        "net_sales": round(sum(values), 4), "repeat_sales": round(sum(values[1:]), 4), "last_value": values[-1],
        "gap_sum_of_squares": float(sum(gap * gap for gap in gaps)), "revenue_total": revenue,
        "margin_total": round(revenue * rate, 4),
    }  # fmt: skip


def windows(days: Days, at: int, step: int) -> dict[str, float]:
    """What was bought in the last so many steps before the end of that day."""
    found = {}
    for steps in STEPS:
        recent = [value for day, value in days.items() if at - day < steps * step]
        found |= {f"transactions_{steps}w": float(len(recent)), f"net_sales_{steps}w": round(sum(recent), 4)}
    return found


def batch_of(
    customers: Sequence[Customer], then: int, now: int, models: tuple[Valuation, Valuation], first: int = 0
) -> pa.RecordBatch:
    """As `warehouse/change_rows.py` hands them over; both clv as each side's own model gives them."""
    columns: dict[str, list] = {"customer_id": [], "clv_before": [], "clv": []}
    columns |= {f"{side}_{name}": [] for side in SIDES for name in COLUMNS}
    columns |= {
        window_column(side, state, name): [] for side, state, name in product(SIDES, COUNTED, windows({}, 0, 1))
    }
    for number, one in enumerate(customers, first):
        columns["customer_id"].append(f"c{number}")
        for side, days, at, rate, back in zip(
            SIDES, (one.then, one.now), (then, now), one.rates, one.returned, strict=True
        ):
            row = facts(days, at, rate, back) if days else dict.fromkeys(COLUMNS)
            for column in COLUMNS:
                columns[f"{side}_{column}"].append(row[column])
        for side, model in zip(SIDES, models, strict=True):
            for state, days, at in zip(COUNTED, (one.then, one.then, one.now), (then, now, now), strict=True):
                for name, value in windows(days, at, model.step_days).items():
                    columns[window_column(side, state, name)].append(value)
    columns["clv_before"] = [
        value if one.clv_before is None else one.clv_before
        for one, value in zip(
            customers, _own([one.then for one in customers], customers, 0, then, models[0]), strict=True
        )
    ]
    columns["clv"] = _own([one.now for one in customers], customers, 1, now, models[1])
    arrays = {"customer_id": pa.array(columns.pop("customer_id"), pa.string())}
    for name, column in columns.items():
        money = name in ("clv_before", "clv") or name.endswith(("_sales", "_total", "_value"))
        arrays[name] = _money(column) if money else pa.array(column, pa.float64())
    return pa.RecordBatch.from_pydict(arrays)


def _own(
    days: Sequence[Days], customers: Sequence[Customer], side: int, at: int, model: Valuation
) -> list[float | None]:
    """What the model says of each state as it is; None where there is no transaction."""
    rows = [
        facts(bought, at, one.rates[side], one.returned[side]) | windows(bought, at, model.step_days)
        for bought, one in zip(days, customers, strict=True)
        if bought
    ]
    values = iter(worths(rows, rows, rows, model))
    return [next(values) if bought else None for bought in days]


def _money(column: Sequence[float | None]) -> pa.Array:
    known = np.array([value is not None for value in column])
    array = to_money(np.array([value or 0.0 for value in column], dtype=float), known)
    assert array.type == MONEY
    return array


def worths(
    states: Sequence[Mapping[str, float]], of_spend: Sequence[Mapping], of_margin: Sequence[Mapping], model: Valuation
) -> list[float]:
    """The value of each state of behaviour with another's spend and another's margin."""
    sums = []
    for state, spender, earner in zip(states, of_spend, of_margin, strict=True):
        x, own = state["frequency"], spender["frequency"]
        known = x > 0 and own > 0
        revenue, whole = state["revenue_total"], earner["revenue_total"]
        weighed = revenue > 0 and whole > 0
        sums.append(
            (
                x if known else 0.0, x * (spender["repeat_sales"] / own) if known else 0.0,
                revenue * (earner["margin_total"] / whole) if weighed else 0.0, revenue if weighed else 0.0,
            )
        )  # fmt: skip
    x, sales, margin, revenue = (np.array(column) for column in zip(*sums, strict=True)) if sums else (np.empty(0),) * 4
    seen = [state | {"days_since_last": state["T"] - state["recency"]} for state in states]
    rows = Rows({name: np.array([row[name] for row in seen]) for name in {*HISTORY, *model.champion.needs}})
    return list(model.transactions(rows) * model.each(x, sales) * model.rate(margin, revenue))


def agreeing(state: dict[str, float], step: int) -> dict[str, float]:
    """Recent purchases that agree with the time since the last one."""
    silence = state["T"] - state["recency"]
    for steps in STEPS:
        count, sales = f"transactions_{steps}w", f"net_sales_{steps}w"
        if silence >= steps * step:
            state[count], state[sales] = 0.0, 0.0
        elif not state[count]:
            state[count], state[sales] = 1.0, state["last_value"]
    return state


def behaviours(one: Customer, then: int, now: int, step: int) -> dict[str, dict[str, float]]:
    """The states before, aged, with the new orders alone, with the new recency alone, and after."""
    old, new = (
        facts(days, at, rate, back)
        for days, at, rate, back in zip((one.then, one.now), (then, now), one.rates, one.returned, strict=True)
    )
    before, after = old | windows(one.then, then, step), new | windows(one.now, now, step)
    aged = old | {"T": new["T"]} | windows(one.then, now, step)
    x0, t0, x1, t1 = old["frequency"], old["recency"], new["frequency"], new["recency"]
    if (x0, t0) == (x1, t1):
        return {"before": before, "aged": after, "orders": after, "moved": after, "after": after}
    if t0 > new["T"]:
        return {"before": before, "aged": before, "orders": after, "moved": before, "after": after}
    if not x0 or not x1 or t0 < x1 or t1 < x0:
        return {"before": before, "aged": aged, "orders": after, "moved": aged, "after": after}
    orders = after | {"recency": t0, "gap_sum_of_squares": after["gap_sum_of_squares"] * (t0 / t1) ** 2}
    moved = aged | {"recency": t1, "gap_sum_of_squares": old["gap_sum_of_squares"] * (t1 / t0) ** 2}
    return {
        "before": before, "aged": aged, "orders": agreeing(orders, step), "moved": agreeing(moved, step), "after": after,
    }  # fmt: skip


def by_orderings(
    customers: Sequence[Customer], then: int, now: int, models: tuple[Valuation, Valuation]
) -> list[dict[str, float]]:
    """Shapley's value as he told it: what each player adds when it comes, over all 24 orders in which they may come."""
    states = [[behaviours(one, then, now, model.step_days) for one in customers] for model in models]
    own = [
        [facts(days, at, one.rates[side], one.returned[side]) for one, days in zip(customers, bought, strict=True)]
        for side, at, bought in ((0, then, [one.then for one in customers]), (1, now, [one.now for one in customers]))
    ]
    values = {
        (b, spend, margin, model): worths([each[b] for each in states[model]], own[spend], own[margin], models[model])
        for b in ("before", "aged", "orders", "moved", "after")
        for spend, margin, model in product((0, 1), repeat=3)
    }
    return [_of_one({key: column[n] for key, column in values.items()}) for n in range(len(customers))]


def _of_one(values: Mapping[tuple[str, int, int, int], float]) -> dict[str, float]:
    parts = dict.fromkeys(SHARED, 0.0)
    for order in permutations(("behaviour", "spend", "margin", "model")):
        there = {"spend": 0, "margin": 0, "model": 0}
        b = "before"
        for player in order:
            start = values[b, *there.values()]
            if player == "behaviour":
                b = "after"
                aged, orders, moved, end = (values[at, *there.values()] for at in ("aged", "orders", "moved", "after"))
                parts["time"] += (aged - start) / 24
                # Both orders of the two: the new orders first, and the new recency first.
                for first, of_orders in ((orders, True), (moved, False)):
                    parts["frequency" if of_orders else "recency"] += (first - aged) / 48
                    parts["recency" if of_orders else "frequency"] += (end - first) / 48
            else:
                there[player] = 1
                parts[player] += (values[b, *there.values()] - start) / 24
    return parts
