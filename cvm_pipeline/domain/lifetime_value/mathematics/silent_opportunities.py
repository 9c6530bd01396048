"""How likely BG/BB holds a silence to be: the sum over the opportunity at which the customer may have died in it.

Belongs here: that sum, right to its last digits and fast, with its slopes. Not here: the model around it (bg_bb.py).

Alive at opportunity t with x transactions so far, a customer is silent to n because it died at one of t..n-1, or did not:

    B = [gamma S + (gamma+delta+n) P] / (gamma+delta+t),  S = sum_{m=t}^{n-1} prod_{j=t}^{m-1} rho(j),  P = prod_{j=t}^{n-1} rho(j)
    rho(j) = (beta+j-x) (delta+j) / [(alpha+beta+j) (gamma+delta+j+1)],

(gamma+delta+n) P / (gamma+delta+t) being the share of who is still alive. Differences of suffix sums over the whole
history would cancel, and gamma functions at ten thousand lose four digits; products and sums of positive terms lose none.
So P and S are put together from those of blocks of 1, 2, 4, ... opportunities, which all histories of one x share: some
2 log2(n) blocks instead of n - t terms. An underflow is harmless: what it stands for is added to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value.mathematics.beta_lifetimes import Whole, whole_numbers
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Numbers held in the smallest blocks at a time.
_CHUNK = 400_000
_SLOPES = 4


@dataclass(frozen=True, eq=False)
class Silence:
    """P and S of each row (n,), and where asked for d log P and d S by alpha, beta, gamma, delta, each (n, 4)."""

    product: Floats
    total: Floats
    log_product_slopes: Floats
    total_slopes: Floats


class Silences:
    """Rows (x, t, n) of whole numbers, x <= t <= n: which blocks each is made of. A row's result depends on no other."""

    def __init__(self, x: Whole, t: Whole, n: Whole, slopes: bool) -> None:
        self._rows, self._slopes = x.size, slopes
        self._chunks = list(_chunks(x, t, n, 2 + 2 * _SLOPES if slopes else 2))

    def at(self, alpha: float, beta: float, gamma: float, delta: float) -> Silence:
        """P, S and their slopes at these parameters."""
        found = np.zeros((2 + 2 * _SLOPES if self._slopes else 2, self._rows))
        found[0] = 1.0
        for chunk in self._chunks:
            m = whole_numbers(chunk.longest)
            levels = [_ones(alpha, beta, gamma, delta, chunk.x, m, self._slopes)]
            while levels[-1].shape[2] > 1:
                pairs = levels[-1][:, :, : levels[-1].shape[2] // 2 * 2]
                levels.append(_join(pairs[:, :, 0::2], pairs[:, :, 1::2]))
            flat = [level.reshape(level.shape[0], -1) for level in levels]
            for rows, level, block in chunk.steps:
                found[:, rows] = _join(found[:, rows], flat[level][:, block])
        return Silence(found[0], found[1], found[2 : 2 + _SLOPES].T, found[2 + _SLOPES :].T)


def _ones(alpha: float, beta: float, gamma: float, delta: float, x: Floats, m: Floats, slopes: bool) -> Floats:
    """Blocks of one opportunity m, shape (fields, x, m): rho, 1, and d log rho, 0. Those with m < x are never used."""
    not_bought = beta + np.maximum(m - x[:, None], 0.0)
    either = alpha + beta + m
    lived, tossed = delta + m, gamma + delta + m + 1.0
    blocks = np.zeros((2 + 2 * _SLOPES if slopes else 2, x.size, m.size))
    # beta + m and alpha + beta + m are rounded alike over thousands of m: their ratio would carry that on, this does not.
    blocks[0] = 1.0 / ((1.0 + (alpha + x[:, None]) / not_bought) * (1.0 + (gamma + 1.0) / lived))
    blocks[1] = 1.0
    if slopes:
        blocks[2] = -1.0 / either
        blocks[3] = (alpha + x[:, None]) / (not_bought * either)
        blocks[4] = -1.0 / tossed
        blocks[5] = (gamma + 1.0) / (lived * tossed)
    return blocks


def _join(left: Floats, right: Floats) -> Floats:
    """Two stretches one after the other: P = P1 P2, S = S1 + P1 S2, and the slopes of both."""
    joined = np.empty(left.shape)
    np.multiply(left[0], right[0], out=joined[0])
    joined[1] = left[1] + left[0] * right[1]
    if left.shape[0] > 2:
        along, beyond = left[2 : 2 + _SLOPES], right[2 : 2 + _SLOPES]
        np.add(along, beyond, out=joined[2 : 2 + _SLOPES])
        joined[2 + _SLOPES :] = left[2 + _SLOPES :] + left[0] * (right[2 + _SLOPES :] + along * right[1])
    return joined


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some x, the longest history among them, and (rows, level, block) in the order in which to join them."""

    x: Floats
    longest: int
    steps: list[tuple[Whole, int, Whole]]


def _chunks(x: Whole, t: Whole, n: Whole, fields: int) -> Iterator[_Chunk]:
    silent = np.flatnonzero(n > t)
    order = silent[np.argsort(x[silent], kind="stable")]
    if order.size == 0:
        return
    starts = np.flatnonzero(np.diff(x[order], prepend=-1))
    values = x[order][starts]
    ends = np.append(starts[1:], order.size)
    longest = np.maximum.reduceat(n[order], starts)
    first = 0
    while first < values.size:
        # As many x as fit: the chunk is as wide as its longest history.
        widths = np.maximum.accumulate(longest[first:]) * np.arange(1, values.size - first + 1) * fields
        last = first + max(1, int(np.searchsorted(widths, _CHUNK, side="right")))
        rows = order[starts[first] : ends[last - 1]]
        width = int(longest[first:last].max())
        yield _Chunk(values[first:last].astype(np.float64), width, _steps(rows, x, t, n, values[first:last], width))
        first = last


def _steps(rows: Whole, x: Whole, t: Whole, n: Whole, values: Whole, width: int) -> list[tuple[Whole, int, Whole]]:
    """From t on: ever larger blocks as they are aligned, then ever smaller ones as they fit, up to n."""
    which, at, end = np.searchsorted(values, x[rows]), t[rows].copy(), n[rows]
    levels = width.bit_length()
    steps = []
    for level, rising in [(k, True) for k in range(levels)] + [(k, False) for k in reversed(range(levels))]:
        fits = at + (1 << level) <= end
        if rising:
            fits &= (at >> level) % 2 == 1
        taken = np.flatnonzero(fits)
        if taken.size:
            steps.append((rows[taken], level, which[taken] * (width >> level) + (at[taken] >> level)))
            at[taken] += 1 << level
    return steps
