"""Gamma-Gamma against published numbers, and what spend does where it can't be had."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.spend import fit_spend


def test_gamma_gamma_finds_the_published_parameters(cdnow) -> None:
    x, mean = cdnow.spenders()
    fit = gamma_gamma.fit(x, mean)
    assert fit.customers == 946 and fit.converged
    assert list(fit.parameters.values()) == pytest.approx([6.249572, 3.744225, 15.443521], rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-4055.91769, abs=1e-4)


def test_the_first_ten_customers_spend_as_hardie_prints(rounded_summary) -> None:
    table = rounded_summary
    x, mean = table["x"].to_numpy(dtype=float), table["zbar"].to_numpy(dtype=float)
    fit = gamma_gamma.fit(x[x > 0], mean[x > 0])
    assert list(fit.parameters.values()) == pytest.approx([6.248802, 3.744588, 15.447749], rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-4055.92324, abs=1e-4)
    found = gamma_gamma.conditional_mean(fit.parameters, x[:10], mean[:10])
    printed = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert found == pytest.approx(printed, abs=0.01)
    assert found[[0, 1, 2, 5, 8]] == pytest.approx([24.6586, 18.9115, 35.1710, 71.4629, 27.2824], abs=6e-5)


def test_mean_expected_spend_is_the_reference_one(cdnow) -> None:
    x, mean = cdnow.spenders()
    parameters = gamma_gamma.fit(x, mean).parameters
    every = gamma_gamma.conditional_mean(
        parameters, cdnow.frequency, cdnow.repeat_sales / np.maximum(cdnow.frequency, 1.0)
    )
    assert every.mean() == pytest.approx(35.25296, rel=1e-4)


def test_grouped_shuffled_and_converted_money_give_the_same_model(cdnow) -> None:
    x, mean = cdnow.spenders()
    fit = gamma_gamma.fit(x, mean)
    shuffled = np.random.default_rng(3).permutation(x.size)
    assert dict(gamma_gamma.fit(x[shuffled], mean[shuffled]).parameters) == dict(fit.parameters)
    merged = np.unique(np.column_stack([x, mean]), axis=0, return_counts=True)
    grouped = gamma_gamma.fit(*merged[0].T, merged[1])
    assert dict(grouped.parameters) == dict(fit.parameters) and grouped.log_likelihood == fit.log_likelihood
    twice = gamma_gamma.fit(x, mean, np.full(x.size, 2.0))
    assert dict(twice.parameters) == pytest.approx(dict(fit.parameters), rel=1e-8)
    assert twice.standard_errors["p"] == pytest.approx(fit.standard_errors["p"] / np.sqrt(2), rel=1e-6)
    for rate in (100.0, 0.01):
        converted = gamma_gamma.fit(x, mean * rate)
        expected = dict(fit.parameters) | {"v": rate * fit.parameters["v"]}
        assert dict(converted.parameters) == pytest.approx(expected, rel=1e-7)


def test_standard_errors_are_those_of_the_curvature(cdnow) -> None:
    x, mean = cdnow.spenders()
    fit = gamma_gamma.fit(x, mean)
    rows = []
    for name in gamma_gamma.NAMES:
        step = 1e-4 * fit.parameters[name]
        up, down = (
            gamma_gamma.gradient_rows({**fit.parameters, name: fit.parameters[name] + sign * step}, x, mean)
            for sign in (1, -1)
        )
        rows.append((up - down).sum(axis=0)[:3] / (2 * step))
    errors = np.sqrt(np.diag(np.linalg.inv(-np.array(rows))))
    assert list(fit.standard_errors.values()) == pytest.approx(list(errors), rel=1e-5)
    spread = np.sqrt(np.diag(fit.log_covariance)) * list(fit.parameters.values())
    assert list(fit.standard_errors.values()) == pytest.approx(list(spread), rel=1e-12)


def test_parameters_are_recovered_within_their_standard_errors() -> None:
    rng = np.random.default_rng(11)
    x = rng.integers(1, 12, 20_000).astype(float)
    mean = rng.gamma(6.0 * x, 1.0) / (rng.gamma(4.0, 1.0 / 15.0, x.size) * x)
    fit = gamma_gamma.fit(x, mean)
    for name, true in {"p": 6.0, "q": 4.0, "v": 15.0}.items():
        assert abs(fit.parameters[name] - true) < 4 * fit.standard_errors[name]


@pytest.mark.parametrize(("x", "mean"), [(0.0, 10.0), (1.0, 0.0), (1.0, -5.0), (1.0, np.nan)])
def test_gamma_gamma_refuses_what_it_is_not_defined_for(x, mean) -> None:
    with pytest.raises(ValueError, match="row 1"):
        gamma_gamma.fit([2.0, x], [20.0, mean])


def test_customers_all_alike_end_at_the_bounds_and_say_so() -> None:
    fit = gamma_gamma.fit(np.arange(1.0, 51.0), np.full(50, 7.0))
    assert fit.converged and "p ended at its bound" in fit.note and "q ended at its bound" in fit.note
    assert gamma_gamma.conditional_mean(fit.parameters, np.array([0.0, 9.0]), np.array([0.0, 7.0])) == pytest.approx(
        [7.0, 7.0], rel=1e-6
    )


def test_ten_customers_have_a_fit_with_wide_errors() -> None:
    rng = np.random.default_rng(12)
    x = np.arange(1.0, 11.0)
    fit = gamma_gamma.fit(x, rng.gamma(2.0 * x) / x / rng.gamma(3.0, 1.0, 10))
    assert fit.converged and fit.customers == 10
    assert all(0.1 < error / fit.parameters[name] < 10 for name, error in fit.standard_errors.items())


def test_values_that_vary_alike_for_everybody_leave_q_without_bound_and_p_right() -> None:
    x = np.arange(2000.0) % 7 + 1
    fit = gamma_gamma.fit(x, np.random.default_rng(0).gamma(2.0 * x) / x)
    assert fit.converged and fit.parameters["q"] > 100
    assert fit.parameters["p"] == pytest.approx(2.0, rel=0.1)
    assert gamma_gamma.population_mean(fit.parameters) == pytest.approx(2.0, rel=0.03)


def test_one_giant_moves_the_others_expectation_little(cdnow) -> None:
    base = fit_spend(cdnow.frequency, cdnow.repeat_sales, np.ones(cdnow.T.size), 30.0)
    x, sales = np.append(cdnow.frequency, 3.0), np.append(cdnow.repeat_sales, 3e6)
    giant = fit_spend(x, sales, np.ones(x.size), 30.0)
    before, after = (s.expected(cdnow.frequency, cdnow.repeat_sales) for s in (base, giant))
    assert not giant.fallback and giant.by_frequency is None
    assert np.median(np.abs(after / before - 1.0)) < 0.04 and np.max(np.abs(after / before - 1.0)) < 0.25


def test_refunds_lower_expected_spend_and_leave_it_positive(cdnow) -> None:
    spend = fit_spend(cdnow.frequency, cdnow.repeat_sales, np.ones(cdnow.T.size), 30.0)
    x = np.array([0.0, 1.0, 2.0, 50.0, 10_000.0])
    refunded = spend.expected(x, np.array([0.0, -5.0, 0.0, -1e9, -1.0]))
    assert not spend.fallback and spend.by_frequency is None
    assert np.isfinite(refunded).all() and (refunded > 0).all()
    assert (np.diff(refunded) < 0).all()


def spends(customers: int, value: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.arange(1, customers + 1, dtype=float) % 5 + 1
    return x, x * value, np.ones(customers)


def test_few_repeat_customers_fall_back_to_own_and_base_mean() -> None:
    spend = fit_spend(*spends(19, 40.0), 20.0)
    assert spend.fallback and "fewer than 20" in spend.note
    found = spend.expected(np.array([0.0, 1.0, 3.0]), np.array([0.0, 40.0, 120.0]))
    assert found == pytest.approx([20.0, 30.0, 35.0])


def test_equal_spend_falls_back_for_want_of_variance() -> None:
    spend = fit_spend(*spends(500, 40.0), 40.0)
    assert spend.fallback and "no variance" in spend.note
    assert spend.expected(np.array([0.0, 7.0]), np.array([0.0, 280.0])) == pytest.approx([40.0, 40.0])


def test_a_base_without_positive_spend_expects_nothing() -> None:
    spend = fit_spend(*spends(100, -4.0), -4.0)
    assert spend.fallback and spend.base_mean == 0.0
    assert (spend.expected(np.array([0.0, 3.0]), np.array([0.0, -12.0])) == 0.0).all()


def test_a_tail_without_a_mean_falls_back() -> None:
    rng = np.random.default_rng(5)
    x = np.ones(3000)
    mean = rng.gamma(2.0, 1.0, x.size) / rng.gamma(0.6, 1.0 / 15.0, x.size)
    spend = fit_spend(x, mean, x, float(mean.mean()))
    assert spend.fit.parameters["q"] < 1 and spend.fallback and "has no mean" in spend.note
    assert gamma_gamma.population_mean(spend.fit.parameters) is None
    with pytest.raises(ValueError, match="no mean"):
        gamma_gamma.conditional_mean(spend.fit.parameters, np.zeros(1), np.zeros(1))
    assert np.isfinite(spend.expected(x, mean)).all()
