"""What repeats itself in histories is computed once: distinct numbers of transactions, distinct (x, T).

Belongs here: finding them fast, and the place of each row among them. Not here: what is computed of them.

Small whole numbers, as x and days are, are looked up in a table of what occurs: ten times faster than sorting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.mathematics.pieces import pieces
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# A table over all values up to the largest is worth it below this.
_DENSE_COUNTS, _DENSE_PAIRS = 2**20, 2**24


@dataclass(frozen=True, eq=False)
class Counts:
    """Numbers of transactions, ascending, among which are all of some rows; where they are few, every one to the largest."""

    values: Floats
    is_every: bool

    @classmethod
    def covering(cls, x: Floats) -> Counts:
        """Of the rows `x` (n,): for functions that cost less than finding the distinct ones."""
        most = float(np.max(x, initial=0.0))
        return cls(np.arange(most + 1.0), True) if most <= x.size else cls(distinct_counts(x)[0], False)

    def place(self, x: Floats) -> NDArray[np.intp]:
        """The place of each row among `values`; `x` are some of the rows."""
        return x.astype(np.intp) if self.is_every else np.searchsorted(self.values, x)


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
    if (float(np.max(x)) + 1.0) * span < _DENSE_PAIRS:
        key = _whole_keys(x, T, span)
        if key is not None:
            found, place = _of_table(key)
            return (np.floor_divide(found, span), np.mod(found, span)), place
    pairs, where = np.unique(np.column_stack([x, T]), axis=0, return_inverse=True)
    return (np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])), where.reshape(-1)


def _whole_keys(x: Floats, T: Floats, span: float) -> NDArray[np.intp] | None:
    """x span + T; None where x or T is not whole."""
    result = np.empty(x.size, dtype=np.intp)
    for rows in pieces(x.size):
        key = x[rows] * span
        key += T[rows]
        result[rows] = key
        if not np.array_equal(result[rows], key):
            return None
    return result


def _of_table(whole: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The values that occur, ascending, and the place of each row's among them. Its places are written into `whole`."""
    occurs = np.zeros(int(np.max(whole, initial=0)) + 1, dtype=bool)
    occurs[whole] = True
    found = np.flatnonzero(occurs)
    place = np.zeros(occurs.size, dtype=np.intp)
    place[found] = np.arange(found.size)
    for rows in pieces(whole.size):
        whole[rows] = place.take(whole[rows])
    return found, whole
