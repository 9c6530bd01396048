"""Covariates in the models that their paper gives them to: effects found, none invented, scores at each row's own."""

from functools import cache

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest

from cvm_pipeline.domain.lifetime_value.covariates import Covariates
from cvm_pipeline.domain.lifetime_value.estimation.covariate_effects import LINKS, CovariateFit, WithCovariates
from cvm_pipeline.domain.lifetime_value.estimation.linked_likelihood import LinkedLikelihood
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

BASE = {
    "bg_nbd": {"r": 0.6, "alpha": 6.0, "a": 0.9, "b": 2.5},
    "mbg_nbd": {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 2.5},
    "pareto_nbd": {"r": 0.8, "alpha": 8.0, "s": 0.7, "beta": 12.0},
}
GEOMETRIC = {"alpha": (0.5, 0.0), "a": (0.0, 0.4), "b": (0.2, -0.3)}
EFFECTS = {"bg_nbd": GEOMETRIC, "mbg_nbd": GEOMETRIC, "pareto_nbd": {"alpha": (0.5, -0.2), "beta": (0.0, 0.4)}}
NAMES = sorted(LINKS)
COLUMNS = ("size", "is_firm")


@cache
def simulated(name: str, n: int, seed: int, real: bool = True) -> tuple[PurchaseHistories, Covariates, np.ndarray]:
    """Histories under the true effects of `size` (of four) and `is_firm` (a level), or none; and the next 30."""
    rng = np.random.default_rng(seed)
    z = np.column_stack([rng.choice([-1.5, -0.5, 0.5, 1.5], n), rng.random(n) < 0.4]).astype(float)
    parameters: dict = dict(BASE[name])
    for link in WithCovariates(transaction_model(name)).links if real else ():
        effect = np.array(EFFECTS[name][link.parameter])
        parameters[link.parameter] = parameters[link.parameter] * np.exp(link.sign * z @ effect)
    T = rng.integers(20, 60, n).astype(float)
    x, t_x, later = WithCovariates(transaction_model(name)).simulate(parameters, T, 30.0, rng)
    return PurchaseHistories(x, t_x, T, np.ones(n), 7.0), Covariates(COLUMNS, z), later


@cache
def fitted(name: str) -> CovariateFit:
    histories, covariates, _ = simulated(name, 4_000, 1)
    return WithCovariates(transaction_model(name)).fit(histories, covariates)


def rows(histories: PurchaseHistories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return histories.frequency, histories.recency, histories.T


@pytest.mark.parametrize("name", NAMES)
def test_known_effects_are_found_within_their_standard_errors(name: str) -> None:
    fit = fitted(name)
    assert fit.converged and fit.gradient_norm is not None and fit.gradient_norm < 1e-6
    for link in WithCovariates(transaction_model(name)).links:
        for column, true in zip(COLUMNS, EFFECTS[name][link.parameter], strict=True):
            value, error = fit.per_unit()[link.effect(column)]
            assert error is not None and abs(value - true) < 3.0 * error, (link.effect(column), value, error)
    assert fit.likelihood_ratio is not None and fit.likelihood_ratio.p_value < 1e-6
    assert fit.likelihood_ratio.degrees_of_freedom == 2 * len(LINKS[name])


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_where_there_is_no_effect_none_is_found_more_often_than_chance(name: str) -> None:
    p_values, too_far = [], []
    for seed in range(30):
        histories, covariates, _ = simulated(name, 1_500, 100 + seed, real=False)
        fit = WithCovariates(transaction_model(name)).fit(histories, covariates)
        assert fit.likelihood_ratio is not None
        p_values.append(fit.likelihood_ratio.p_value)
        value, error = fit.per_unit()["gamma_alpha_size"]
        too_far.append(abs(value) > 1.96 * (error or 0.0))
    # Uniform, as a likelihood ratio's p-values are without an effect.
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.sum(too_far) <= 6


@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_hessian_are_the_log_likelihoods_own(name: str) -> None:
    histories, covariates, _ = simulated(name, 300, 2)
    likelihood = LinkedLikelihood(transaction_model(name), histories, LINKS[name], covariates.values)
    logs = np.r_[np.log(list(BASE[name].values())), 0.1 * np.arange(1, 1 + likelihood.size - 4)]
    steps = 1e-4 * np.eye(logs.size)
    slopes = [(likelihood.value(logs + step) - likelihood.value(logs - step)) / 2e-4 for step in steps]
    bends = [(likelihood.gradient(logs + step) - likelihood.gradient(logs - step)) / 2e-4 for step in steps]
    assert likelihood.gradient(logs) == pytest.approx(np.array(slopes), rel=1e-6, abs=1e-4)
    assert likelihood.hessian(logs) == pytest.approx(np.array(bends), rel=1e-5, abs=1e-3)
    value, gradient, hessian = likelihood(np.exp(logs))
    assert value == likelihood.value(logs)
    assert gradient * np.exp(logs) == pytest.approx(likelihood.gradient(logs), rel=1e-12)
    back = hessian * np.exp(np.add.outer(logs, logs)) + np.diag(likelihood.gradient(logs))
    assert back == pytest.approx(likelihood.hessian(logs), rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_one_category_is_the_same_as_a_scale_of_its_own_for_each_level(name: str) -> None:
    """The paper's formulas written out for two groups and maximised by another search in other coordinates."""
    model = transaction_model(name)
    histories, covariates, _ = simulated(name, 1_000, 3)
    firm = covariates.values[:, 1] > 0
    scaled = [link.parameter for link in LINKS[name]]
    shared = [p for p in model.parameter_names if p not in scaled]

    def lost(point: np.ndarray) -> float:
        theta: dict = dict(zip(shared, np.exp(point[: len(shared)]), strict=True))
        for i, parameter in enumerate(scaled):
            private, business = np.exp(point[len(shared) + 2 * i : len(shared) + 2 * i + 2])
            theta[parameter] = np.where(firm, business, private)
        return -float(model.log_likelihood_rows(theta, *rows(histories)).sum())

    fit = WithCovariates(model).fit(histories, Covariates(("is_firm",), covariates.values[:, [1]]))
    ends = {p: [fit.individual(Covariates(("is_firm",), np.array([[level]])))[p] for level in (0, 1)] for p in scaled}
    start = np.r_[[np.log(BASE[name][p]) for p in shared], np.repeat([np.log(BASE[name][p]) for p in scaled], 2)]
    found = minimize(lost, start, method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-5)
    assert np.ravel([ends[p] for p in scaled]) == pytest.approx(np.exp(found.x[len(shared) :]), rel=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_another_scale_of_a_raw_covariate_changes_only_its_effect_per_unit(name: str) -> None:
    histories, covariates, _ = simulated(name, 1_000, 4)
    other = Covariates(COLUMNS, covariates.values * [1000.0, -1.0] + [170.0, 1.0])
    model = WithCovariates(transaction_model(name))
    here, there = model.fit(histories, covariates), model.fit(histories, other)
    flipped = {n: -v if n.endswith("is_firm") else v for n, v in there.parameters.items()}
    assert flipped == pytest.approx(dict(here.parameters), rel=1e-6, abs=1e-8)
    assert there.log_likelihood == pytest.approx(here.log_likelihood, rel=1e-12)
    assert dict(there.standard_errors) == pytest.approx(dict(here.standard_errors), rel=1e-6)
    size = f"gamma_{LINKS[name][0].parameter}_size"
    assert there.per_unit()[size] == pytest.approx(np.array(here.per_unit()[size]) / 1000.0, rel=1e-6)
    few = tuple(column[:50] for column in rows(histories))
    scores = [
        model.expected_transactions(fit.individual(raw.rows(slice(50))), np.array([30.0]), *few)
        for fit, raw in ((here, covariates), (there, other))
    ]
    assert scores[1] == pytest.approx(scores[0], rel=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [(), ("everywhere",)], ids=["none", "a constant"])
def test_without_a_covariate_it_is_the_model_itself_to_the_last_digit(name: str, columns: tuple[str, ...]) -> None:
    histories, _, _ = simulated(name, 300, 5)
    covariates = Covariates(columns, np.full((300, len(columns)), 0.3))
    model, base = WithCovariates(transaction_model(name)), transaction_model(name)
    fit, plain = model.fit(histories, covariates), base.fit(histories)
    assert fit.parameters == plain.parameters and fit.log_likelihood == plain.log_likelihood
    assert fit.standard_errors == plain.standard_errors and fit.likelihood_ratio is None
    assert ("everywhere left out" in fit.note) == bool(columns)
    own = fit.individual(covariates)
    assert (model.p_alive(own, *rows(histories)) == base.p_alive(plain.parameters, *rows(histories))).all()
    horizon = np.array([10.0, 52.0])
    expected = [
        m.expected_transactions(p, horizon, *rows(histories)) for m, p in ((model, own), (base, plain.parameters))
    ]
    assert (expected[0] == expected[1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_forecasts_are_better_on_what_was_not_seen_where_the_effect_is_real(name: str) -> None:
    fit = fitted(name)
    assert fit.without is not None
    model = WithCovariates(transaction_model(name))
    unseen, known, then = simulated(name, 8_000, 9)
    counts = np.arange(then.max() + 1.0)
    right = then.astype(int)
    with_them, without = (
        np.log(model.pmf(parameters, counts, 30.0, *rows(unseen))[np.arange(right.size), right])
        for parameters in (fit.individual(known), fit.without.parameters)
    )
    assert_above_zero(with_them - without)
    # Of new customers nothing but the covariates is known: all they bought by T is forecast from their first day.
    new, horizon, place = (
        np.zeros(right.size),
        np.arange(20.0, 60.0),
        (np.arange(right.size), unseen.T.astype(int) - 20),
    )
    expected, average = (
        model.expected_transactions(parameters, horizon, new, new, new)[place]
        for parameters in (fit.individual(known), fit.without.parameters)
    )
    assert_above_zero((average - unseen.frequency) ** 2 - (expected - unseen.frequency) ** 2)


def assert_above_zero(gains: np.ndarray) -> None:
    assert gains.mean() > 2.0 * gains.std() / np.sqrt(gains.size)


@pytest.mark.parametrize("name", NAMES)
def test_every_score_of_a_row_is_the_models_own_at_the_rows_parameters(name: str) -> None:
    model, base = WithCovariates(transaction_model(name)), transaction_model(name)
    fit = fitted(name)
    z = Covariates(COLUMNS, np.array([[1.0, 0], [-0.5, 1], [1.0, 0], [0.3, 1], [-0.5, 1]]))
    x, t_x, T = np.array([2.0, 0, 5, 1, 9]), np.array([7.0, 0, 33, 1, 40]), np.array([20.0, 30, 35, 30, 41])
    own = fit.individual(z)
    counts, horizon = np.arange(3.0), np.array([4.0, 52.0])
    scores = {
        "log_p_alive": lambda m, p, i: m.log_p_alive(p, x[i], t_x[i], T[i]),
        "p_alive": lambda m, p, i: m.p_alive(p, x[i], t_x[i], T[i]),
        "expected_while_alive": lambda m, p, i: m.expected_while_alive(p, horizon, x[i], T[i]),
        "expected": lambda m, p, i: m.expected_transactions(p, horizon, x[i], t_x[i], T[i]),
        "pmf_while_alive": lambda m, p, i: m.pmf_while_alive(p, counts, 13.0, x[i], T[i]),
        "pmf": lambda m, p, i: m.pmf(p, counts, 13.0, x[i], t_x[i], T[i]),
        "residual_while_alive": lambda m, p, i: m.residual_while_alive(p, 0.002, x[i], T[i]),
        "residual": lambda m, p, i: m.residual_transactions(p, 0.002, x[i], t_x[i], T[i]),
        "log_likelihood_rows": lambda m, p, i: m.log_likelihood_rows(p, x[i], t_x[i], T[i]),
    }
    for what, score in scores.items():
        together = score(model, own, np.arange(5))
        for i in range(5):
            alone = score(base, {n: float(np.broadcast_to(v, (5,))[i]) for n, v in own.items()}, np.array([i]))
            assert together[i] == pytest.approx(alone[0], rel=1e-12, abs=1e-300), what


def test_no_rows_give_no_scores() -> None:
    model, nobody = WithCovariates(transaction_model("bg_nbd")), np.empty(0)
    own = fitted("bg_nbd").individual(Covariates(COLUMNS, np.empty((0, 2))))
    assert model.p_alive(own, nobody, nobody, nobody).shape == (0,)
    assert model.expected_transactions(own, np.array([1.0, 2.0]), nobody, nobody, nobody).shape == (0, 2)


def test_parameters_of_other_rows_are_refused() -> None:
    model, two = WithCovariates(transaction_model("bg_nbd")), np.ones(2)
    own = fitted("bg_nbd").individual(Covariates(COLUMNS, np.zeros((3, 2))))
    with pytest.raises(ValueError, match=r"given for \(3,\) rows, to be scored are 2"):
        model.p_alive(own, two, two, two)


def test_customers_counted_together_weigh_as_many() -> None:
    histories, covariates, _ = simulated("mbg_nbd", 400, 6)
    twice = PurchaseHistories(*(np.tile(column, 2) for column in (*rows(histories), histories.count)), 7.0)
    doubled = PurchaseHistories(*rows(histories), 2.0 * histories.count, 7.0)
    model = WithCovariates(transaction_model("mbg_nbd"))
    stacked = Covariates(COLUMNS, np.tile(covariates.values, (2, 1)))
    assert model.fit(twice, stacked).parameters == model.fit(doubled, covariates).parameters


def test_a_base_that_cannot_be_fitted_says_why() -> None:
    model = WithCovariates(transaction_model("bg_nbd"))
    fit = model.fit(
        PurchaseHistories([0, 0], [0, 0], [0, 0], [30, 40], 7.0), Covariates(("age",), np.array([[1.0], [2.0]]))
    )
    assert not fit.converged and fit.parameters == {} and "time" in fit.note


def test_a_model_without_links_is_refused() -> None:
    with pytest.raises(KeyError):
        WithCovariates(type("Unknown", (), {"name": "unknown"})())
