"""How far a customer is from the next tier, by the cuts as they were published.

Belongs here: which published cut moves whom. Not here: the cuts themselves (`tiers.py`).

Within the band of a cut a customer keeps its tier, so that the way up ends at the far side of the band and the way down at
the near one; where tiers have no band (thresholds) both are the cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Neighbour:
    """A tier beside the customer's own: it begins at `at`, `away` from the customer's total_value (project currency)."""

    tier: str
    at: float
    away: float


@dataclass(frozen=True)
class Distance:
    """The tiers above and below; None where there is none, or no value would lead there."""

    up: Neighbour | None
    down: Neighbour | None


def distance(tier: str, total_value: float, parameters: Mapping[str, float]) -> Distance:
    """From `segment_parameter` of scheme tier: `a_least_value`, `a_sure_from_value`, `a_keeps_from_value`, the same of b.

    The cuts hold while the base stays as it is: they move with everybody's value. A prospect (D) has no distance, it needs a
    purchase. Raises KeyError for a tier that is none.
    """
    above, below = {"A": (None, "a"), "B": ("a", "b"), "C": ("b", None), "D": (None, None)}[tier]
    return Distance(
        None if above is None else _neighbour(above.upper(), f"{above}_sure_from_value", above, total_value, parameters),
        None if below is None else _neighbour("BC"["ab".index(below)], f"{below}_keeps_from_value", below, total_value, parameters),
    )  # fmt: skip


def _neighbour(tier: str, cut: str, letter: str, value: float, parameters: Mapping[str, float]) -> Neighbour | None:
    at = parameters.get(cut, parameters.get(f"{letter}_least_value"))
    return None if at is None else Neighbour(tier, at, round(abs(value - at), 4))
