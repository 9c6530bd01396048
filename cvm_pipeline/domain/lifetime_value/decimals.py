"""Money at the door: Arrow decimals to float64, and float64 to decimal(18, 4), rounded half-even.

Belongs here: the two conversions, by column, without a Python object per row. Not here: any arithmetic with money.
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
    # The largest double below 10^18 is 128 under it: clipping in floats can't pass the type's end.
    units = np.clip(np.rint(kept * 1e4), -np.nextafter(1e18, 0), np.nextafter(1e18, 0)).astype(np.int64)
    words = np.empty((units.size, 2), dtype="<i8")
    words[:, 0], words[:, 1] = units, units >> 63
    bits = pa.py_buffer(np.packbits(np.asarray(valid, dtype=bool), bitorder="little").tobytes())
    return pa.Array.from_buffers(MONEY, units.size, [bits, pa.py_buffer(words.tobytes())])
