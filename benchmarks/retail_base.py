"""A retail base of known parameters: who buys when, for how much, and what is returned. Simulation alone, as arrays.

Belongs here: the random variables and their parameters. Not here: files, ids, how a till spells a line
(retail_data.py).

Customers are drawn in blocks, each from its own seed: memory is bounded by a block, and a base is the same whatever
else is drawn. What is returned, and every line that arrives broken, comes on top of what is kept: so the net purchase
histories and spend are exactly those of the parameters, and a fit can be held against them. One thing remains:
purchases of one day are one transaction, which merges 1.5 % of the repeats (the busiest customers'). At 100,000
customers MBG/NBD fitted to the instants gives r .792, alpha 7.95, a .620, b 3.14, all within 1.4 standard errors; to
the days .825, 8.44, .596, 2.91.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIRST_DAY, LAST_DAY = dt.date(2023, 1, 1), dt.date(2024, 12, 31)
SECONDS = ((LAST_DAY - FIRST_DAY).days + 1) * 86_400
PRODUCTS = 20_000
RETURNED_SHARE, BROKEN_SHARE = 0.02, 0.01

_WEEK = 7 * 86_400.0
_LONGEST_RETURN = 30 * 86_400
_BLOCK = 20_000
_TIMING, _BASKETS = 0, 1

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RetailBase:
    """How large, and its parameters by the papers' letters: MBG/NBD r, alpha (weeks), a, b; Gamma-Gamma p, q, v.

    `lines`: rows of all files together, met within about a tenth of a percent. Raises ValueError where there are fewer
    lines than orders.
    """

    customers: int = 1_000_000
    lines: int = 20_000_000
    seed: int = 2007
    r: float = 0.8
    alpha: float = 8.0
    a: float = 0.6
    b: float = 3.0
    p: float = 4.0
    q: float = 5.0
    v: float = 60.0

    def __post_init__(self) -> None:
        if self.customers < 1:
            raise ValueError(f"a base needs at least 1 customer, not {self.customers}")

    @property
    def kept_lines(self) -> float:
        """Lines that are neither returned nor a return nor broken."""
        return self.lines / (1.0 + 2.0 * RETURNED_SHARE + BROKEN_SHARE)

    @property
    def blocks(self) -> list[range]:
        """The customers' numbers, block by block."""
        return [range(start, min(start + _BLOCK, self.customers)) for start in range(0, self.customers, _BLOCK)]


@dataclass(frozen=True, eq=False)
class Orders:
    """Orders of a block: `customer` within it (0..), `second` since the first day began; by customer, then time."""

    customer: Ints
    second: Ints


@dataclass(frozen=True, eq=False)
class Lines:
    """Rows of a block, as a till would write them, by time.

    `order`: within the block; `second` since the first day began; `pieces` is negative on a return. `is_return`: the
    line stands on the return document of its order. `broken`: 0, or 1..4 for what is wrong with it.
    """

    order: Ints
    customer: Ints
    second: Ints
    product: Ints
    pieces: Ints
    cents: Ints
    is_return: NDArray[np.bool_]
    names_order: NDArray[np.bool_]
    broken: Ints


def draw_orders(base: RetailBase, block: range) -> Orders:
    """Purchases of a block: first ones uniform over the two years, repeats by MBG/NBD (Batislam et al. 2007).

    While alive a customer buys at a rate ~ gamma(r, alpha) a week; after every transaction, the first too, it leaves
    with a chance ~ beta(a, b).
    """
    rng = np.random.default_rng([base.seed, block.start, _TIMING])
    n = len(block)
    first = rng.integers(0, SECONDS, n)
    left = SECONDS - first
    rate = rng.gamma(base.r, 1.0 / base.alpha, n)
    # The transaction after which the coin says leave; a chance of 0 would make it infinite.
    last = rng.geometric(np.maximum(rng.beta(base.a, base.b, n), 1e-9))
    wished = rng.poisson(rate * left / _WEEK)
    customer = np.repeat(np.arange(n), wished)
    # Given their number, the times of a Poisson process are uniform. One sort orders them within each customer.
    placed = np.sort(customer + rng.random(customer.size))
    repeat = np.arange(customer.size) - np.repeat(np.cumsum(wished) - wished, wished) + 1
    second = first[customer] + ((placed - customer) * left[customer]).astype(np.int64)
    alive = repeat < last[customer]
    customer = np.r_[np.arange(n), customer[alive]]
    second = np.minimum(np.r_[first, second[alive]], SECONDS - 1)
    order = np.lexsort((second, customer))
    return Orders(customer[order], second[order])


def draw_lines(base: RetailBase, basket: float) -> Iterator[tuple[range, Lines]]:
    """Every block's rows. An order's value is Gamma-Gamma (Fader & Hardie 2013), split over 1 + Poisson lines.

    `basket`: kept lines an order in the mean, as `lines_per_order` finds it.
    """
    for block in base.blocks:
        orders = draw_orders(base, block)
        yield block, _lines_of(base, block, orders, basket)


def lines_per_order(base: RetailBase) -> float:
    """The mean basket that leads to the wanted number of lines. Raises ValueError where it is below one line."""
    orders = sum(draw_orders(base, block).customer.size for block in base.blocks)
    mean = base.kept_lines / orders
    if mean < 1.0:
        least = int(np.ceil(base.lines / mean))
        raise ValueError(f"{base.customers:,} customers place {orders:,} orders: at least {least:,} lines are needed")
    return mean


def _lines_of(base: RetailBase, block: range, orders: Orders, basket: float) -> Lines:
    rng = np.random.default_rng([base.seed, block.start, _BASKETS])
    count = orders.customer.size
    size = 1 + rng.poisson(basket - 1.0, count)
    order = np.repeat(np.arange(count), size)
    nu = rng.gamma(base.q, 1.0 / base.v, len(block))
    value = rng.gamma(base.p, 1.0 / nu[orders.customer])
    weight = rng.exponential(size=order.size)
    share = weight / np.add.reduceat(weight, np.cumsum(size) - size)[order]
    pieces = 1 + rng.poisson(0.5, order.size)
    cents = np.maximum(np.rint(value[order] * share * 100.0 / pieces), 1.0).astype(np.int64)
    # A few products sell most.
    product = (PRODUCTS * rng.random(order.size) ** 3).astype(np.int64)

    # Scanned once more, and that one brought back: net, nothing has changed.
    twice = np.flatnonzero(rng.random(order.size) < RETURNED_SHARE)
    broken = rng.integers(0, order.size, rng.binomial(order.size, BROKEN_SHARE))
    row = np.r_[np.arange(order.size), twice, twice, broken]
    is_return = np.zeros(row.size, dtype=bool)
    is_return[order.size + twice.size : order.size + 2 * twice.size] = True
    wrong = np.zeros(row.size, dtype=np.int64)
    wrong[row.size - broken.size :] = rng.integers(1, 5, broken.size)

    returned = np.minimum(orders.second + rng.integers(86_400, _LONGEST_RETURN, count), SECONDS - 1)
    names_order = rng.random(count) < 0.5
    of = order[row]
    second = np.where(is_return, returned[of], orders.second[of])
    by_time = np.argsort(second, kind="stable")
    row, of, is_return = row[by_time], of[by_time], is_return[by_time]
    return Lines(
        order=of,
        customer=orders.customer[of],
        second=second[by_time],
        product=product[row],
        pieces=np.where(is_return, -pieces[row], pieces[row]),
        cents=cents[row],
        is_return=is_return,
        names_order=is_return & names_order[of],
        broken=wrong[by_time],
    )
