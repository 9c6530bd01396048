"""Two populations of known parameters, bought by the models' own process on a grid of days. Simulation alone.

Belongs here: parameters and what is drawn from them. Not here: files (inputs.py).

Customers come in blocks, each from its own seed: memory is bounded by a block, and the first million of ten are the
million. As in a till's data, a customer's purchases of one day are one transaction, and times are whole days: this is
what makes grouping exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 100_000
BG_NBD, PARETO_NBD = "bg_nbd", "pareto_nbd"
DAYS_A_WEEK = 7.0

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Parameters by the papers' letters, timing in weeks. The first purchase falls on one of `acquired` days, uniformly;
    everybody is observed to the end of day `observed` (the first is day 0).
    """

    key: str
    name: str
    timing: Mapping[str, Mapping[str, float]]
    spend: Mapping[str, float]
    acquired: int
    observed: int
    seed: int = 2005


# Parameters of the papers on the 1/10 sample: Fader, Hardie & Lee (2005); CLVTools; Fader & Hardie (2013). 12 weeks of
# acquisition, 39 weeks observed.
CDNOW = Population(
    "cdnow",
    "CDNOW-like",
    {
        BG_NBD: {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881},
        PARETO_NBD: {"r": 0.55315, "alpha": 10.57633, "s": 0.60625, "beta": 11.6715},
    },
    {"p": 6.25, "q": 3.74, "v": 15.44},
    acquired=84,
    observed=272,
)
# Three years of a shop: half of its customers came back, and 10 million of them have 2.3 million distinct histories.
RETAIL = Population(
    "retail",
    "retail-like",
    {
        BG_NBD: {"r": 0.4, "alpha": 12.0, "a": 0.7, "b": 2.5},
        PARETO_NBD: {"r": 0.4, "alpha": 12.0, "s": 0.5, "beta": 30.0},
    },
    {"p": 4.0, "q": 5.0, "v": 60.0},
    acquired=1_095,
    observed=1_095,
)


@dataclass(frozen=True, eq=False)
class Purchases:
    """All purchases of a block, first ones too: `customer` 0.. within it, `moment` in days since day 0 began; by
    customer, then time.
    """

    customer: Ints
    moment: Floats


def blocks(customers: int) -> Iterator[range]:
    """The customers' numbers, block by block."""
    return (range(start, min(start + BLOCK, customers)) for start in range(0, customers, BLOCK))


def draw_purchases(population: Population, model: str, block: range) -> Purchases:
    """While alive a customer buys at a Poisson rate ~ gamma(r, alpha) a week. BG/NBD: after each repeat purchase it
    leaves with a chance ~ beta(a, b). Pareto/NBD: it lives an exponential time of rate ~ gamma(s, beta).
    """
    rng = _rng(population, model, block, "timing")
    p = population.timing[model]
    n = BLOCK  # Always a whole block, cut afterwards: the first of it are the same however many are asked for.
    birth = rng.integers(0, population.acquired, n) + rng.random(n)
    span = population.observed + 1.0 - birth
    rate = rng.gamma(p["r"], 1.0 / (p["alpha"] * DAYS_A_WEEK), n)
    most = np.full(n, np.inf)
    if model == BG_NBD:
        # A chance of 0 would make the last purchase infinite.
        most = rng.geometric(np.maximum(rng.beta(p["a"], p["b"], n), 1e-9)).astype(np.float64)
    else:
        death = np.maximum(rng.gamma(p["s"], 1.0 / (p["beta"] * DAYS_A_WEEK), n), 1e-300)
        span = np.minimum(span, rng.exponential(size=n) / death)
    wished = rng.poisson(rate * span)
    customer = np.repeat(np.arange(n), wished)
    # Given their number, the times of a Poisson process are uniform. One sort orders them within each customer.
    placed = np.sort(customer + rng.random(customer.size))
    repeat = np.arange(customer.size) - np.repeat(np.cumsum(wished) - wished, wished) + 1
    kept = (repeat <= most[customer]) & (customer < len(block))
    moment = birth[customer] + (placed - customer) * span[customer]
    customer = np.r_[np.arange(len(block)), customer[kept]]
    moment = np.r_[birth[: len(block)], moment[kept]]
    order = np.lexsort((moment, customer))
    # Rounding could carry the last moment of a span over midnight.
    return Purchases(customer[order], np.minimum(moment[order], population.observed + 1.0 - 1e-6))


def histories(population: Population, purchases: Purchases) -> tuple[Ints, Ints, Ints]:
    """x (days with a purchase after the first), t_x and T in days, one row per customer of the block."""
    day = purchases.moment.astype(np.int64)
    starts = np.flatnonzero(np.diff(purchases.customer, prepend=-1))
    another = np.r_[True, (np.diff(day) != 0) | (np.diff(purchases.customer) != 0)]
    first, last = day[starts], day[np.r_[starts[1:], day.size] - 1]
    return np.add.reduceat(another.astype(np.int64), starts) - 1, last - first, population.observed - first


def draw_sales(population: Population, model: str, block: range, x: Ints) -> Floats:
    """Each customer's total over its x repeat transactions, Gamma-Gamma: gamma(p x, nu), nu ~ gamma(q, v)."""
    rng = _rng(population, model, block, "spend")
    nu = rng.gamma(population.spend["q"], 1.0 / population.spend["v"], len(block))
    total = rng.gamma(np.maximum(population.spend["p"] * x, 1e-3)) / nu
    # A total of nothing is no repeat sale, and lifetimes refuses it.
    return np.where(x > 0, np.maximum(np.rint(total * 100.0) / 100.0, 0.01), 0.0)


def _rng(population: Population, model: str, block: range, what: str) -> np.random.Generator:
    return np.random.default_rng([population.seed, population.observed, block.start, *map(ord, f"{model} {what}")])
