"""Maximising a log-likelihood of positive parameters, with errors and an honest word on whether it converged.

Belongs here: starts, bounds, the search, the test of convergence, standard errors. Not here: any model's likelihood.

The search runs in log parameters on the log-likelihood per customer: L-BFGS-B from several starts, then Newton steps on
the best. **Converged** means: the largest |d LL / d log parameter| per customer is at most 1e-6, parameters at a bound
beyond which LL still rises left out, and LL curves upwards in no direction. Where it is flat in some direction (a base
in which nobody ever drops out says nothing of how dropout varies) the parameters in it have no standard error, and the
note names them; what the model predicts is the same along it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats

ValueAndGradient = Callable[[Floats], tuple[float, Floats]]

GRADIENT_TOLERANCE = 1e-6
_DIFFERENCE = 1e-4
_NEWTON_STEPS = 30
# Curvature per customer below this is rounding: LL is flat to all purposes.
_FLAT = 1e-9
_WORST = 1e10


@dataclass(frozen=True, eq=False)
class Maximum:
    """Natural parameters, standard errors (nan where they can't be had), LL undivided, and how the search ended."""

    point: Floats
    standard_errors: Floats
    log_likelihood: float
    converged: bool
    gradient_norm: float
    note: str

    def as_fit(self, names: Sequence[str], customers: float, time_unit_days: float | None = None) -> Fit:
        """The same by name, without the errors that can't be had."""
        parameters = {name: float(value) for name, value in zip(names, self.point, strict=True)}
        errors = {n: float(e) for n, e in zip(names, self.standard_errors, strict=True) if np.isfinite(e)}
        return Fit(
            parameters, errors, self.log_likelihood, customers, self.converged, self.gradient_norm, self.note,
            time_unit_days,
        )  # fmt: skip


def maximise(
    names: Sequence[str],
    likelihood: ValueAndGradient,
    customers: float,
    starts: Sequence[Floats],
    low: Floats,
    high: Floats,
    explore: ValueAndGradient | None = None,
) -> Maximum:
    """The maximum of `likelihood` (natural parameters -> LL, dLL/dparameter) within low..high.

    `explore` is a cheaper stand-in of the same shape (a thinned sample) on which the starts compete; the winner goes
    on on the full likelihood. Standard errors: square roots of the diagonal of the inverse of the negative Hessian in
    the natural parameters (central differences of the analytic gradient).
    """
    objective = _in_logs(likelihood, customers)
    racing = objective if explore is None else _in_logs(explore, customers)
    box = np.log(np.c_[low, high])
    ends = [_descend(racing, np.log(start), box) for start in starts]
    _, z = min(ends, key=lambda end: end[0])
    if explore is not None:
        _, z = _descend(objective, z, box)
    z = _newton(objective, z, box)
    value, gradient = objective(z)
    bound = _held(z, gradient, box)
    free = ~bound
    norm = float(np.max(np.abs(gradient[free]), initial=0.0))
    hessian = _hessian(objective, z)
    errors, least = _standard_errors(np.exp(z), hessian, gradient, free, customers)
    problems = []
    if not np.isfinite(value) or abs(value) >= _WORST:
        problems.append("the log-likelihood is not finite")
    if norm > GRADIENT_TOLERANCE:
        problems.append(f"gradient norm {norm:.1e} is above {GRADIENT_TOLERANCE:.0e}")
    if least < -GRADIENT_TOLERANCE:
        problems.append("the best point is no maximum: the likelihood curves upwards")
    remarks = []
    for name, at, held, error in zip(names, z, bound, errors, strict=True):
        if held:
            remarks.append(f"{name} ended at its bound {np.exp(at):.3g}")
        elif np.isnan(error):
            remarks.append(f"the data say nothing of {name} by itself: the likelihood is flat")
    return Maximum(np.exp(z), errors, float(-value * customers), not problems, norm, "; ".join(problems + remarks))


def _in_logs(likelihood: ValueAndGradient, customers: float) -> ValueAndGradient:
    def objective(z: Floats) -> tuple[float, Floats]:
        point = np.exp(z)
        value, gradient = likelihood(point)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return _WORST, np.zeros_like(z)
        return -value / customers, -gradient * point / customers

    return objective


def _descend(objective: ValueAndGradient, z: Floats, box: Floats) -> tuple[float, Floats]:
    found = minimize(
        objective, z, jac=True, method="L-BFGS-B", bounds=[(low, high) for low, high in box],
        options={"maxiter": 500, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    return float(found.fun), np.asarray(found.x, dtype=np.float64)


def _held(z: Floats, gradient: Floats, box: Floats) -> np.ndarray:
    at_low = (z <= box[:, 0] + 1e-9) & (gradient > 0)
    at_high = (z >= box[:, 1] - 1e-9) & (gradient < 0)
    return at_low | at_high


def _newton(objective: ValueAndGradient, z: Floats, box: Floats) -> Floats:
    """Takes what L-BFGS leaves: steps that lower the largest gradient, or the objective; flat directions are walked."""
    value, gradient = objective(z)
    for _ in range(_NEWTON_STEPS):
        free = ~_held(z, gradient, box)
        norm = np.max(np.abs(gradient[free]), initial=0.0)
        if norm < 1e-13:
            break
        curvature, axes = np.linalg.eigh(_hessian(objective, z)[np.ix_(free, free)])
        slopes = axes.T @ gradient[free]
        step = np.zeros_like(z)
        step[free] = -axes @ np.clip(slopes / np.maximum(np.abs(curvature), 1e-14), -1.0, 1.0)
        trial = np.clip(z + step, box[:, 0], box[:, 1])
        there, slope = objective(trial)
        nearer = np.max(np.abs(slope[~_held(trial, slope, box)]), initial=0.0) < norm
        if not (there < value or (nearer and there <= value + 1e-12 * max(abs(value), 1.0))):
            break
        z, value, gradient = trial, there, slope
    return z


def _hessian(objective: ValueAndGradient, z: Floats) -> Floats:
    rows = []
    for i in range(z.size):
        step = np.zeros_like(z)
        step[i] = _DIFFERENCE
        rows.append((objective(z + step)[1] - objective(z - step)[1]) / (2.0 * _DIFFERENCE))
    square = np.array(rows)
    return (square + square.T) / 2.0


def _standard_errors(
    point: Floats, hessian: Floats, gradient: Floats, free: np.ndarray, customers: float
) -> tuple[Floats, float]:
    """Standard errors, nan where LL is flat, and the least curvature per customer of the free log parameters.

    From the log-parameter Hessian to the natural one: H = D^-1 (H_log - diag(g_log)) D^-1, D = diag(point).
    """
    errors = np.full(point.size, np.nan)
    inside = (hessian - np.diag(gradient))[np.ix_(free, free)]
    if inside.size == 0:
        return errors, 0.0
    curvature, axes = np.linalg.eigh(inside)
    flat = curvature < _FLAT
    # A parameter with a visible share in a flat direction can't be told from others.
    known = (axes[:, flat] ** 2).sum(axis=1) < 1e-6
    variance = (axes[:, ~flat] ** 2 / curvature[~flat]).sum(axis=1) / customers
    errors[np.flatnonzero(free)[known]] = (point[free] * np.sqrt(variance))[known]
    return errors, float(curvature[0])
