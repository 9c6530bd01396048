"""The search on likelihoods whose maximum is known."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.maximum_likelihood import maximise

LOW, HIGH = np.array([1e-3, 1e-3]), np.array([1e3, 1e3])
STARTS = [np.array([1.0, 1.0]), np.array([20.0, 0.1])]


def bell(point: np.ndarray) -> tuple[float, np.ndarray]:
    """100 customers; normal around (4, 0.5) with variances 1/100 and 1/400."""
    gap = point - np.array([4.0, 0.5])
    precision = np.array([100.0, 400.0])
    return -0.5 * float(gap @ (precision * gap)), -precision * gap


def test_the_maximum_and_its_standard_errors_are_found() -> None:
    found = maximise(("one", "two"), bell, 100.0, STARTS, LOW, HIGH)
    assert found.converged and found.note == "" and found.gradient_norm < 1e-12
    assert found.point == pytest.approx([4.0, 0.5], rel=1e-9)
    assert found.standard_errors == pytest.approx([0.1, 0.05], rel=1e-6)
    fit = found.as_fit(("one", "two"), 100.0, 7.0)
    assert fit.parameters == pytest.approx({"one": 4.0, "two": 0.5})


def test_the_best_of_several_hills_is_taken() -> None:
    def hills(point: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.log(point)
        value, gradient = 0.0, np.zeros(2)
        for height, top in ((1.0, (0.0, 0.0)), (3.0, (3.0, -2.0))):
            gap = z - np.array(top)
            part = height * np.exp(-0.5 * float(gap @ gap))
            value += part
            gradient -= part * gap / point
        return value, gradient

    found = maximise(("one", "two"), hills, 1.0, STARTS, LOW, HIGH)
    assert np.log(found.point) == pytest.approx([3.0, -2.0], abs=0.02)
    assert found.log_likelihood == pytest.approx(3.0, abs=1e-2)


def test_a_bound_is_named_and_costs_that_parameters_error_only() -> None:
    def rising(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = bell(np.array([point[0], 0.5]))
        return value + 50.0 * float(np.log(point[1])), np.array([gradient[0], 50.0 / point[1]])

    found = maximise(("one", "two"), rising, 100.0, STARTS, LOW, HIGH)
    assert found.converged and "two ended at its bound 1e+03" in found.note
    assert found.standard_errors[0] == pytest.approx(0.1, rel=1e-6) and np.isnan(found.standard_errors[1])
    assert "two" not in found.as_fit(("one", "two"), 100.0).standard_errors


def test_on_a_ridge_the_parameters_have_no_error_and_are_named() -> None:
    def ridge(point: np.ndarray) -> tuple[float, np.ndarray]:
        product = float(np.log(point).sum()) - 1.0
        return -50.0 * product**2, -100.0 * product / point

    found = maximise(("one", "two"), ridge, 100.0, STARTS, LOW, HIGH)
    assert found.converged and found.log_likelihood == pytest.approx(0.0, abs=1e-12)
    assert "nothing of one" in found.note and "nothing of two" in found.note
    assert np.log(found.point).sum() == pytest.approx(1.0) and np.isnan(found.standard_errors).all()


def test_a_saddle_is_no_maximum() -> None:
    def saddle(point: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.log(point)
        return float(z[0] ** 2 - z[1] ** 2), 2.0 * np.array([z[0], -z[1]]) / point

    found = maximise(("one", "two"), saddle, 1.0, [np.ones(2)], LOW, HIGH)
    assert not found.converged and "curves upwards" in found.note


def test_a_likelihood_that_is_nowhere_finite_does_not_converge() -> None:
    found = maximise(("one", "two"), lambda point: (float("nan"), np.full(2, np.nan)), 100.0, STARTS, LOW, HIGH)
    assert not found.converged and "not finite" in found.note
