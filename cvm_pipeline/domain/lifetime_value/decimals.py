"""Money at the door: Arrow decimals to float64 or to whole ten-thousandths, and either to decimal(18, 4).

Belongs here: the conversions, by column, without a Python object per row. Not here: any arithmetic with money.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.lifetime_value.protocol import Floats

MONEY = pa.decimal128(18, 4)


def to_floats(column: pa.Array | pa.ChunkedArray, null: float = 0.0) -> Floats:
    """Any numeric Arrow column as float64, nulls as `null`; shape (n,)."""
    floats = pc.fill_null(pc.cast(column, pa.float64()), null)
    return np.asarray(
        floats.to_numpy() if isinstance(floats, pa.ChunkedArray) else floats.to_numpy(zero_copy_only=False)
    )


def to_money(values: Floats, valid: np.ndarray) -> pa.Array:
    """decimal(18, 4), half-even at the fourth decimal, null where not `valid`; what exceeds the type ends at its
    largest.

    Raises ValueError where a valid value is not finite.
    """
    kept = np.where(valid, values, 0.0)
    if not np.isfinite(kept).all():
        raise ValueError("money that is not finite can't be published")
    return from_units(rounded(kept), valid)


def rounded(values: Floats) -> np.ndarray:
    """Whole ten-thousandths (int64), half-even; what exceeds decimal(18, 4) ends at its largest. `values` are finite."""
    # The largest double below 10^18 is 128 under it: clipping in floats can't pass the type's end.
    return np.clip(np.rint(values * 1e4), -np.nextafter(1e18, 0), np.nextafter(1e18, 0)).astype(np.int64)


def to_units(column: pa.Array) -> np.ndarray:
    """A decimal(18, 4) column as whole ten-thousandths, exactly: int64 (n,), nulls as 0."""
    column = pc.fill_null(column.cast(MONEY), pa.scalar(0, MONEY))
    # 128 bits a value, of which 18 digits need the lower 64.
    words = np.frombuffer(column.buffers()[1], dtype="<i8")
    return words[2 * column.offset : 2 * (column.offset + len(column)) : 2].copy()


def from_units(units: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Whole ten-thousandths (int64) as decimal(18, 4), null where not `valid`."""
    words = np.empty((units.size, 2), dtype="<i8")
    words[:, 0], words[:, 1] = units, units >> 63
    bits = pa.py_buffer(np.packbits(np.asarray(valid, dtype=bool), bitorder="little").tobytes())
    return pa.Array.from_buffers(MONEY, units.size, [bits, pa.py_buffer(words.tobytes())])
