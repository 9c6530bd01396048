"""How far to the next tier: against the scoring of tiers itself, whatever the band."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain import tiers
from cvm_pipeline.domain.tier_distance import Distance, Neighbour, distance

CUTS = {"a_least_value": 100.0, "a_sure_from_value": 110.0, "a_keeps_from_value": 90.0, "b_least_value": 20.0,
        "b_sure_from_value": 22.0, "b_keeps_from_value": 18.0}  # fmt: skip


def test_the_way_up_ends_at_the_far_side_of_the_band_and_the_way_down_at_the_near_one() -> None:
    assert distance("A", 200, CUTS) == Distance(None, Neighbour("B", 90.0, 110.0))
    assert distance("B", 95, CUTS) == Distance(Neighbour("A", 110.0, 15.0), Neighbour("C", 18.0, 77.0))
    assert distance("C", 5.5, CUTS) == Distance(Neighbour("B", 22.0, 16.5), None)


def test_a_prospect_has_no_distance_and_thresholds_have_no_band() -> None:
    assert distance("D", 0, CUTS) == Distance(None, None)
    assert distance("B", 50, {"a_least_value": 100.0, "b_least_value": 20.0}) == Distance(
        Neighbour("A", 100.0, 50.0), Neighbour("C", 20.0, 30.0)
    )


def test_a_cut_that_nobody_reaches_has_no_distance() -> None:
    assert distance("B", 50, {"b_least_value": 20.0}).up is None


@pytest.mark.parametrize("tier", ["A", "B", "C"])
def test_going_the_distance_changes_the_tier_and_stopping_short_of_it_does_not(tier: str) -> None:
    rng = np.random.default_rng(5)
    value = pa.array([Decimal(f"{v:.4f}") for v in np.sort(rng.gamma(0.5, 200, 300))[::-1]], tiers.MONEY)
    ids = pa.array([f"c{n:03}" for n in range(300)])
    everybody = np.ones(300, bool)
    fitted = tiers.fit(ids, value, everybody)
    cuts = {}
    for letter, cut in (("a", fitted.below_a), ("b", fitted.below_b)):
        for name, key in (("least", cut.at), ("sure_from", cut.lower), ("keeps_from", cut.upper)):
            assert key is not None
            cuts[f"{letter}_{name}_value"] = key.units / 10_000
    scored = tiers.score(ids, value, everybody, fitted).to_pylist()
    # Between the bands of both cuts, or within one of them: wherever the tier is kept.
    row = [n for n, each in enumerate(scored) if each == tier][3]
    away = distance(tier, float(value[row].as_py()), cuts)

    def placed(at: float) -> str:
        one = pa.array([Decimal(f"{at:.4f}")], tiers.MONEY)
        # An id before all others of the same value.
        return str(tiers.score(pa.array(["a"]), one, np.ones(1, bool), fitted, pa.array([tier]))[0].as_py())

    for neighbour, step in ((away.up, 0.0001), (away.down, -0.0001)):
        if neighbour is not None:
            assert placed(neighbour.at + step) == neighbour.tier
            assert placed(neighbour.at - step) == tier
