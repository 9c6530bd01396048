"""Pareto/NBD against published numbers: ../shared/reference/clv_numbers.md, sections 1, 2, 5 and 6."""

import numpy as np
import pandas as pd
import pytest
from conftest import dataset

from cvm_pipeline.domain.lifetime_value.pareto_nbd import MODEL
from cvm_pipeline.domain.lifetime_value.protocol import Fit, PurchaseHistories


def one(value: float) -> np.ndarray:
    return np.array([value])


def by_letters(r: float, alpha: float, s: float, beta: float) -> dict[str, float]:
    return {"r": r, "alpha": alpha, "s": s, "beta": beta}


@pytest.fixture(scope="module")
def fit(cdnow) -> Fit:
    return MODEL.fit(cdnow.histories())


def test_it_finds_the_published_parameters(fit) -> None:
    published = by_letters(0.55315, 10.57633, 0.60625, 11.67150)
    assert dict(fit.parameters) == pytest.approx(published, rel=2e-3)
    assert dict(fit.parameters) == pytest.approx(by_letters(0.5532771, 10.577683, 0.606240, 11.668735), rel=2e-6)
    assert fit.log_likelihood == pytest.approx(-9594.97618, abs=1e-5)
    assert fit.converged and fit.gradient_norm < 1e-9 and fit.note == ""
    assert fit.customers == 2357 and fit.time_unit_days == 7.0


def test_standard_errors_are_the_published_ones(fit) -> None:
    published = by_letters(0.0476264, 0.8427222, 0.1872594, 6.2105448)
    assert dict(fit.standard_errors) == pytest.approx(published, rel=2e-4)


def test_rounded_input_gives_its_own_published_figures(rounded_summary) -> None:
    table = rounded_summary
    fit = MODEL.fit(PurchaseHistories(table["x"], table["t_x"], table["T"], np.ones(len(table)), 7.0))
    assert list(fit.parameters.values()) == pytest.approx([0.5532755, 10.577612, 0.606213, 11.667905], rel=1e-6)
    assert fit.log_likelihood == pytest.approx(-9594.97393, abs=1e-5)


def test_btyds_early_stop_has_the_same_likelihood_to_three_decimals(cdnow) -> None:
    stopped = by_letters(0.553, 10.580, 0.606, 11.656)
    assert MODEL.log_likelihood(stopped, cdnow.histories()) == pytest.approx(-9594.976, abs=1e-3)


def test_78_weeks_give_the_parameters_of_rfm_and_clv() -> None:
    rows = pd.read_csv(
        dataset("CDNOW_sample.txt"), sep=r"\s+", header=None, names=["master", "id", "day", "cds", "amount"]
    )
    days = pd.to_datetime(rows["day"].astype(str)).groupby(rows["id"]).agg(["min", "max", "nunique"])
    recency = (days["max"] - days["min"]).dt.days
    T = (pd.Timestamp("1998-06-30") - days["min"]).dt.days
    fit = MODEL.fit(PurchaseHistories.from_days(days["nunique"] - 1, recency, T, np.ones(len(days)), 7.0))
    assert list(fit.parameters.values()) == pytest.approx([0.5629966, 12.5590370, 0.4081095, 10.5148048], rel=2e-3)
    assert list(fit.parameters.values()) == pytest.approx([0.563004, 12.559169, 0.408107, 10.514545], rel=2e-6)
    assert fit.log_likelihood == pytest.approx(-17135.83589, abs=1e-4)


def test_a_new_customer_is_expected_to_repeat_as_published(fit) -> None:
    assert MODEL.unconditional_expectation(fit.parameters, one(52.0)) == pytest.approx(1.473434, rel=1e-6)


def test_customer_1516_is_valued_as_published(fit) -> None:
    history = one(26.0), one(216 / 7), one(31.0)
    assert MODEL.expected_transactions(fit.parameters, one(52.0), *history)[0, 0] == pytest.approx(25.455183, rel=1e-4)
    assert MODEL.p_alive(fit.parameters, *history)[0] == pytest.approx(0.997873, rel=1e-5)


def test_more_purchases_and_the_same_silence_mean_less_hope(fit) -> None:
    history = np.array([10.0, 15.0, 20.0, 25.0]), np.full(4, 20.0), np.full(4, 39.0)
    found = MODEL.expected_transactions(fit.parameters, one(52.0), *history)[:, 0]
    assert found == pytest.approx([0.705888, 0.144151, 0.022490, 0.003090], rel=1e-4)
    stopped_early = MODEL.expected_transactions(by_letters(0.553, 10.580, 0.606, 11.656), one(52.0), *history)[:, 0]
    assert stopped_early == pytest.approx([0.7062289, 0.1442396, 0.02250658, 0.00309267], rel=2e-4)


def test_the_holdout_by_frequency_is_expected_as_published(fit, cdnow) -> None:
    h = cdnow.histories()
    expected = MODEL.expected_transactions(fit.parameters, one(39.0), h.frequency, h.recency, h.T)[:, 0]
    group = np.minimum(h.frequency, 7)
    found = [expected[group == k].mean() for k in range(8)]
    published = [0.13845, 0.59947, 1.19584, 1.71384, 2.39831, 2.90721, 3.81856, 6.40307]
    assert found == pytest.approx(published, rel=1e-4)


def test_cumulative_repeats_track_the_published_ones(fit, cdnow) -> None:
    births = (273.0 - 1.0 - cdnow.T) / 7.0
    published = [1308.856, 1385.275, 1459.923, 1532.906, 1604.32, 1674.253]
    found = [
        MODEL.unconditional_expectation(fit.parameters, np.maximum(week - births, 0.0)).sum() for week in range(20, 26)
    ]
    assert found == pytest.approx(published, rel=0.01)


def test_clvtools_unstable_customers_have_a_finite_likelihood() -> None:
    x = np.array([221.0, 254.0, 161.0, 204.0])
    t_x = np.array([103.42857, 97.14286, 94.71429, 98.57143])
    T = np.array([103.57143, 97.28571, 98.0, 99.42857])
    parameters = by_letters(0.5143, 2.8845, 0.2856, 14.1087)
    assert np.isfinite(MODEL.log_likelihood_rows(parameters, x, t_x, T)).all()
    alive = MODEL.p_alive(parameters, x, t_x, T)
    assert ((alive > 0) & (alive < 1)).all()


def test_132_and_133_purchases_are_told_apart_where_lifetimes_lost_them() -> None:
    x, end = np.array([132.0, 133.0]), np.full(2, 200.0)
    found = MODEL.expected_transactions(by_letters(0.55, 10.58, 0.61, 11.67), one(10.0), x, end, end)[:, 0]
    assert found == pytest.approx([6.2060518, 6.2528725], rel=1e-7)


def test_the_infinite_horizon_of_rfm_and_clvs_documented_call() -> None:
    parameters = by_letters(0.5629966, 12.5590370, 0.4081095, 10.5148048)
    found = MODEL.residual_transactions(parameters, 0.0027, one(7.0), one(35.0), one(77.86))
    assert found[0] == pytest.approx(1.8641833, rel=1e-7)


def test_mean_p_alive_is_the_reference_one(fit, cdnow) -> None:
    h = cdnow.histories()
    assert MODEL.p_alive(fit.parameters, h.frequency, h.recency, h.T).mean() == pytest.approx(0.446, abs=5e-4)
    assert MODEL.knows_p_alive


def test_the_holdout_errors_are_the_reference_ones(fit, cdnow) -> None:
    h = cdnow.histories()
    expected = MODEL.expected_transactions(fit.parameters, one(39.0), h.frequency, h.recency, h.T)[:, 0]
    error = expected - cdnow.holdout
    assert np.abs(error).mean() == pytest.approx(0.7545, abs=6e-5)
    assert np.sqrt((error**2).mean()) == pytest.approx(1.6028, abs=6e-5)
    assert error.sum() / cdnow.holdout.sum() == pytest.approx(-0.115, abs=6e-4)
