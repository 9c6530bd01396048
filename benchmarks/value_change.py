"""How long the division of a change of value takes: a million customers, a month apart, by a probability model and by the
average with trees.

Belongs here: made-up states of both dates, the clock, the memory. Not here: reading them from the facts, which streams.

    python -m benchmarks.value_change [--customers 1000000]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.behaviour_states import COLUMNS, COUNTED, SIDES, STEPS, THEN, window_column
from cvm_pipeline.domain.lifetime_value.decimals import to_floats, to_money
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats
from cvm_pipeline.domain.lifetime_value.race.entrants import Probability, Timing
from cvm_pipeline.domain.lifetime_value.race.gradient_boosting import Average, Boosted, Trees, train
from cvm_pipeline.domain.lifetime_value.race.slices import BEHAVIOUR, Outcome, Rows
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.domain.lifetime_value.value_model import Settings
from cvm_pipeline.domain.value_change import changes
from cvm_pipeline.warehouse.work import BATCH_ROWS

MONTH, STEP = 30, 60
_BUYS_IN_A_MONTH = 0.15


def main() -> None:
    """Print seconds and peak memory of each pair of models."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--customers", type=int, default=1_000_000)
    customers = asked.parse_args().customers
    for name, before, now in (
        ("mbg_nbd", _model(1.0), _model(1.1)),
        ("average with trees", _average(1.0, 1), _average(1.1, 2)),
    ):
        seconds, rows = 0.0, 0
        for batch in _batches(customers, before, now):
            started = time.perf_counter()
            rows += changes(batch, before, now).num_rows
            seconds += time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {rows:,} customers in {seconds:.1f} s, peak {peak:,.0f} MiB", flush=True)


def _batches(customers: int, before: Valuation, now: Valuation) -> Iterator[pa.RecordBatch]:
    chance = np.random.default_rng(1)
    for start in range(0, customers, BATCH_ROWS):
        yield _batch(chance, min(BATCH_ROWS, customers - start), before, now)


def _batch(chance: np.random.Generator, size: int, before: Valuation, now: Valuation) -> pa.RecordBatch:
    x = chance.geometric(0.3, size) - 1.0
    T = chance.integers(200, 1500, size).astype(float)
    t_x = np.where(x > 0, np.maximum(np.floor(T * chance.random(size)), x), 0.0)
    bought = chance.random(size) < _BUYS_IN_A_MONTH
    x1 = x + bought
    t1 = np.where(bought, T + chance.integers(1, MONTH, size), t_x)
    mean = np.round(chance.gamma(4.0, 10.0, size), 4)
    columns: dict[str, pa.Array] = {"customer_id": pa.array([f"c{n}" for n in range(size)])}
    for side, frequency, recency, age in zip(SIDES, (x, x1), (t_x, t1), (T, T + MONTH), strict=True):
        revenue = mean * (frequency + 1.0)
        facts = {
            "frequency": frequency, "recency": recency, "T": age, "net_sales": revenue, "repeat_sales": mean * frequency,
            "last_value": mean, "gap_sum_of_squares": recency**2 / np.maximum(frequency, 1.0),
            "margin_total": 0.4 * revenue, "revenue_total": revenue,
        }  # fmt: skip
        columns |= {f"{side}_{name}": pa.array(facts[name]) for name in COLUMNS}
    for model, state, steps in product(SIDES, COUNTED, STEPS):
        count = np.minimum(chance.poisson(0.2 * steps, size), x + 1.0)
        columns[window_column(model, state, f"transactions_{steps}w")] = pa.array(count)
        columns[window_column(model, state, f"net_sales_{steps}w")] = pa.array(count * mean)
    every = np.ones(size, dtype=bool)
    published = [to_money(_value(columns, *each), every) for each in zip(SIDES, (before, now), strict=True)]
    columns |= dict(zip(("clv_before", "clv"), published, strict=True))
    return pa.RecordBatch.from_pydict(columns)


def _value(columns: dict[str, pa.Array], side: str, model: Valuation) -> Floats:
    own = {name: to_floats(columns[f"{side}_{name}"]) for name in COLUMNS}
    own["days_since_last"] = own["T"] - own["recency"]
    for steps, what in product(STEPS, ("transactions", "net_sales")):
        state = "before" if side == THEN else "after"
        own[f"{what}_{steps}w"] = to_floats(columns[window_column(side, state, f"{what}_{steps}w")])
    each = model.each(own["frequency"], own["repeat_sales"])
    return model.transactions(Rows(own)) * (each * model.rate(own["margin_total"], own["revenue_total"]))


def _model(scale: float) -> Valuation:
    def fit(**parameters: float) -> Fit:
        return Fit(parameters, {}, None, 1e6, True, 0.0, time_unit_days=7.0)

    timing = Timing(transaction_model("mbg_nbd"), fit(r=0.5 * scale, alpha=6.2, a=0.9, b=1.6))
    money = Spend(fit(p=6.2, q=3.7, v=15.4), 30.0, False)
    margins = MarginParameters(0.35, 0.01, 2.0, 1e6, False)
    return Valuation(Settings(), money, margins, Probability(timing), 360.0, STEP, timing)


def _average(scale: float, seed: int) -> Valuation:
    chance = np.random.default_rng(seed)
    size = 20_000
    columns: dict[str, Floats] = {name: chance.gamma(1.0, 20.0, size) for name in BEHAVIOUR}
    columns |= {
        "frequency": chance.geometric(0.3, size).astype(float) - 1.0,
        "T": chance.integers(200, 1500, size).astype(float),
    }
    columns["recency"] = np.where(columns["frequency"] > 0, columns["T"] * chance.random(size), 0.0)
    came = chance.poisson(columns["frequency"] / columns["T"] * 120).astype(float)
    trees = train([(Rows(columns), Outcome(came, came, 120))])
    if not isinstance(trees, Trees):
        raise ValueError(trees)
    model = _model(scale)
    return replace(model, champion=Average(Boosted(trees, model.champion.timing, 360.0)))


if __name__ == "__main__":
    main()
