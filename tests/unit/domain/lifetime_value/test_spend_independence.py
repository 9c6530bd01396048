"""Whether spend depends on frequency: the test holds its level, sees what is there, and its rule keeps to what matters."""

import numpy as np
import pytest
from scipy import stats

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.spend import fit_spend
from cvm_pipeline.domain.lifetime_value.spend_independence import LEVEL, independence, spearman


def base(customers: int, kappa: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x and z of repeat buyers, spend going with x^kappa."""
    rng = np.random.default_rng(seed)
    x = 1.0 + rng.negative_binomial(0.8, 0.25, customers)
    return x, rng.gamma(6.0 * x) / x / rng.gamma(4.0, 1.0 / 15.0, customers) * x**kappa


def examined(x: np.ndarray, z: np.ndarray, count: np.ndarray | None = None):
    n = np.ones_like(x) if count is None else count
    return independence(x, z, n, gamma_gamma.fit(x, z, n))


def test_spend_that_grows_with_frequency_is_seen_and_the_alternative_used() -> None:
    x, z = base(1000, 0.4, 1)
    spend = fit_spend(x, x * z, np.ones(1000), 30.0)
    found = spend.independence
    assert found.fails and spend.by_frequency is found.alternative and not spend.fallback
    assert found.kappa == pytest.approx(0.4, abs=4 * found.alternative.standard_errors["kappa"])
    assert found.kappa_p_value < 1e-10 and found.spearman > 0.2 and found.effect_low > 0.1
    assert "spend depends on frequency" in spend.note and f"kappa {found.kappa:.3g}" in spend.note
    assert spend.parameters is found.alternative.parameters and set(spend.fit.parameters) == set(gamma_gamma.NAMES)


def test_spend_that_falls_with_frequency_is_seen_too() -> None:
    x, z = base(2000, -0.4, 2)
    found = examined(x, z)
    assert found.fails and found.kappa < -0.3 and found.effect_high < -0.1 and found.spearman < 0


def test_the_statistic_is_the_likelihoods_ratio_and_its_p_value_chi_squares() -> None:
    x, z = base(400, 0.1, 3)
    found = examined(x, z)
    paper = gamma_gamma.fit(x, z)
    lower = gamma_gamma.log_likelihood(paper.parameters, x, z)
    higher = gamma_gamma.log_likelihood(found.alternative.parameters, x, z)
    assert found.likelihood_ratio == pytest.approx(2 * (higher - lower), abs=1e-8)
    assert found.kappa_p_value == pytest.approx(stats.chi2.sf(found.likelihood_ratio, 1), rel=1e-12)
    slope = gamma_gamma.gradient_rows(found.alternative.parameters, x, z).sum(axis=0)
    assert slope == pytest.approx(np.zeros(4), abs=1e-6)


def test_kappa_is_recovered_within_its_standard_error() -> None:
    x, z = base(20_000, 0.25, 4)
    fit = gamma_gamma.fit(x, z, beside=gamma_gamma.fit(x, z))
    for name, true in {"p": 6.0, "q": 4.0, "v": 15.0, "kappa": 0.25}.items():
        assert abs(fit.parameters[name] - true) < 4 * fit.standard_errors[name]
    assert np.sqrt(np.diag(fit.log_covariance))[3] == pytest.approx(fit.standard_errors["kappa"], rel=1e-12)


def p_values(bases: int, customers: int) -> np.ndarray:
    return np.array([examined(*base(customers, 0.0, 1000 + seed)).kappa_p_value for seed in range(bases)])


def test_independent_spend_is_hardly_ever_rejected() -> None:
    found = p_values(40, 300)
    assert np.sum(found < LEVEL) <= 3 and np.sum(found < 0.5) in range(9, 32)


@pytest.mark.long
def test_independent_spend_is_rejected_one_time_in_a_hundred() -> None:
    found = p_values(200, 500)
    assert np.mean(found < LEVEL) <= 0.03 and stats.kstest(found, "uniform").pvalue > 0.01
    assert not any(examined(*base(500, 0.0, 1000 + seed)).fails for seed in np.flatnonzero(found < LEVEL))


@pytest.mark.parametrize("kappa", [0.3, 0.5])
def test_the_alternative_comes_nearer_to_the_truth_where_spend_goes_with_the_rate(kappa) -> None:
    rng = np.random.default_rng(5)
    rate = rng.gamma(0.6, 0.1, 6000)
    x = rng.poisson(40.0 * rate).astype(float)
    true = rate**kappa * np.exp(rng.normal(3.0, 0.6, 6000))
    sales = np.where(x > 0, rng.gamma(4.0 * np.maximum(x, 1.0)) / 4.0 * true, 0.0)
    spend = fit_spend(x, sales, np.ones(6000), 30.0)
    assert spend.by_frequency is not None
    paper = gamma_gamma.conditional_mean(spend.fit.parameters, x, sales / np.maximum(x, 1.0))
    found = spend.expected(x, sales)

    def error(expected: np.ndarray) -> float:
        """Of a transaction to come: whoever buys more often makes more of them."""
        return float(np.sqrt(np.sum(rate * (expected - true) ** 2) / rate.sum()))

    def bias(expected: np.ndarray) -> float:
        new = x == 0
        return float(np.sum((rate * (expected - true))[new]) / np.sum((rate * true)[new]))

    assert error(found) < 0.97 * error(paper)
    assert abs(bias(found)) < 0.15 < 0.3 < bias(paper)


def test_dependence_that_matters_little_leaves_the_papers_model(cdnow) -> None:
    spend = fit_spend(cdnow.frequency, cdnow.repeat_sales, np.ones(cdnow.T.size), 30.0)
    found = spend.independence
    assert found.likelihood_ratio == pytest.approx(32.49, abs=0.01) and found.kappa_p_value < 1e-7
    assert 0 < found.effect < 0.3 and found.effect_low < 0.1
    assert not found.fails and spend.by_frequency is None and not spend.fallback
    assert "not beyond doubt by more than 10%" in spend.note
    assert spend.expected(np.zeros(1), np.zeros(1))[0] == gamma_gamma.population_mean(spend.fit.parameters)


def test_a_small_base_never_uses_the_alternative() -> None:
    x, z = base(199, 0.8, 6)
    found = examined(x, z)
    assert found.kappa_p_value < LEVEL and found.effect_low > 0.1
    assert not found.fails and "under 200" in found.note
    assert examined(*base(200, 0.8, 6)).fails


@pytest.mark.parametrize(("x_of", "times"), [(500.0, 1e3), (1.0, 1e6), (500.0, 1e-6), (1.0, 1e-6)])
def test_one_giant_or_dwarf_does_not_make_a_dependence(x_of, times) -> None:
    for seed in range(5):
        x, z = base(500, 0.0, 20 + seed)
        x[7], z[7] = x_of, z[7] * times
        assert not examined(x, z).fails


def test_mean_spend_is_regressed_by_weighted_quasi_likelihood() -> None:
    x, z = np.array([1.0, 2.0, 4.0, 4.0]), np.array([10.0, 30.0, 20.0, 50.0])
    count = np.array([30.0, 20.0, 10.0, 10.0])
    found = examined(x, z, count)
    # Quartiles of x are 1 and 4: the estimating equations of exp(c + s ln x) hold at the slope that the effect means.
    slope = np.log1p(found.effect) / np.log(4.0)
    height = np.sum(count * z / x**slope) / count.sum()
    assert np.sum(count * (z / (height * x**slope) - 1.0) * np.log(x)) == pytest.approx(0.0, abs=1e-9)


def test_the_effects_interval_holds_the_truth_nearly_always() -> None:
    missed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = 1.0 + rng.negative_binomial(0.8, 0.25, 400)
        z = x**0.2 * rng.lognormal(3.0, 0.5, 400)
        found = examined(x, z)
        truth = (np.quantile(x, 0.75, method="inverted_cdf") / np.quantile(x, 0.25, method="inverted_cdf")) ** 0.2 - 1
        missed += not found.effect_low <= truth <= found.effect_high
    assert missed <= 3


def test_spearman_over_customers_is_scipys_over_rows() -> None:
    rng = np.random.default_rng(8)
    x, z, count = rng.integers(1, 6, 60).astype(float), rng.integers(1, 20, 60).astype(float), rng.integers(1, 5, 60)
    each = stats.spearmanr(np.repeat(x, count), np.repeat(z, count)).statistic
    assert spearman(x, z, count.astype(float)) == pytest.approx(each, rel=1e-12)
    assert spearman(np.ones(3), np.arange(3.0), np.ones(3)) == 0.0


def test_currency_order_and_grouping_change_nothing() -> None:
    x, z = base(600, 0.3, 9)
    z = np.round(z)
    found = examined(x, z)
    numbers = (found.kappa, found.likelihood_ratio, found.effect, found.effect_low, found.effect_high, found.spearman)
    for rate in (100.0, 0.01):
        other = examined(x, z * rate)
        assert other.fails == found.fails
        assert dict(other.alternative.parameters) == pytest.approx(
            dict(found.alternative.parameters) | {"v": rate * found.alternative.parameters["v"]}, rel=1e-7
        )
        assert other.likelihood_ratio == pytest.approx(found.likelihood_ratio, rel=1e-9)
    rows, count = np.unique(np.column_stack([x, z]), axis=0, return_counts=True)
    shuffled = np.random.default_rng(1).permutation(600)
    for other in (examined(x[shuffled], z[shuffled]), examined(*rows.T, count.astype(float))):
        again = (other.kappa, other.likelihood_ratio, other.effect, other.effect_low, other.effect_high, other.spearman)
        assert again == pytest.approx(numbers, rel=1e-8)


def test_one_frequency_alone_says_nothing_of_dependence() -> None:
    rng = np.random.default_rng(10)
    found = fit_spend(np.ones(300), rng.gamma(5.0, 1.0, 300) / rng.gamma(4.0, 1.0, 300), np.ones(300), 3.0)
    assert found.independence.kappa is None and "no test" in found.note and not found.fallback


def test_an_alternative_without_a_mean_is_not_used() -> None:
    rng = np.random.default_rng(11)
    x = 1.0 + rng.negative_binomial(0.8, 0.25, 3000)
    z = rng.gamma(6.0 * x) / x / rng.gamma(0.7, 1.0, 3000) * x**1.5
    spend = fit_spend(x, x * z, np.ones(3000), 30.0)
    assert spend.independence.alternative.parameters["q"] < 1
    assert spend.by_frequency is None and spend.fallback and "has no mean" in spend.note
