"""Tracking: cumulative repeat transactions of a whole base, as they came and as a model expects them.

Belongs here: the sum over customers by their day of birth (Fader & Hardie's tracking plot). Not here: the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing

_POINTS = 120


@dataclass(frozen=True, eq=False)
class Tracking:
    """Both series at the same days, oldest first."""

    days: tuple[date, ...]
    actual: Floats
    expected: Floats


def track(timing: Timing, born: Floats, customers: float, repeats: pa.Table, as_of: date) -> Tracking:
    """`born`: days between each (sampled) customer's first transaction and `as_of`; `customers`: of the whole base;
    `repeats`: ordered_date and repeats, by day.
    """
    history = int(born.max(initial=0.0))
    ago = np.unique(np.linspace(history, 0, min(_POINTS, history + 1)).astype(np.int64))[::-1]
    tenure, count = np.unique(born, return_counts=True)
    each = customers / max(born.size, 1)
    of_age = timing.model.unconditional_expectation(timing.parameters, np.arange(history + 1, dtype=np.float64))
    expected = np.array([
        (count * of_age[np.maximum(tenure - past, 0).astype(np.int64)] * (tenure >= past)).sum() * each for past in ago
    ])  # fmt: skip
    day = np.asarray(repeats["ordered_date"].cast(pa.date32()).cast(pa.int32())) if repeats.num_rows else np.zeros(0)
    came = np.concatenate([[0.0], np.cumsum(to_floats(repeats["repeats"]))])
    days = tuple(as_of - timedelta(days=int(past)) for past in ago)
    at = np.array([(one - _EPOCH).days for one in days])
    return Tracking(days, came[np.searchsorted(day, at, side="right")], expected)


_EPOCH = date(1970, 1, 1)
