"""The loyal customer (忠诚), a flag beside the stage: buys often, has done so for long, and is still there.

Belongs here: the flag and its two cut points.
Not here: stages (`lifecycle.py`). A complaint that is open would end the flag; no source of complaints is
read yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvm_pipeline.domain.rfm import Counts, edges

Floats = npt.NDArray[np.float64]

ALIVE_ABOVE = 0.8


@dataclass(frozen=True)
class Parameters:
    """Least frequency (count) and least tenure T (days) of the upper third; infinite where nobody was fitted
    on.
    """

    frequency: float
    tenure: float


def fit(frequency: Counts, tenure: Counts) -> Parameters:
    """Cut points from grouped counts of customers with a transaction, excluded ones left out; thirds by
    midrank (`rfm.edges`).
    """
    return Parameters(edges(frequency, 3, integral=True)[-1], edges(tenure, 3, integral=True)[-1])


def score(frequency: Floats, tenure: Floats, p_alive: Floats, parameters: Parameters) -> npt.NDArray[np.bool_]:
    """True for the loyal, (n,). A prospect (tenure NaN) and a customer without p_alive (NaN) are not."""
    long_here = np.asarray(tenure) >= parameters.tenure
    return (np.asarray(frequency) >= parameters.frequency) & long_here & (np.asarray(p_alive) > ALIVE_ABOVE)
