"""Bases of very different rhythm, simulated with fixed seeds: what nobody configured must be sensible on all of them.

Belongs here: who buys when, for how much, and what comes back. Not here: what stages make of it.

A customer buys at gaps of its own mean (gamma over the base, the shape of a single gap per base), and is gone after a
purchase with a probability of its own (beta): the buy-till-you-die world of BG/NBD, with other gaps where the base has others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from clean_fixture import History, order


@dataclass(frozen=True)
class Base:
    """`gap` days between purchases in the mean, `spread`: the gamma shape of customers' means, `shape`: of single gaps (large:
    regular); `gone`: the two of the beta; `years` observed; `step` days between snapshots; `returned`: share of orders that
    come back, half of them whole.
    """

    customers: int
    gap: float
    spread: float
    shape: float
    gone: tuple[float, float]
    years: float
    step: int
    returned: float = 0.0
    seed: int = 1

    @property
    def start(self) -> dt.date:
        return dt.date(2014, 1, 1)

    @property
    def end(self) -> dt.date:
        return self.start + dt.timedelta(days=round(365.25 * self.years))

    def history(self) -> History:
        history = History()
        for number in range(self.customers):
            history.orders += self._orders(number)
        return history

    def _orders(self, number: int) -> Iterator[dict]:
        rng = np.random.default_rng((self.seed, number))
        own, gone = self.gap * rng.gamma(self.spread) / self.spread, rng.beta(*self.gone)
        mean = 20 + rng.gamma(2.0, 30.0)
        # Newcomers in the first 80 % of the time: the last fifth has some of every age.
        clock = rng.uniform(0, 0.8) * self.years * 365.25
        for position in range(100_000):
            on = self.start + dt.timedelta(days=int(clock))
            if on > self.end:
                return
            paid = Decimal(int(100 * mean * rng.gamma(4.0) / 4.0) + 100) / 100
            name = f"o{number:04}-{position:04}"
            yield order(name, f"c{number:04}", on, paid, cost=None)
            if rng.random() < self.returned:
                back = paid if rng.random() < 0.5 else (paid / 2).quantize(Decimal("0.01"))
                later = on + dt.timedelta(days=int(rng.integers(1, 21)))
                yield order(f"r{name}", f"c{number:04}", later, -back, refers_to=name, cost=None)
            if rng.random() < gone:
                return
            clock += max(1.0, own * rng.gamma(self.shape) / self.shape)


BASES = {
    "weekly grocer": Base(300, gap=7, spread=6, shape=3, gone=(1, 30), years=1.6, step=21),
    "yearly insurer": Base(900, gap=365, spread=400, shape=300, gone=(1, 5), years=11, step=273),
    "50 accounts": Base(50, gap=45, spread=2, shape=1.5, gone=(1, 14), years=3, step=45, seed=3),
    "heavy returns": Base(700, gap=50, spread=1.5, shape=1, gone=(1, 4), years=3, step=60, returned=0.4),
}
