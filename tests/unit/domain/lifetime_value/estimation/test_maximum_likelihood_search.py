"""The search on likelihoods whose maximum is known."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise

LOW, HIGH = np.array([1e-3, 1e-3]), np.array([1e3, 1e3])
STARTS = [np.array([1.0, 1.0]), np.array([20.0, 0.1])]


Found = tuple[float, np.ndarray, np.ndarray | None]


def bell(point: np.ndarray) -> Found:
    """100 customers; normal around (4, 0.5) with variances 1/100 and 1/400."""
    gap = point - np.array([4.0, 0.5])
    precision = np.array([100.0, 400.0])
    return -0.5 * float(gap @ (precision * gap)), -precision * gap, -np.diag(precision)


def test_the_maximum_and_its_standard_errors_are_found() -> None:
    found = maximise(("one", "two"), bell, 100.0, STARTS, LOW, HIGH)
    assert found.converged and found.note == "" and found.gradient_norm < 1e-12
    assert found.point == pytest.approx([4.0, 0.5], rel=1e-9)
    assert found.standard_errors == pytest.approx([0.1, 0.05], rel=1e-6)
    assert found.log_covariance == pytest.approx(np.diag([0.1 / 4, 0.05 / 0.5]) ** 2, rel=1e-6, abs=1e-15)
    fit = found.as_fit(("one", "two"), 100.0, 7.0)
    assert fit.parameters == pytest.approx({"one": 4.0, "two": 0.5})
    assert fit.log_covariance is not None and np.array(fit.log_covariance) == pytest.approx(found.log_covariance)


def test_curvature_by_differences_gives_the_same_fit_as_the_likelihoods_own() -> None:
    own = maximise(("one", "two"), bell, 100.0, STARTS, LOW, HIGH)
    differences = maximise(("one", "two"), lambda point: (*bell(point)[:2], None), 100.0, STARTS, LOW, HIGH)
    assert differences.point == pytest.approx(own.point, rel=1e-12)
    assert differences.standard_errors == pytest.approx(own.standard_errors, rel=1e-6)


def test_the_likelihoods_own_curvature_makes_the_search_short() -> None:
    calls = []

    def counted(point: np.ndarray) -> Found:
        calls.append(point)
        return bell(point)

    maximise(("one", "two"), counted, 100.0, STARTS[:1], LOW, HIGH)
    assert len(calls) <= 12


def test_the_best_of_several_hills_is_taken() -> None:
    def hills(point: np.ndarray) -> Found:
        z = np.log(point)
        value, gradient = 0.0, np.zeros(2)
        for height, top in ((1.0, (0.0, 0.0)), (3.0, (3.0, -2.0))):
            gap = z - np.array(top)
            part = height * np.exp(-0.5 * float(gap @ gap))
            value += part
            gradient -= part * gap / point
        return value, gradient, None

    found = maximise(("one", "two"), hills, 1.0, STARTS, LOW, HIGH)
    assert np.log(found.point) == pytest.approx([3.0, -2.0], abs=0.02)
    assert found.log_likelihood == pytest.approx(3.0, abs=1e-2)


def test_a_bound_is_named_and_costs_that_parameters_error_only() -> None:
    def rising(point: np.ndarray) -> Found:
        value, gradient, _ = bell(np.array([point[0], 0.5]))
        return value + 50.0 * float(np.log(point[1])), np.array([gradient[0], 50.0 / point[1]]), None

    found = maximise(("one", "two"), rising, 100.0, STARTS, LOW, HIGH)
    assert found.converged and "two ended at its bound 1e+03" in found.note
    assert found.standard_errors[0] == pytest.approx(0.1, rel=1e-6) and np.isnan(found.standard_errors[1])
    assert found.log_covariance is None
    assert "two" not in found.as_fit(("one", "two"), 100.0).standard_errors


def test_on_a_ridge_the_parameters_have_no_error_and_are_named() -> None:
    def ridge(point: np.ndarray) -> Found:
        product = float(np.log(point).sum()) - 1.0
        return -50.0 * product**2, -100.0 * product / point, None

    found = maximise(("one", "two"), ridge, 100.0, STARTS, LOW, HIGH)
    assert found.converged and found.log_likelihood == pytest.approx(0.0, abs=1e-12)
    assert "nothing of one" in found.note and "nothing of two" in found.note
    assert np.log(found.point).sum() == pytest.approx(1.0) and np.isnan(found.standard_errors).all()


def test_a_saddle_is_no_maximum() -> None:
    def saddle(point: np.ndarray) -> Found:
        z = np.log(point)
        return float(z[0] ** 2 - z[1] ** 2), 2.0 * np.array([z[0], -z[1]]) / point, None

    found = maximise(("one", "two"), saddle, 1.0, [np.ones(2)], LOW, HIGH)
    assert not found.converged and "curves upwards" in found.note


def test_a_likelihood_that_is_nowhere_finite_does_not_converge() -> None:
    found = maximise(("one", "two"), lambda point: (float("nan"), np.full(2, np.nan), None), 100.0, STARTS, LOW, HIGH)
    assert not found.converged and "not finite" in found.note
