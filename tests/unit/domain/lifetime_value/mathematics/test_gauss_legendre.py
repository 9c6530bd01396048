"""Gauss-Legendre's rule on [0, 1]."""

import mpmath
import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.mathematics.gauss_legendre import gauss_legendre


@pytest.mark.parametrize("n", [1, 2, 8, 24, 36, 128])
def test_polynomials_up_to_twice_the_nodes_are_integrated_exactly(n) -> None:
    nodes, weights = gauss_legendre(n)
    assert (np.diff(nodes) > 0).all() and nodes[0] > 0 and nodes[-1] < 1
    for degree in (0, 1, n, 2 * n - 1):
        assert (weights * nodes**degree).sum() == pytest.approx(1 / (degree + 1), rel=3e-15)


def test_every_weight_is_right_to_its_last_digit() -> None:
    nodes, weights = gauss_legendre(64)
    with mpmath.workdps(40):
        for node, weight in zip(nodes, weights, strict=True):
            x = mpmath.findroot(lambda y: mpmath.legendre(64, y), 2 * mpmath.mpf(float(node)) - 1)
            exact = (1 - x * x) / (64 * mpmath.legendre(63, x)) ** 2
            assert float(node) == pytest.approx(float((1 + x) / 2), rel=1e-14)
            assert float(weight) == pytest.approx(float(exact), rel=5e-16)


def test_the_rule_is_shared_and_cannot_be_written_to() -> None:
    nodes, _ = gauss_legendre(8)
    assert gauss_legendre(8)[0] is nodes
    with pytest.raises(ValueError, match="read-only"):
        nodes[0] = 0.5
