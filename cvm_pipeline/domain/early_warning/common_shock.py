"""What moved the whole base in a window, by customer_type: seasons, holidays, a closed shop. Nobody is warned for it.

Belongs here: the index of each group of tested customers, and when the base itself is one alarm. Not here: p-values.

index = 1 + w (actual / expected - 1), w = tau^2 / (tau^2 + v), within .3 .. 3: the empirical-Bayes mean of a common factor
around 1. Expected counts have P(alive) and dying inside, so that ordinary attrition alone gives 1. v is the ratio's
sampling variance by the predictive: a handful of customers says little of the base, and its index stays near 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# How far a base's window lies from what its past expects, as a standard deviation: months of retail differ by 20-40 %
# over a year, quarters by half of that.
TAU = 0.3
LOWEST, HIGHEST = 0.3, 3.0
BASE_ALARM_BELOW = 0.8


@dataclass(frozen=True)
class Index:
    """One group's: `customers` tested, `observed` transactions, `expected` ones, `ratio` before and `index` after shrinking."""

    customers: int
    observed: float
    expected: float
    ratio: float
    index: float

    @property
    def is_base_alarm(self) -> bool:
        """Whether the base itself fell: one alarm for all of its customers."""
        return self.index < BASE_ALARM_BELOW


def index_of(observed: Iterable[float], expected: Iterable[float], variance: Iterable[float]) -> Index:
    """The index of one group, from its customers' counts, expectations with attrition and their variances.

    Summed exactly, so that no order of rows moves it. 1 where nothing is expected.
    """
    counts = list(observed)
    actual, mean, spread = math.fsum(counts), math.fsum(expected), math.fsum(variance)
    if mean <= 0:
        return Index(len(counts), actual, mean, 1.0, 1.0)
    ratio = actual / mean
    weight = TAU**2 / (TAU**2 + spread / mean**2)
    return Index(len(counts), actual, mean, ratio, float(np.clip(1.0 + weight * (ratio - 1.0), LOWEST, HIGHEST)))


def indices(group: np.ndarray, observed: Floats, expected: Floats, variance: Floats) -> dict[object, Index]:
    """The index of each group; `group` (n,): what tells the groups apart, such as 'individual 91'."""
    return {
        one: index_of(*(column[group == one].tolist() for column in (observed, expected, variance)))
        for one in sorted(set(group.tolist()))
    }
