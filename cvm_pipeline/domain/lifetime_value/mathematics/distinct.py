"""What repeats itself in histories is computed once: distinct numbers of transactions, distinct (x, T).

Belongs here: finding them fast, and the place of each row among them. Not here: what is computed of them.

Small whole numbers, as x and days are, are looked up in a table of what occurs: ten times faster than sorting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# A table over all values up to the largest is worth it below this.
_DENSE_COUNTS, _DENSE_PAIRS = 2**20, 2**24


def distinct_counts(x: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """The distinct numbers of transactions, and which of them each row has. x: whole numbers."""
    whole = x.astype(np.intp)
    if int(np.max(whole, initial=0)) >= _DENSE_COUNTS:
        counts, which = np.unique(whole, return_inverse=True)
        return counts.astype(np.float64), which
    counts, which = _of_table(whole)
    return counts.astype(np.float64), which


def distinct_pairs(x: Floats, T: Floats) -> tuple[tuple[Floats, Floats], NDArray[np.intp]]:
    """The distinct (x, T), and the place of each row among them."""
    if x.size == 0:
        return (x, T), np.zeros(0, dtype=np.intp)
    span = float(np.max(T)) + 1.0
    key = x * span
    key += T
    if float(np.max(key)) < _DENSE_PAIRS:
        whole = key.astype(np.intp)
        if np.array_equal(whole, key):
            found, place = _of_table(whole)
            return (np.floor_divide(found, span), np.mod(found, span)), place
    pairs, where = np.unique(np.column_stack([x, T]), axis=0, return_inverse=True)
    return (np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])), where.reshape(-1)


def _of_table(whole: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    occurs = np.zeros(int(np.max(whole, initial=0)) + 1, dtype=bool)
    occurs[whole] = True
    found = np.flatnonzero(occurs)
    place = np.zeros(occurs.size, dtype=np.intp)
    place[found] = np.arange(found.size)
    return found, place[whole]
