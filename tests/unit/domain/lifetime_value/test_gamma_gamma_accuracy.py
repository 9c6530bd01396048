"""Gamma-Gamma against mpmath, as the formulas stand in the paper, with 80 digits."""

from itertools import product

import mpmath as mp
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.gamma_gamma_likelihood import Likelihood

SHAPES = (1e-3, 1.0, 37.5, 1e3)
NEAR_ONE = (1 - 1e-4, 1 - 1e-9, 1 - 1e-15, 1.0, 1 + 1e-15, 1 + 1e-9, 1 + 1e-4)
FREQUENCIES = (1.0, 7.0, 10_000.0)
MEANS = (1e-3, 12.34, 1e6)


def grid() -> list[tuple[dict[str, float], float, float]]:
    """Every third point of the whole grid: the extremes and where q passes 1."""
    points = product(SHAPES, (*SHAPES, *NEAR_ONE), (1e-3, 15.0, 1e3), (0.0, 0.4), FREQUENCIES, MEANS)
    return [({"p": p, "q": q, "v": v, "kappa": k}, x, z) for p, q, v, k, x, z in list(points)[::3]]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(80):
        yield


def exact(parameters: dict[str, float], x: float, z: float) -> tuple[mp.mpf, list[mp.mpf]]:
    p, q, v, kappa = (mp.mpf(parameters[name]) for name in gamma_gamma.NAMES_BY_FREQUENCY)
    x, z = mp.mpf(x), mp.mpf(z)
    a, scale = p * x, v * x**kappa
    value = (
        mp.loggamma(a + q) - mp.loggamma(a) - mp.loggamma(q) + q * mp.log(scale) + (a - 1) * mp.log(z) + a * mp.log(x)
        - (a + q) * mp.log(scale + x * z)
    )  # fmt: skip
    up = mp.digamma(a + q)
    by_log_v = q - (a + q) * scale / (scale + x * z)
    slopes = [
        x * (up - mp.digamma(a) + mp.log(x * z / (scale + x * z))),
        up - mp.digamma(q) + mp.log(scale / (scale + x * z)),
        by_log_v / v,
        by_log_v * mp.log(x),
    ]
    return value, slopes


def test_the_density_is_right_to_the_digits_of_doubles() -> None:
    for parameters, x, z in grid():
        found = gamma_gamma.log_likelihood_rows(parameters, [x], [z])[0]
        true = exact(parameters, x, z)[0]
        assert abs(found - true) <= 1e-12 * max(abs(true), 1), (parameters, x, z)


def test_the_gradient_is_right_to_ten_digits_or_the_last_of_what_cancels_in_it() -> None:
    for parameters, x, z in grid():
        p, q, v, _ = parameters.values()
        found = gamma_gamma.gradient_rows(parameters, [x], [z])[0]
        # Next to its zero the slope in v is a difference of two numbers of this size, that in p and q of ten or so.
        size = min(p * x, q) * np.array([1 / p, 1 / q, 1 / v, np.log(x)])
        for one, true, least in zip(found, exact(parameters, x, z)[1], size, strict=True):
            assert abs(one - true) <= 1e-10 * abs(true) + 1e-15 * least, (parameters, x, z)


def test_the_expectation_is_right_to_the_last_digit_wherever_there_is_one() -> None:
    checked = 0
    for parameters, x, z in grid():
        p, q, v, kappa = (mp.mpf(parameters[name]) for name in gamma_gamma.NAMES_BY_FREQUENCY)
        for at in (x, 0.0):
            shape = p * at + q - 1
            if shape <= 0:
                continue
            true = p * (v * mp.mpf(1 + at) ** kappa + mp.mpf(at) * mp.mpf(z)) / shape
            found = gamma_gamma.conditional_mean(parameters, np.array([at]), np.array([z]))[0]
            assert abs(found / true - 1) <= 1e-15, (parameters, at, z)
            checked += 1
    assert checked > 1000


def test_an_expectation_whose_px_cancels_against_q_keeps_its_digits() -> None:
    for p, x in ((0.001, 1.0), (1e-3, 7.0), (0.0123, 49.0)):
        # px + q - 1 is what rounding of the inputs leaves, some 1e-17, or a hundred times that.
        for q in (1.0 - p * x, np.nextafter(1.0 - p * x, 2.0), 1.0 - p * x + 3e-16):
            shape = mp.mpf(p) * mp.mpf(x) + mp.mpf(q) - 1
            parameters = {"p": p, "q": q, "v": 2.0}
            if shape > 0:
                found = gamma_gamma.conditional_mean(parameters, np.array([x]), np.array([5.0]))[0]
                assert abs(found / (mp.mpf(p) * (2 + mp.mpf(x) * 5) / shape) - 1) <= 1e-15
            else:
                with pytest.raises(ValueError, match="no mean"):
                    gamma_gamma.conditional_mean(parameters, np.array([x]), np.array([5.0]))


def test_kappa_rescales_values_and_pays_with_the_jacobian() -> None:
    x, z = np.array([1.0, 3.0, 40.0]), np.array([10.0, 3.0, 25.0])
    paper = {"p": 6.25, "q": 3.74, "v": 15.44}
    found = gamma_gamma.log_likelihood_rows({**paper, "kappa": 0.3}, x, z)
    rescaled = gamma_gamma.log_likelihood_rows(paper, x, z / x**0.3) - 0.3 * np.log(x)
    assert found == pytest.approx(rescaled, rel=1e-13)


def test_a_density_integrates_to_one() -> None:
    with mp.workdps(15):
        for kappa, x in product((0.0, 0.5), (1.0, 6.0)):
            parameters = {"p": 2.3, "q": 1.7, "v": 9.0, "kappa": kappa}

            def density(log_z: mp.mpf, parameters=parameters, x=x) -> float:
                z = float(mp.exp(log_z))
                return z * np.exp(gamma_gamma.log_likelihood_rows(parameters, [x], [z])[0])

            assert mp.quad(density, np.linspace(-25, 35, 13).tolist()) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("point", [(6.0, 3.7, 25.0, 1.1), (600.0, 0.7, 25.0, 0.8), (0.05, 90.0, 25.0, 1.0)])
def test_a_bases_curvature_is_its_gradients_slope(cdnow, point) -> None:
    x, mean = cdnow.spenders()
    likelihood = Likelihood(x, mean, np.ones(x.size))
    at = np.array(point)
    value, gradient, hessian = likelihood(at)
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-5 * at[i]
        (up, slope_up, _), (down, slope_down, _) = likelihood(at + step), likelihood(at - step)
        assert (up - down) / (2 * step[i]) == pytest.approx(gradient[i], rel=1e-6, abs=1e-6)
        rounding = 1e-8 * np.abs(hessian).max()
        assert (slope_up - slope_down) / (2 * step[i]) == pytest.approx(hessian[i], rel=1e-6, abs=rounding)
    p, q, mu, tau = point
    rows = {"p": p, "q": q, "v": mu * q / p, "kappa": np.log(tau)}
    assert value == pytest.approx(gamma_gamma.log_likelihood(rows, x, mean), rel=1e-12)


def test_a_row_is_the_same_in_any_batch() -> None:
    rng = np.random.default_rng(1)
    x, z = rng.integers(1, 50, 200).astype(float), rng.gamma(2.0, 10.0, 200)
    parameters = {"p": 6.25, "q": 3.74, "v": 15.44, "kappa": 0.2}
    for of in (gamma_gamma.log_likelihood_rows, gamma_gamma.gradient_rows, gamma_gamma.conditional_mean):
        whole = of(parameters, x, z)
        parts = np.concatenate(
            [of(parameters, x[part], z[part]) for part in (slice(0, 3), slice(3, 77), slice(77, None))]
        )
        assert np.array_equal(whole, parts)
