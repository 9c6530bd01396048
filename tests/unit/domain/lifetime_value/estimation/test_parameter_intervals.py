"""How sure a fit is of its parameters: against posteriors computed otherwise, and where nothing can be said."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri

from cvm_pipeline.domain.lifetime_value.estimation import parameter_intervals
from cvm_pipeline.domain.lifetime_value.estimation.flat_coordinates import FlatCoordinates
from cvm_pipeline.domain.lifetime_value.estimation.parameter_intervals import draws, intervals
from cvm_pipeline.domain.lifetime_value.protocol import Fit, PurchaseHistories, TransactionModel
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

TRUE = {
    "nbd": {"r": 0.385, "alpha": 12.07},
    "bg_nbd": {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    "mbg_nbd": {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    "pareto_nbd": {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669},
}


def base(name: str, n: int, seed: int = 1, unit: float = 7.0) -> PurchaseHistories:
    """A CDNOW-like base: acquired over 12 weeks, 27 to 39 weeks ago, seen in days."""
    rng = np.random.default_rng(seed)
    days = rng.integers(27 * 7, 39 * 7 + 1, n).astype(float)
    x, t_x, _ = transaction_model(name).simulate(TRUE[name], days / 7.0, 1.0, rng)
    seen = np.where(x > 0, np.clip(np.ceil(7.0 * t_x), 1.0, days), 0.0)
    return PurchaseHistories.from_days(x, seen, days, np.ones(n), unit)


def fitted(name: str, n: int, unit: float = 7.0) -> tuple[TransactionModel, Fit, PurchaseHistories]:
    model, histories = transaction_model(name), base(name, n, unit=unit)
    return model, model.fit(histories), histories


def test_large_bases_have_the_normal_interval_of_the_logs() -> None:
    model, fit, histories = fitted("bg_nbd", 20_000)
    found = intervals(model, fit, histories)
    assert found.method == "normal" and found.note == "" and fit.log_covariance is not None
    for j, name in enumerate(model.parameter_names):
        half = 1.96 * np.sqrt(fit.log_covariance[j][j])
        assert np.log([found.low[name], found.high[name]]) == pytest.approx(
            np.log(fit.parameters[name]) + np.array([-half, half]), abs=1e-3 * half
        )


@pytest.mark.parametrize("n", [60, 2_000])
def test_small_bases_have_the_quantiles_of_the_posterior(n: int) -> None:
    """NBD's has two dimensions: a fine grid gives it, with the prior's density of (log r, log alpha) written out."""
    model, fit, histories = fitted("nbd", n)
    found = intervals(model, fit, histories)
    assert found.method == "importance sampling" and (found.effective_sample_size or 0) > 1_000
    log_r, log_alpha = (
        np.log(fit.parameters[name])
        + (fit.standard_errors[name] or 0.0) / fit.parameters[name] * np.linspace(-5, 9, 71)
        for name in ("r", "alpha")
    )
    alike = histories.grouped()
    height = np.array(
        [[model.log_likelihood({"r": r, "alpha": a}, alike) for a in np.exp(log_alpha)] for r in np.exp(log_r)]
    )
    density = np.exp(height - height.max()) * np.exp(log_r - 2.0 * np.log1p(10.0 * np.exp(log_r)))[:, None]
    for name, axis, across in (("r", log_r, 1), ("alpha", log_alpha, 0)):
        marginal = density.sum(axis=across)
        below = (np.cumsum(marginal) - marginal / 2.0) / marginal.sum()
        for end, level in ((found.low[name], 0.025), (found.high[name], 0.975)):
            # The share of the posterior below each end, which is what sampling leaves uncertain.
            assert np.interp(np.log(end), axis, below) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("name", sorted(TRUE))
def test_flat_coordinates_lead_back_to_the_parameters(name: str) -> None:
    flat = FlatCoordinates(transaction_model(name).parameter_names, base(name, 50))
    logs = np.log(list(TRUE[name].values())) + np.random.default_rng(2).normal(0.0, 1.0, (200, len(TRUE[name])))
    rows, back = flat.possible(flat.of_logs(logs))
    assert rows.tolist() == list(range(200))
    assert back == pytest.approx(logs, abs=1e-6)


def test_what_lies_outside_the_coordinates_or_beyond_a_factor_of_a_million_is_impossible() -> None:
    flat = FlatCoordinates(("a", "b"), base("bg_nbd", 50))
    points = np.array([[0.3, 0.5], [0.0, 0.5], [0.3, 1.2], [-0.1, 0.5], [1e-8, 0.5], [0.3, 1e-8]])
    assert flat.possible(points)[0].tolist() == [0]


@pytest.mark.parametrize(("names", "shape"), [(("a", "b"), "sum"), (("s", "beta"), "first"), (("r", "alpha"), "first")])
def test_flat_coordinates_are_what_they_are_said_to_be(names: tuple[str, str], shape: str) -> None:
    histories = PurchaseHistories([0, 0], [0, 0], [10, 40], [1, 2])
    one, two = 0.7, 12.0
    mean, differ = FlatCoordinates(names, histories).of_logs(np.log([[one, two]]))[0]
    assert differ == pytest.approx(1.0 / (1.0 + (one + two if shape == "sum" else 10.0 * one)), rel=1e-14)
    said = {"a": one / (one + two), "s": 1.0 - (two / (two + 30.0)) ** one, "r": np.log(one / two)}
    assert mean == pytest.approx(said[names[0]], rel=1e-13)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_intervals_are_the_same_at_every_call_and_for_rows_in_any_order(name: str) -> None:
    model, fit, histories = fitted(name, 300)
    order = np.random.default_rng(5).permutation(300)
    h = histories
    shuffled = PurchaseHistories(h.frequency[order], h.recency[order], h.T[order], h.count, h.time_unit_days)
    assert intervals(model, fit, histories) == intervals(model, fit, shuffled)


def test_days_or_weeks_as_the_unit_give_the_same_intervals() -> None:
    found = [intervals(*fitted("mbg_nbd", 1_000, unit)) for unit in (7.0, 1.0)]
    scale = {"r": 1.0, "alpha": 7.0, "a": 1.0, "b": 1.0}
    for name, by in scale.items():
        assert found[1].low[name] == pytest.approx(by * found[0].low[name], rel=1e-4)
        assert found[1].high[name] == pytest.approx(by * found[0].high[name], rel=1e-4)


def test_draws_have_the_posteriors_quantiles_and_are_the_same_at_every_call() -> None:
    model, fit, histories = fitted("bg_nbd", 1_500)
    drawn = draws(model, fit, histories, 2_000)
    assert drawn.shape == (2_000, 4) and (drawn > 0).all()
    assert (drawn == draws(model, fit, histories, 2_000)).all()
    found = intervals(model, fit, histories)
    for column, name in zip(drawn.T, model.parameter_names, strict=True):
        inside = np.mean((column >= found.low[name]) & (column <= found.high[name]))
        assert inside == pytest.approx(0.95, abs=0.005)
    # Not sorted: any part of them is a sample too.
    assert np.abs(np.corrcoef(np.arange(2_000), np.log(drawn[:, 0]))[0, 1]) < 0.1


def test_draws_for_large_bases_have_the_fits_covariance() -> None:
    model, fit, histories = fitted("mbg_nbd", 20_000)
    logs = np.log(draws(model, fit, histories, 4_096))
    assert np.cov(logs.T) == pytest.approx(np.array(fit.log_covariance), rel=0.05)
    assert logs.mean(axis=0) == pytest.approx(np.log(list(fit.parameters.values())), abs=1e-3)


def test_where_too_few_draws_count_the_fit_is_repeated_on_weighted_customers(monkeypatch) -> None:
    model, fit, histories = fitted("bg_nbd", 1_500)
    sampled = intervals(model, fit, histories)
    monkeypatch.setattr(parameter_intervals, "_TOLERATED", 1e9)
    monkeypatch.setattr(parameter_intervals, "_REPLICATES", 120)
    found = intervals(model, fit, histories)
    assert found.method == "bootstrap" and found.effective_sample_size is None
    for name in model.parameter_names:
        width = np.log(sampled.high[name] / sampled.low[name])
        assert np.log(found.low[name] / sampled.low[name]) == pytest.approx(0.0, abs=0.3 * width)
        assert np.log(found.high[name] / sampled.high[name]) == pytest.approx(0.0, abs=0.3 * width)


def test_a_parameter_without_a_standard_error_has_no_interval_nor_has_its_partner() -> None:
    model, fit, histories = fitted("bg_nbd", 500)
    errors = {name: error for name, error in fit.standard_errors.items() if name != "b"}
    for n in (500, 40_000):
        many = PurchaseHistories(histories.frequency, histories.recency, histories.T, histories.count * n / 500, 7.0)
        found = intervals(model, replace(fit, standard_errors=errors, log_covariance=None), many)
        assert set(found.low) == set(found.high) == {"r", "alpha"}
        assert found.note == "the data don't tell a, b apart"


def test_where_nobody_bought_twice_nothing_is_said() -> None:
    model, histories = transaction_model("mbg_nbd"), PurchaseHistories([0, 0], [0, 0], [10, 20], [300, 200], 7.0)
    fit = Fit({"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0}, {}, -1.0, 500, True, 0.0)
    found = intervals(model, fit, histories)
    assert found.method == "none" and not found.low and "nobody bought twice" in found.note
    with pytest.raises(ValueError, match="nobody bought twice"):
        draws(model, fit, histories, 10)


def test_without_a_fit_its_note_is_the_reason() -> None:
    found = intervals(transaction_model("bg_nbd"), Fit.impossible(5.0, "five customers"), base("bg_nbd", 30))
    assert found.method == "none" and found.note == "five customers"


@pytest.mark.parametrize("name", sorted(TRUE))
def test_ten_customers_and_a_giant_have_finite_intervals_or_none(name: str) -> None:
    model = transaction_model(name)
    ten = PurchaseHistories(
        [0, 0, 1, 0, 2, 0, 0, 5, 0, 1], [0, 0, 3, 0, 20, 0, 0, 29, 0, 2], np.full(10, 30.0), np.ones(10), 7.0
    )
    giant = PurchaseHistories([0, 1, 3_000], [0, 3, 1_000], np.full(3, 1_000.0), [50, 20, 1], 7.0)
    for histories in (ten, giant):
        fit = model.fit(histories)
        found = intervals(model, fit, histories)
        assert found.low.keys() == found.high.keys()
        assert len(found.low) == len(model.parameter_names) or found.note
        for one in found.low:
            assert 0 < found.low[one] < fit.parameters[one] < found.high[one] < np.inf


def test_points_fill_the_cube_evenly() -> None:
    points = parameter_intervals._points(1_024, 3, 7)
    assert ndtri(points).mean(axis=0) == pytest.approx(np.zeros(3), abs=0.01)
    assert np.cov(ndtri(points).T) == pytest.approx(np.eye(3), abs=0.05)
