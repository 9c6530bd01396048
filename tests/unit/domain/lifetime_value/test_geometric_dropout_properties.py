"""What BG/NBD and MBG/NBD say of a customer must hold together, whatever the parameters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain.lifetime_value import bg_nbd, mbg_nbd

MODELS = (bg_nbd.MODEL, mbg_nbd.MODEL)
PARAMETERS = {"r": 0.6, "alpha": 6.2, "a": 0.9, "b": 1.6}
both_models = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
shape = st.floats(1e-3, 1e3)
unit_point = st.fixed_dictionaries({"r": shape, "alpha": shape, "a": shape, "b": shape})


@pytest.fixture(scope="module")
def days(cdnow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return cdnow.frequency, cdnow.recency, cdnow.T


@both_models
def test_parameters_may_differ_by_row(model, days) -> None:
    x, t_x, T = (column[:200] for column in days)
    rng = np.random.default_rng(3)
    own = {name: value * rng.uniform(0.5, 2.0, 200) for name, value in PARAMETERS.items()}
    likelihood, slopes = model.log_likelihood_rows(own, x, t_x, T), model.gradient_rows(own, x, t_x, T)
    alive = model.p_alive(own, x, t_x, T)
    expected = model.expected_while_alive(own, np.array([1.0, 52.0]), x, T)
    chance = model.pmf_while_alive(own, np.array([0.0, 2.0]), 52.0, x, T)
    residual = model.residual_while_alive(own, 0.01, x, T)
    for i in range(0, 200, 20):
        row = x[i : i + 1], t_x[i : i + 1], T[i : i + 1]
        one = {name: float(values[i]) for name, values in own.items()}
        assert likelihood[i] == pytest.approx(model.log_likelihood_rows(one, *row)[0], rel=1e-14)
        assert slopes[i] == pytest.approx(model.gradient_rows(one, *row)[0], rel=1e-13)
        assert alive[i] == pytest.approx(model.p_alive(one, *row)[0], rel=1e-14)
        known = row[0], row[2]
        assert expected[i] == pytest.approx(
            model.expected_while_alive(one, np.array([1.0, 52.0]), *known)[0], rel=1e-13
        )
        assert chance[i] == pytest.approx(model.pmf_while_alive(one, np.array([0.0, 2.0]), 52.0, *known)[0], rel=1e-13)
        assert residual[i] == pytest.approx(model.residual_while_alive(one, 0.01, *known)[0], rel=1e-14)


@both_models
def test_splitting_a_batch_changes_no_digit(model, days) -> None:
    rng = np.random.default_rng(8)
    x = np.r_[rng.integers(0, 40, 150), 300, 10_000].astype(float)
    T = np.r_[rng.integers(1, 3000, 150), 900, 10_957] / 7.0
    t_x = np.where(x > 0, T * rng.uniform(0.01, 1, T.size), 0.0)
    horizon = 365.25 / 84 * np.arange(1.0, 37.0)

    def scored(rows: slice) -> np.ndarray:
        history = x[rows], t_x[rows], T[rows]
        return np.column_stack(
            [
                model.log_likelihood_rows(PARAMETERS, *history),
                model.gradient_rows(PARAMETERS, *history),
                model.log_p_alive(PARAMETERS, *history),
                model.expected_transactions(PARAMETERS, horizon, *history),
                model.pmf(PARAMETERS, np.arange(5.0), 52.0, *history),
                model.residual_transactions(PARAMETERS, 0.002, *history),
            ]
        )

    whole = scored(slice(None))
    parts = [scored(slice(start, start + size)) for start, size in ((0, 1), (1, 70), (71, 80), (151, 1))]
    assert np.array_equal(whole, np.concatenate(parts))


@both_models
def test_p_alive_never_rises_with_silence(model) -> None:
    silence = np.r_[0.0, np.geomspace(0.01, 1e6, 400)]
    for x, t_x in [(0.0, 0.0), (1.0, 3.0), (12.0, 40.0), (500.0, 300.0)]:
        n = np.ones_like(silence)
        p = model.p_alive(PARAMETERS, x * n, t_x * n, t_x + silence)
        assert (np.diff(p) <= 0).all() and (p >= 0).all() and (p <= 1).all()
        if x > 0 or model.first_toss:
            assert p[-1] < 0.05
        else:
            assert (p == 1).all()


@both_models
def test_expectation_grows_with_the_horizon_and_equals_the_sum_of_its_parts(model) -> None:
    horizon = np.arange(1.0, 200.0)
    x, t_x, T = np.array([0.0, 3.0, 40.0]), np.array([0.0, 10.0, 70.0]), np.array([0.0, 30.0, 71.0])
    path = model.expected_transactions(PARAMETERS, horizon, x, t_x, T)
    assert path.shape == (3, 199)
    assert (np.diff(path, axis=1) > 0).all()
    assert np.array_equal(path[:, [51]], model.expected_transactions(PARAMETERS, horizon[[51]], x, t_x, T))
    assert np.diff(path, axis=1, prepend=0.0).sum(axis=1) == pytest.approx(path[:, -1], rel=1e-12)
    assert (model.expected_transactions(PARAMETERS, np.zeros(1), x, t_x, T) == 0).all()


@both_models
def test_what_a_new_customer_brings_later_is_what_is_expected_of_the_histories_it_may_have(model) -> None:
    """E[X(T + h)] - E[X(T)] of a new customer, against the mean of E[Y(h) | x, t_x, T] over simulated histories."""
    n, end, later = 200_000, 40.0, 30.0
    x, t_x, future = model.simulate(PARAMETERS, np.full(n, end), later, np.random.default_rng(12))
    by_end, by_later = model.unconditional_expectation(PARAMETERS, np.array([end, end + later]))
    told = model.expected_transactions(PARAMETERS, np.array([later]), x, t_x, np.full(n, end))[:, 0]
    assert x.mean() == pytest.approx(by_end, abs=4 * x.std() / np.sqrt(n))
    assert told.mean() == pytest.approx(by_later - by_end, abs=4 * told.std() / np.sqrt(n))
    # And history by history: who was silent for long, who has just bought, who bought often.
    for group in (x == 0, (x > 0) & (end - t_x < 5), (x > 0) & (end - t_x > 20), x > 5):
        error = 4 * (future - told)[group].std() / np.sqrt(group.sum())
        assert future[group].mean() == pytest.approx(told[group].mean(), abs=error)


@both_models
def test_probabilities_sum_to_one_and_their_mean_is_the_expectation(model) -> None:
    counts = np.arange(3_000.0)
    x, t_x, T = np.array([0.0, 3.0, 40.0]), np.array([0.0, 10.0, 70.0]), np.array([5.0, 30.0, 71.0])
    chance = model.pmf(PARAMETERS, counts, 52.0, x, t_x, T)
    assert (chance >= 0).all()
    assert chance.sum(axis=1) == pytest.approx(1.0, rel=1e-12)
    expected = model.expected_transactions(PARAMETERS, np.array([52.0]), x, t_x, T)[:, 0]
    assert (chance * counts).sum(axis=1) == pytest.approx(expected, rel=1e-12)
    new = model.unconditional_pmf(PARAMETERS, counts, 52.0)
    assert new.sum() == pytest.approx(1.0, rel=1e-12)
    assert (new * counts).sum() == pytest.approx(model.unconditional_expectation(PARAMETERS, np.array(52.0)), rel=1e-12)


@both_models
def test_simulated_counts_have_the_models_distribution(model) -> None:
    n = 200_000
    x, t_x, future = model.simulate(PARAMETERS, np.full(n, 40.0), 30.0, np.random.default_rng(21))
    assert ((t_x == 0) == (x == 0)).all() and (t_x <= 40).all()
    counts = np.arange(6.0)
    chance = model.unconditional_pmf(PARAMETERS, counts, 40.0)
    seen = np.array([(x == m).mean() for m in counts])
    assert np.abs(seen - chance) == pytest.approx(0.0, abs=4 * np.sqrt(0.25 / n))
    total = model.unconditional_pmf(PARAMETERS, counts, 70.0)
    assert [(x + future == m).mean() for m in counts] == pytest.approx(total, abs=4 * np.sqrt(0.25 / n))


@both_models
def test_the_infinite_horizon_is_the_limit_of_ever_longer_discounted_ones(model) -> None:
    rate, x, T = 0.02, np.array([0.0, 3.0, 40.0]), np.array([5.0, 30.0, 71.0])
    # rate x the integral of e^(-rate t) G(t): by parts, what is discounted at the time of each transaction.
    nodes, weights = np.polynomial.legendre.leggauss(80)
    edges = np.r_[0.0, np.geomspace(1e-3, 2_000.0, 40)]
    t = (edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2).ravel()
    w = (np.diff(edges)[:, None] * weights / 2).ravel()
    order = np.argsort(t)
    path = model.expected_while_alive(PARAMETERS, t[order], x, T)
    discounted = rate * (path * (np.exp(-rate * t) * w)[order]).sum(axis=1)
    assert model.residual_while_alive(PARAMETERS, rate, x, T) == pytest.approx(discounted, rel=1e-12)
    assert (model.residual_while_alive(PARAMETERS, 0.01, x, T) > discounted).all()
    for none in (0.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="discount rate"):
            model.residual_while_alive(PARAMETERS, none, x, T)


@both_models
@settings(max_examples=60, deadline=None)
@given(p=unit_point, x=st.integers(0, 10_000), share=st.floats(0.001, 1), T=st.floats(1e-2, 11_000))
def test_no_parameters_make_anything_but_finite_numbers(model, p, x, share, T) -> None:
    rows = np.array([float(x)]), np.array([share * T if x else 0.0]), np.array([T])
    alive = model.p_alive(p, *rows)
    expected = model.expected_transactions(p, np.array([1.0, 365.25]), *rows)
    assert np.isfinite(model.log_likelihood_rows(p, *rows)).all()
    assert np.isfinite(model.gradient_rows(p, *rows)).all()
    assert np.isfinite(alive).all() and 0 <= alive[0] <= 1
    assert np.isfinite(expected).all() and 0 <= expected[0, 0] <= expected[0, 1] * (1 + 1e-14)
    # Nobody can buy more than it would without dropping out.
    assert expected[0, 1] <= (p["r"] + x) / (p["alpha"] + T) * 365.25 * (1 + 1e-10)
    chance = model.pmf(p, np.array([0.0, 1.0, 50.0]), 365.25, *rows)
    assert (chance >= 0).all() and chance.sum() <= 1 + 1e-12
    residual = model.residual_transactions(p, 1e-3, *rows)
    assert 0 <= residual[0] <= (p["r"] + x) / (p["alpha"] + T) / 1e-3 * (1 + 1e-10)
