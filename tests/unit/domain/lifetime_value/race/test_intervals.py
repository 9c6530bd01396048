"""Correcting intervals by what ended windows showed, and intervals of totals."""

import numpy as np
import pytest
from scipy import stats

from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.intervals import (
    Correction,
    EndedWindow,
    TotalSpread,
    correct,
    corrected_pit,
    group_of,
    thirds,
    total_spread,
)

RNG = np.random.Generator(np.random.PCG64(3))


def window(size: int = 6000, spread: float = 1.0, shift: float = 0.0) -> EndedWindow:
    """Transforms of a predictive N(0, 1) where what came was N(shift, spread^2); value unrelated."""
    pit = stats.norm.cdf(RNG.normal(shift, spread, size))
    return EndedWindow(pit, RNG.gamma(1.0, 10.0, size))


def corrected_share(correction: Correction, judged: EndedWindow) -> float:
    low, high = correction.levels(group_of(judged.predicted, thirds(judged.predicted)))
    return metrics.central_share(corrected_pit(judged.pit, low, high))


def test_without_ended_windows_the_predictive_is_asked_as_it_is() -> None:
    assert correct([]) == Correction()
    assert Correction().low == (0.1, 0.1, 0.1)


def test_a_calibrated_predictive_is_left_alone() -> None:
    assert correct([window() for _ in range(3)]) == Correction(windows=3)


@pytest.mark.parametrize(("spread", "shift"), [(1.6, 0.0), (0.5, 0.0), (1.0, 0.7), (1.3, -0.5)])
def test_a_wrong_predictive_is_corrected_where_the_past_shows_it(spread: float, shift: float) -> None:
    past = [window(spread=spread, shift=shift) for _ in range(3)]
    now = window(spread=spread, shift=shift)
    raw = metrics.central_share(now.pit)
    assert not 0.78 <= raw <= 0.82
    assert corrected_share(correct(past), now) == pytest.approx(0.8, abs=0.03)


def test_a_third_that_is_off_alone_is_corrected_alone() -> None:
    size = 6000
    value = np.sort(RNG.gamma(1.0, 10.0, size))
    spread = np.where(np.arange(size) < size // 3, 2.0, 1.0)
    found = correct([EndedWindow(stats.norm.cdf(RNG.normal(size=size) * spread), value)] * 2)
    assert found.low[0] < 0.03 and found.high[0] > 0.97
    assert found.low[2] == 0.1


def test_a_small_past_moves_the_levels_little() -> None:
    found = correct([EndedWindow(np.full(60, 0.01), np.arange(60.0))])
    # Twenty customers a third weigh a tenth of the belief that the predictive is right.
    assert min(found.low) > 0.08


def test_levels_adapt_to_misses_window_by_window() -> None:
    """The predictive gets worse each time: the target moves outwards, as in adaptive conformal inference."""
    worse = correct([window(spread=s) for s in (1.0, 1.3, 1.7, 2.2)])
    assert max(worse.targets) < 0.1
    assert worse.windows == 4


def test_corrected_transforms_are_the_identity_at_the_plain_levels() -> None:
    pit = RNG.random(100)
    np.testing.assert_allclose(corrected_pit(pit, np.full(100, 0.1), np.full(100, 0.9)), pit, atol=1e-12)


def test_a_shrunken_interval_is_seen() -> None:
    judged = window()
    narrow = Correction(low=(0.3,) * 3, high=(0.7,) * 3)
    assert corrected_share(narrow, judged) < 0.75


def test_the_interval_of_a_total_is_not_the_sum_of_lows_and_highs() -> None:
    spread = TotalSpread(0.05, 6)
    low, high = spread.interval(np.array([1000.0]), np.array([900.0]))
    # Log-normal of mean 1000 and standard deviation sqrt(900 + 50^2), as far out as Student's t with six cuts.
    sigma = np.sqrt(np.log1p((900.0 + 50.0**2) / 1000.0**2))
    law = stats.lognorm(sigma, scale=1000.0 * np.exp(-(sigma**2) / 2))
    assert law.mean() == pytest.approx(1000.0) and law.std() == pytest.approx(np.sqrt(900.0 + 50.0**2))
    reach = stats.norm.cdf(stats.t.ppf(0.9, 6))
    assert (low[0], high[0]) == pytest.approx((law.ppf(1 - reach), law.ppf(reach)))


def test_the_interval_of_a_total_keeps_its_sign_whatever_its_error() -> None:
    """Sales can't fall below 0: no error of theirs makes the low end negative; a total of losses is normal."""
    low, high = TotalSpread(0.5, 1).interval(np.array([1000.0, 9.9, -50.0, 0.0]), np.array([1e6, 1e4, 25.0, 4.0]))
    assert (low[:2] > 0).all() and (high[:2] > [1000.0, 9.9]).all()
    np.testing.assert_allclose(-50.0 - low[2], high[2] + 50.0)
    np.testing.assert_allclose(-low[3], high[3])


def test_fewer_than_five_cuts_prove_nothing() -> None:
    assert not TotalSpread(0.05, 4).is_proven and TotalSpread(0.05, 5).is_proven
    assert total_spread(np.zeros(0), np.zeros(0), np.zeros(0)) == TotalSpread(0.0, 0)


def test_totals_cover_where_cuts_differ_by_more_than_chance() -> None:
    """600 bases of 8 cuts with a common shock of 10 %: the 80 % interval made from seven covers the eighth."""
    rng = np.random.Generator(np.random.PCG64(8))
    inside = []
    for _ in range(600):
        predicted = np.full(8, 5000.0)
        actual = predicted * (1.0 + 0.1 * rng.normal(size=8)) + 70.0 * rng.normal(size=8)
        found = total_spread(predicted[:7], actual[:7], np.full(7, 70.0**2))
        low, high = found.interval(predicted[7:], np.full(1, 70.0**2))
        inside.append(low[0] <= actual[7] <= high[0])
    # Two standard errors of a share of .8 over 600 are .033.
    assert np.mean(inside) == pytest.approx(0.8, abs=0.04)


def test_a_shrunken_interval_of_totals_covers_too_little() -> None:
    """Totals whose cuts differ by 10 %: the spread that was seen covers; a fifth of it does not."""
    rng = np.random.Generator(np.random.PCG64(8))
    sound, shrunken, bases = 0, 0, 400
    for _ in range(bases):
        actual = 1000.0 * (1.0 + 0.1 * rng.standard_normal(7))
        spread = total_spread(np.full(6, 1000.0), actual[:6], np.full(6, 100.0))
        for which, share in (("sound", spread.share), ("shrunken", spread.share / 5)):
            low, high = TotalSpread(share, spread.cuts).interval(np.array([1000.0]), np.array([100.0]))
            covered = bool(low[0] <= actual[6] <= high[0])
            sound, shrunken = sound + covered * (which == "sound"), shrunken + covered * (which == "shrunken")
    # 80 % promised; two standard errors of 400 draws are 4 points.
    assert 0.76 <= sound / bases <= 0.84
    assert shrunken / bases < 0.4
