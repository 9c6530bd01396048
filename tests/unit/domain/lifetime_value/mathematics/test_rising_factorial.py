"""Rising factorials and their slopes against mpmath."""

import mpmath
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.mathematics.rising_factorial import log_rising_factorial, psi_rise


def test_they_keep_their_digits_from_tiny_to_huge_shapes() -> None:
    rng = np.random.default_rng(4)
    r = np.r_[10.0 ** rng.uniform(-3, 4.3, 150), rng.uniform(15.9, 16.1, 20)]
    x = np.floor(10.0 ** rng.uniform(0, 4, r.size))
    with mpmath.workdps(50):
        for shape, count, log, slope in zip(r, x, log_rising_factorial(r, x), psi_rise(r, x), strict=True):
            a, b = mpmath.mpf(float(shape)), mpmath.mpf(float(count))
            assert log == pytest.approx(float(mpmath.loggamma(a + b) - mpmath.loggamma(a)), rel=1e-14, abs=1e-14)
            assert slope == pytest.approx(float(mpmath.psi(0, a + b) - mpmath.psi(0, a)), rel=2e-14)


def test_an_empty_product_is_1_and_one_factor_is_itself() -> None:
    r = np.array([1e-3, 0.7, 16.0, 5e5])
    assert (log_rising_factorial(r, 0.0) == 0).all() and (psi_rise(r, 0.0) == 0).all()
    assert log_rising_factorial(r, 1.0) == pytest.approx(np.log(r), rel=1e-14)
    assert psi_rise(r, 1.0) == pytest.approx(1 / r, rel=1e-13)
