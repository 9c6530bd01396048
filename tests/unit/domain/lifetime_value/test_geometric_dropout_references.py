"""BG/NBD and MBG/NBD against published numbers: ../shared/reference/clv_numbers.md, sections 1, 2, 5 and 6."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import bg_nbd, mbg_nbd
from cvm_pipeline.domain.lifetime_value.protocol import Fit, PurchaseHistories

BG, MBG = bg_nbd.MODEL, mbg_nbd.MODEL
ROUNDED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}


def one(value: float) -> np.ndarray:
    return np.array([value])


@pytest.fixture(scope="module")
def bg(cdnow) -> Fit:
    return BG.fit(cdnow.histories())


@pytest.fixture(scope="module")
def mbg(cdnow) -> Fit:
    return MBG.fit(cdnow.histories())


def test_the_sample_is_the_papers(cdnow) -> None:
    assert cdnow.frequency.size == 2357
    assert (cdnow.frequency > 0).sum() == 946
    assert cdnow.frequency.sum() == 2457
    assert cdnow.holdout.sum() == 1882


def test_bg_nbd_finds_the_published_parameters(bg) -> None:
    published = {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}
    assert dict(bg.parameters) == pytest.approx(published, rel=2e-3)
    assert bg.log_likelihood == pytest.approx(-9582.42921, abs=1e-3)
    assert bg.converged and bg.gradient_norm < 1e-9 and bg.note == ""


def test_mbg_nbd_finds_the_published_parameters(mbg) -> None:
    assert dict(mbg.parameters) == pytest.approx(
        {"r": 0.5248432, "alpha": 6.183086, "a": 0.891359, "b": 1.614002}, rel=1e-5
    )
    assert mbg.log_likelihood == pytest.approx(-9582.13572, abs=1e-5)
    assert mbg.converged and mbg.customers == 2357 and mbg.time_unit_days == 7.0


def test_rounded_input_gives_its_own_published_figures(rounded_summary) -> None:
    table = rounded_summary
    histories = PurchaseHistories(table["x"], table["t_x"], table["T"], np.ones(len(table)), 7.0)
    bg, mbg = BG.fit(histories), MBG.fit(histories)
    assert list(bg.parameters.values()) == pytest.approx([0.2425929, 4.413531, 0.792886, 2.425754], rel=1e-5)
    assert bg.log_likelihood == pytest.approx(-9582.42556, abs=1e-4)
    assert list(mbg.parameters.values()) == pytest.approx([0.524838, 6.182992, 0.891356, 1.613999], rel=1e-5)
    assert mbg.log_likelihood == pytest.approx(-9582.13268, abs=1e-4)


def test_bg_nbd_fits_daily_data(example_histories) -> None:
    fit = BG.fit(example_histories)
    assert list(fit.parameters.values()) == pytest.approx([0.16385, 1.86428, 1.85034, 3.18106], rel=1e-4)
    assert fit.log_likelihood == pytest.approx(-39248.62613, abs=1e-3)
    h = example_histories
    expected = BG.expected_transactions(fit.parameters, one(30.0), h.frequency[:5], h.recency[:5], h.T[:5])
    assert expected[:, 0] == pytest.approx([0.01605301, 0.02117106, 0.03046131, 0.03168616, 0.00160676], rel=1e-4)


def test_bg_nbd_expects_the_published_repeats_of_a_new_customer(bg) -> None:
    assert BG.unconditional_expectation(bg.parameters, one(52.0)) == pytest.approx(1.444012, rel=1e-5)
    t = np.array([0.1429, 1.0, 3.0, 31.8571, 32.0, 78.0])
    found = BG.unconditional_expectation(bg.parameters, t)
    assert np.round(found, 4) == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8580], abs=1e-9)


def test_bg_nbd_expects_hardies_conditional_transactions(bg) -> None:
    history = one(2.0), one(30.43), one(38.86)
    assert BG.expected_transactions(ROUNDED, one(39.0), *history)[0, 0] == pytest.approx(1.22603, rel=1e-4)
    assert BG.expected_transactions(bg.parameters, one(39.0), *history)[0, 0] == pytest.approx(1.22591, rel=1e-4)


def test_bg_nbd_values_customer_1516_as_published(bg) -> None:
    history = one(26.0), one(216 / 7), one(31.0)
    assert BG.expected_transactions(bg.parameters, one(52.0), *history)[0, 0] == pytest.approx(25.757336, rel=1e-4)
    assert BG.p_alive(bg.parameters, *history)[0] == pytest.approx(0.968854, rel=1e-5)


def test_more_purchases_and_the_same_silence_mean_less_hope(bg) -> None:
    x = np.array([10.0, 15.0, 20.0, 25.0])
    found = BG.expected_transactions(bg.parameters, one(52.0), x, np.full(4, 20.0), np.full(4, 39.0))
    assert found[:, 0] == pytest.approx([0.347484, 0.042837, 0.00415927, 0.00035839], rel=2e-5)


def test_bg_nbd_expects_the_published_holdout_by_frequency(bg, cdnow) -> None:
    h = cdnow.histories()
    expected = BG.expected_transactions(bg.parameters, one(39.0), h.frequency, h.recency, h.T)[:, 0]
    group = np.minimum(h.frequency, 7)
    found = [expected[group == k].mean() for k in range(8)]
    published = [0.2250893, 0.5231364, 1.044126, 1.520256, 2.163824, 2.653789, 3.503957, 6.157036]
    assert found == pytest.approx(published, rel=1e-4)


def test_bg_nbd_tracks_the_published_cumulative_repeats(bg, cdnow) -> None:
    births = (273.0 - 1.0 - cdnow.T) / 7.0
    published = [1312.458, 1387.346, 1460.392, 1531.713, 1601.418, 1669.6]
    found = [
        BG.unconditional_expectation(bg.parameters, np.maximum(week - births, 0.0)).sum() for week in range(20, 26)
    ]
    assert found == pytest.approx(published, rel=0.01)
    weekly = [76.86531, 74.88843, 73.04554, 71.32166, 69.70412, 68.18213]
    before = BG.unconditional_expectation(bg.parameters, np.maximum(19.0 - births, 0.0)).sum()
    assert np.diff([before, *found]) == pytest.approx(weekly, rel=0.01)


def test_bg_nbd_gives_the_published_probabilities_of_a_new_customer() -> None:
    chance = BG.unconditional_pmf(ROUNDED, np.arange(11.0, 21.0), 30.0)
    published = [
        0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638,
        0.0005517902, 0.0004361913, 0.0003467171, 0.0002769613, 0.0002222260,
    ]  # fmt: skip
    assert chance == pytest.approx(published, abs=5.1e-11)
    assert BG.unconditional_pmf(ROUNDED, one(0.0), 39.0)[0] == pytest.approx(0.5737864, abs=5.1e-8)
    assert BG.unconditional_pmf(ROUNDED, one(10.0), 2.0)[0] == pytest.approx(1.07869e-07, abs=5.1e-13)


def test_the_likelihood_survives_hardies_stability_case() -> None:
    parameters = {"r": 0.25, "alpha": 4.0, "a": 0.8, "b": 2.5}
    quiet = PurchaseHistories([0], [0], [40], [1])
    busy = PurchaseHistories([200], [38], [40], [1])
    assert BG.log_likelihood(parameters, quiet) == pytest.approx(-0.59947382, abs=1e-8)
    assert BG.log_likelihood(parameters, busy) == pytest.approx(100.7957, abs=1e-4)


def test_mean_p_alive_is_the_reference_one(bg, mbg, cdnow) -> None:
    h = cdnow.histories()
    rows = h.frequency, h.recency, h.T
    assert MBG.p_alive(mbg.parameters, *rows).mean() == pytest.approx(0.449, abs=5e-4)
    assert BG.p_alive(bg.parameters, *rows).mean() == pytest.approx(0.813, abs=5e-4)
    assert (BG.p_alive(bg.parameters, *rows)[h.frequency == 0] == 1.0).all()
    assert MBG.knows_p_alive and not BG.knows_p_alive


@pytest.mark.parametrize(
    ("model", "mae", "rmse", "bias"), [(BG, 0.7855, 1.6080, -0.121), (MBG, 0.7648, 1.6072, -0.162)]
)
def test_the_holdout_errors_are_the_reference_ones(model, mae, rmse, bias, cdnow) -> None:
    h = cdnow.histories()
    parameters = model.fit(h).parameters
    expected = model.expected_transactions(parameters, one(39.0), h.frequency, h.recency, h.T)[:, 0]
    error = expected - cdnow.holdout
    assert np.abs(error).mean() == pytest.approx(mae, abs=6e-5)
    assert np.sqrt((error**2).mean()) == pytest.approx(rmse, abs=6e-5)
    assert error.sum() / cdnow.holdout.sum() == pytest.approx(bias, abs=6e-4)
