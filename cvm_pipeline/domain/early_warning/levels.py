"""How much is at stake: value at risk, the level by it, and the cuts between levels.

Belongs here: these three. Not here: prices (`lifetime_value/pricing.py`), who is warned (`step_up.py`).

Value at risk is the larger of what is lost if the customer has gone, value if alive x (1 - p_alive), and, for a fall in rate,
of what its clv has lost: that of the history at the window's start less that of today's; never below 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.contracts import WARNING_LEVELS
from cvm_pipeline.domain.lifetime_value.decimals import MONEY
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Of the positive clv of unflagged customers.
WARNING_QUANTILE, CRITICAL_QUANTILE = 0.5, 0.9


@dataclass(frozen=True)
class Cuts:
    """The least value at risk of `warning` and of `critical`, project currency; None: out of reach."""

    warning: Decimal | None
    critical: Decimal | None


def value_at_risk(
    value_if_alive: Floats, p_alive: Floats, clv_before: Floats, clv_now: Floats, rate_fell: npt.NDArray[np.bool_]
) -> Floats:
    """Project currency, (n,), 0 or more."""
    fall = np.where(rate_fell, clv_before - clv_now, 0.0)
    return np.maximum(np.maximum(value_if_alive * (1.0 - p_alive), fall), 0.0)


def level(at_risk: pa.Array, cuts: Cuts) -> pa.Array:
    """watch, warning or critical, string (n,). `at_risk`: decimal(18, 4), as it is published."""
    code = np.zeros(len(at_risk), dtype=np.intp)
    for rank, cut in enumerate((cuts.warning, cuts.critical), 1):
        if cut is not None:
            reaches = pc.greater_equal(at_risk, pa.scalar(cut, MONEY))
            code[np.asarray(reaches.to_numpy(zero_copy_only=False), dtype=bool)] = rank
    return pa.array(WARNING_LEVELS).take(pa.array(code))
