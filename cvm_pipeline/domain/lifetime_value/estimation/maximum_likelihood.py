"""Maximising a log-likelihood of positive parameters, with errors and an honest word on whether it converged.

Belongs here: starts, bounds, the search, the test of convergence, standard errors. Not here: any model's likelihood.

The search runs in log parameters on the log-likelihood per customer: Newton steps within a trust region, from several
starts; where a likelihood has no curvature of its own, L-BFGS-B goes before. **Converged** means: the largest
|d LL / d log parameter| per customer is at most 1e-6, parameters at a bound beyond which LL still rises left out, and
LL curves upwards in no direction. Where it is flat in some direction (a base in which nobody ever drops out says nothing
of how dropout varies) the parameters in it have no standard error, and the note names them; what the model predicts is
the same along it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats

# Parameters (k,) -> LL, dLL/dparameter (k,), d2LL/dparameter2 (k, k) or None where only differences can tell.
LogLikelihood = Callable[[Floats], tuple[float, Floats, Floats | None]]

GRADIENT_TOLERANCE = 1e-6
_DIFFERENCE = 1e-4
_STEPS = 100
# Radius of the trust region in log parameters, along each axis of curvature: at first, at most, and where it gives up.
_RADIUS, _WIDEST, _NARROWEST = 1.0, 4.0, 1e-9
# A step that promises less than this share of the value is below rounding. On the stand-in there is no point in it.
_ROUNDING, _ROUGH = 1e-26, 1e-7
# Differences of values below this share are rounding: the gradient judges the step.
_NOISE = 1e-12
# Curvature per customer below this is rounding: LL is flat to all purposes.
_FLAT = 1e-9
_WORST = 1e10


@dataclass(frozen=True, eq=False)
class Maximum:
    """Natural parameters, standard errors (nan where they can't be had), LL undivided, and how the search ended.

    `log_covariance`: covariance matrix (k, k) of the log parameters; None where one is at a bound or LL is flat.
    """

    point: Floats
    standard_errors: Floats
    log_likelihood: float
    converged: bool
    gradient_norm: float
    note: str
    log_covariance: Floats | None

    def as_fit(self, names: Sequence[str], customers: float, time_unit_days: float | None = None) -> Fit:
        """The same by name, without the errors that can't be had."""
        parameters = {name: float(value) for name, value in zip(names, self.point, strict=True)}
        errors = {n: float(e) for n, e in zip(names, self.standard_errors, strict=True) if np.isfinite(e)}
        covariance = self.log_covariance
        rows = None if covariance is None else tuple(tuple(float(v) for v in row) for row in covariance)
        return Fit(
            parameters, errors, self.log_likelihood, customers, self.converged, self.gradient_norm, self.note,
            time_unit_days, rows,
        )  # fmt: skip


def maximise(
    names: Sequence[str],
    likelihood: LogLikelihood,
    customers: float,
    starts: Sequence[Floats],
    low: Floats,
    high: Floats,
    explore: LogLikelihood | None = None,
) -> Maximum:
    """The maximum of `likelihood` within low..high; everything in natural parameters, LL undivided.

    `explore` is a cheaper stand-in of the same shape (a thinned sample) on which the starts compete; the winner goes
    on on the full likelihood. Standard errors: square roots of the diagonal of the inverse of the negative Hessian in
    the natural parameters, by central differences of the gradient where the likelihood gives no Hessian.
    """
    objective = _Objective(likelihood, customers)
    racing = objective if explore is None else _Objective(explore, customers)
    box = np.log(np.c_[low, high])
    ends = [_descend(racing, np.clip(np.log(start), *box.T), box, _ROUGH) for start in starts]
    best = _descend(objective, min(ends, key=lambda end: end.value).z, box, _ROUNDING)
    bound = _held(best.z, best.gradient, box)
    norm = _largest(best.gradient, ~bound)
    errors, covariance, least = _errors(best, ~bound, customers)
    problems = []
    if best.value >= _WORST:
        problems.append("the log-likelihood is not finite")
    if norm > GRADIENT_TOLERANCE:
        problems.append(f"gradient norm {norm:.1e} is above {GRADIENT_TOLERANCE:.0e}")
    if least < -GRADIENT_TOLERANCE:
        problems.append("the best point is no maximum: the likelihood curves upwards")
    remarks = []
    for name, at, held, error in zip(names, best.z, bound, errors, strict=True):
        if held:
            remarks.append(f"{name} ended at its bound {np.exp(at):.3g}")
        elif np.isnan(error):
            remarks.append(f"the data say nothing of {name} by itself: the likelihood is flat")
    return Maximum(
        np.exp(best.z), errors, float(-best.value * customers), not problems, norm, "; ".join(problems + remarks),
        covariance,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Here:
    """-LL per customer at log parameters z, with gradient and Hessian in z."""

    z: Floats
    value: float
    gradient: Floats
    hessian: Floats


class _Objective:
    """-LL per customer of log parameters: D g, and D H D + diag(D g) with D = diag(parameters)."""

    def __init__(self, likelihood: LogLikelihood, customers: float) -> None:
        self._likelihood, self._customers = likelihood, customers

    def at(self, z: Floats) -> _Here:
        value, gradient, hessian = self.evaluate(z)
        return _Here(z, value, gradient, self._differences(z) if hessian is None else hessian)

    def slope(self, z: Floats) -> tuple[float, Floats]:
        value, gradient, _ = self.evaluate(z)
        return value, gradient

    def evaluate(self, z: Floats) -> tuple[float, Floats, Floats | None]:
        point = np.exp(z)
        value, gradient, hessian = self._likelihood(point)
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        if not finite or (hessian is not None and not np.isfinite(hessian).all()):
            return _WORST, np.zeros_like(z), np.zeros((z.size, z.size))
        gradient = -gradient * point / self._customers
        if hessian is not None:
            hessian = -hessian * np.outer(point, point) / self._customers + np.diag(gradient)
        return -value / self._customers, gradient, hessian

    def _differences(self, z: Floats) -> Floats:
        steps = _DIFFERENCE * np.eye(z.size)
        square = np.array([self.slope(z + step)[1] - self.slope(z - step)[1] for step in steps]) / (2.0 * _DIFFERENCE)
        return (square + square.T) / 2.0


def _descend(objective: _Objective, z: Floats, box: Floats, least_gain: float) -> _Here:
    """To the bottom next to z: Newton steps, each the best of the quadratic model within a box along its own axes."""
    value, gradient, hessian = objective.evaluate(z)
    here = objective.at(_quasi_newton(objective, z, box)) if hessian is None else _Here(z, value, gradient, hessian)
    radius = _RADIUS
    for _ in range(_STEPS):
        free, step, gain = _newton_step(here, box, radius)
        scale = max(abs(here.value), 1.0)
        if gain <= least_gain * scale or radius < _NARROWEST:
            break
        there = objective.at(np.clip(here.z + step, *box.T))
        won = here.value - there.value
        if gain < _NOISE * scale:
            # The last digits: values can't tell, and a first step that brings the gradient no lower is the last.
            nearer = _largest(there.gradient, ~_held(there.z, there.gradient, box)) < _largest(here.gradient, free)
            if not nearer or won < -_NOISE * scale:
                break
        elif won < 0.1 * gain:
            radius = 0.25 * min(radius, float(np.max(np.abs(step))))
        elif won > 0.7 * gain:
            radius = min(2.0 * radius, _WIDEST)
        if won > -_NOISE * scale:
            here = there
    return here


def _newton_step(here: _Here, box: Floats, radius: float) -> tuple[NDArray[np.bool_], Floats, float]:
    """Which coordinates move, the step, and by how much the quadratic model falls along it."""
    free = ~_held(here.z, here.gradient, box)
    while True:
        curvature, axes = np.linalg.eigh(here.hessian[np.ix_(free, free)])
        slopes = axes.T @ here.gradient[free]
        # Where it curves the wrong way the model falls all the way to the region's edge: |curvature| goes far enough.
        along = np.clip(-slopes / np.maximum(np.abs(curvature), 1e-14), -radius, radius)
        step = np.zeros_like(here.z)
        step[free] = axes @ along
        outwards = ((here.z <= box[:, 0]) & (step < 0)) | ((here.z >= box[:, 1]) & (step > 0))
        if not outwards.any():
            return free, step, -float(np.sum(slopes * along + 0.5 * curvature * along**2))
        free &= ~outwards


def _quasi_newton(objective: _Objective, z: Floats, box: Floats) -> Floats:
    found = minimize(
        objective.slope, z, jac=True, method="L-BFGS-B", bounds=[(low, high) for low, high in box],
        options={"maxiter": 500, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    return np.asarray(found.x, dtype=np.float64)


def _held(z: Floats, gradient: Floats, box: Floats) -> NDArray[np.bool_]:
    at_low = (z <= box[:, 0] + 1e-9) & (gradient > 0)
    at_high = (z >= box[:, 1] - 1e-9) & (gradient < 0)
    return at_low | at_high


def _largest(gradient: Floats, free: NDArray[np.bool_]) -> float:
    return float(np.max(np.abs(gradient[free]), initial=0.0))


def _errors(best: _Here, free: NDArray[np.bool_], customers: float) -> tuple[Floats, Floats | None, float]:
    """Standard errors, nan where LL is flat; covariance of the logs; least curvature per customer of the free logs.

    The natural Hessian is D^-1 (H_log - diag(g_log)) D^-1, D = diag(parameters).
    """
    errors = np.full(best.z.size, np.nan)
    inside = (best.hessian - np.diag(best.gradient))[np.ix_(free, free)]
    if inside.size == 0:
        return errors, None, 0.0
    curvature, axes = np.linalg.eigh(inside)
    flat = curvature < _FLAT
    # A parameter with a visible share in a flat direction can't be told from others.
    known = (axes[:, flat] ** 2).sum(axis=1) < 1e-6
    covariance = (axes[:, ~flat] / curvature[~flat]) @ axes[:, ~flat].T / customers
    errors[np.flatnonzero(free)[known]] = (np.exp(best.z[free]) * np.sqrt(np.diag(covariance)))[known]
    return errors, covariance if free.all() and not flat.any() else None, float(curvature[0])
