"""The value matrix: what a customer brought in the last 12 months against what it is expected to bring.

Belongs here: the two cuts and the four names. Not here: how clv or the margin are made.

star (high, high), grow (low margin, high clv), harvest (high margin, low clv), maintain (low, low); high is strictly
above the median of the buyers who are not excluded, so that a base where most have none calls nobody high for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.decimals import MONEY
from cvm_pipeline.domain.tiers import units

# By 2 x (margin is high) + (clv is high).
_NAMES = ("maintain", "grow", "harvest", "star")


@dataclass(frozen=True)
class Parameters:
    """The medians of margin_12m and clv over buyers not excluded, project currency; None where there is no such buyer.

    Of an even number the lower of the two in the middle: above it lie the very customers that lie above their mean,
    and it is exact in money.
    """

    margin_12m: Decimal | None = None
    clv: Decimal | None = None


def score(margin_12m: pa.Array, clv: pa.Array, bought: npt.NDArray[np.bool_], parameters: Parameters) -> pa.Array:
    """Name of each row, string (n,): null for who never bought, and for all where there are no cuts. Null clv counts as 0."""
    if parameters.margin_12m is None or parameters.clv is None:
        return pa.nulls(len(clv), pa.string())
    margin_is_high, clv_is_high = (
        units(money) > units(pa.array([cut], MONEY))[0]
        for money, cut in ((margin_12m, parameters.margin_12m), (clv, parameters.clv))
    )
    return pa.array(_NAMES).take(pa.array(2 * margin_is_high + clv_is_high, mask=~np.asarray(bought)))
