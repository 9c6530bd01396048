"""Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value" (brucehardie.com/notes/025).

Belongs here: likelihood, fit and expectation of the mean value of a transaction, with spend independent of frequency or
not. Not here: the numerics (gamma_gamma_likelihood.py), the test of that independence (spend_independence.py), what to do
where the model can't be fitted or has no mean (spend.py), the money of several transactions to come (mathematics/future_total.py).

A transaction's value is gamma(p, nu), and nu ~ gamma(q, v) over customers. With mean z over x transactions, eq. 1a:

    f(z | p, q, v; x) = Gamma(px+q) / (Gamma(px) Gamma(q)) v^q z^(px-1) x^(px) / (v + x z)^(px+q)
    E[Z | z, x] = p (v + x z) / (px + q - 1)     (eq. 5);     E[Z] = p v / (q - 1) for q > 1.

The paper takes nu to be independent of x. **The alternative** lets its scale go with frequency,

    z / x^kappa ~ f(. | p, q, v; x),     that is     z ~ f(. | p, q, v x^kappa; x),

which is the paper's model at kappa = 0 (the Jacobian x^-kappa is what turns the one form into the other). Who has x repeat
transactions now and makes another is then one of those with x + 1, so a transaction to come is expected with their scale:

    E[Z | z, x] = p (v (1+x)^kappa + x z) / (px + q - 1),     E[Z] = p v / (q - 1) for x = 0.

This is exact in the frequency part where purchases are Poisson at a gamma rate and spend goes with rate^kappa: the mean of
rate^kappa over the transactions to come of those with x is its mean over the customers with x + 1. Measured on rates and
spend so simulated (kappa .5): with (1+x)^kappa in the fit as well, the expectation of customers with x = 0 is 33 % too low,
so it is 4 % too low, and the paper's 78 % too high.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import Maximum, maximise
from cvm_pipeline.domain.lifetime_value.gamma_gamma_likelihood import Likelihood, gradient_of_rows, value_of_rows
from cvm_pipeline.domain.lifetime_value.mathematics.distinct import Counts
from cvm_pipeline.domain.lifetime_value.mathematics.pieces import pieces
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Parameters

NAME = "gamma_gamma"
NAMES = ("p", "q", "v")
# The alternative's. Wherever parameters are taken here kappa may be absent, and is 0 then.
NAMES_BY_FREQUENCY = (*NAMES, "kappa")
# (p, q): the neighbourhood of most retail bases; wide differences among a customer's own values; steady customers.
_STARTS = ((6.0, 4.0), (0.6, 2.0), (30.0, 10.0))
# The search runs in (p, q, mu = p v / q, e^kappa), which hardly pull on each other and are all positive. At p or q = 1e7
# values vary by .03 %: nobody's spend is told more finely. mu is in units of the geometric mean of z.
_SEARCHED = ("p", "q", "p v / q", "exp(kappa)")
_LOW, _HIGH = np.array([1e-4, 1e-4, 1e-8, np.exp(-10.0)]), np.array([1e7, 1e7, 1e8, np.exp(10.0)])
# Its logs to those of (p, q, v, e^kappa).
_TO_V = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [-1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
_EXPLORED = 20_000
_SPLIT = 134_217_729.0  # 2^27 + 1


def fit(frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None = None, beside: Fit | None = None) -> Fit:
    """Maximum likelihood from customers with x > 0 repeat transactions of mean value > 0; `count` customers a row.

    v is in the values' own currency, as is the log-likelihood. `beside`: the paper's model as fitted to the same
    customers; the alternative is then fitted, from there, so that its likelihood is never the lower one. Its
    `log_covariance` is that of (ln p, ln q, ln v, kappa). Raises ValueError on x <= 0, values <= 0 or not finite.
    """
    likelihood = Likelihood(*_checked(frequency, mean_value, count))
    if not likelihood.customers:
        return Fit.impossible(0.0, "no customer with a repeat transaction above 0")
    names = NAMES if beside is None else NAMES_BY_FREQUENCY
    if beside is None:
        starts = [likelihood.start(p, q) for p, q in _STARTS]
    else:
        p, q, v = (beside.parameters[name] for name in NAMES)
        starts = [np.array([p, q, p * v / q, 1.0])]
    unit = np.array([1.0, 1.0, np.exp(likelihood.mean_log), 1.0])
    low, high = ((bound * unit)[: len(names)] for bound in (_LOW, _HIGH))
    explore = likelihood.thinned(_EXPLORED) if beside is None and likelihood.rows > _EXPLORED else None
    found = maximise(_SEARCHED[: len(names)], likelihood, likelihood.customers, starts, low, high, explore)
    return _to_letters(found).as_fit(names, likelihood.customers)


def _to_letters(found: Maximum) -> Maximum:
    """From the coordinates of the search to p, q, v and kappa, with errors and covariance."""
    size = found.point.size
    turn = _TO_V[:size, :size]
    point = np.exp(turn @ np.log(found.point))
    if found.log_covariance is None:
        covariance, errors = None, found.standard_errors.copy()
        # That of v would need the covariance.
        errors[2] = np.nan
    else:
        covariance = turn @ found.log_covariance @ turn.T
        errors = point * np.sqrt(np.diag(covariance))
    errors[3:] /= point[3:]
    point[3:] = np.log(point[3:])
    return replace(found, point=point, standard_errors=errors, log_covariance=covariance)


def log_likelihood(
    parameters: Parameters, frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None = None
) -> float:
    """Sum over customers of log f(z | x), undivided. Raises ValueError as `fit`."""
    x, z, n = _checked(frequency, mean_value, count)
    return float(np.sum(n * value_of_rows(*_searched(parameters), x, z)))


def log_likelihood_rows(parameters: Parameters, frequency: ArrayLike, mean_value: ArrayLike) -> Floats:
    """log f(z | x) of each row, shape (n,). Raises ValueError as `fit`."""
    x, z, _ = _checked(frequency, mean_value, None)
    return value_of_rows(*_searched(parameters), x, z)


def gradient_rows(parameters: Parameters, frequency: ArrayLike, mean_value: ArrayLike) -> Floats:
    """d log f(z | x) / d (p, q, v, kappa) of each row, shape (n, 4). Raises ValueError as `fit`."""
    x, z, _ = _checked(frequency, mean_value, None)
    return gradient_of_rows(*_searched(parameters), x, z) / np.array([*(parameters[name] for name in NAMES), 1.0])


def population_mean(parameters: Parameters) -> float | None:
    """E[Z] = p v / (q - 1), of who has no repeat transaction; None where q <= 1: the distribution has no mean."""
    p, q, v = (parameters[name] for name in NAMES)
    return p * v / (q - 1.0) if q > 1.0 else None


def scale_to_come(parameters: Parameters, frequency: Floats) -> Floats:
    """v (1 + x)^kappa, the scale of a transaction to come of who has x repeats now, shape (n,)."""
    kappa = parameters.get("kappa", 0.0)
    return parameters["v"] * ((1.0 + frequency) ** kappa if kappa else np.ones_like(frequency))


def conditional_mean(parameters: Parameters, frequency: Floats, mean_value: Floats) -> Floats:
    """E[Z | z, x], shape (n,): eq. 5, or the alternative's; for x = 0 it is the population's mean.

    Raises ValueError as `mean_given_total`.
    """
    return mean_given_total(parameters, frequency, frequency * mean_value)


def mean_given_total(parameters: Parameters, frequency: Floats, total: Floats) -> Floats:
    """The same from the total x z of the repeat transactions, shape (n,); where x = 0, and below 0, it counts as 0.

    Raises ValueError where px + q <= 1: what such a customer spends has no mean.
    """
    p, q = parameters["p"], parameters["q"]
    least = float(np.min(frequency, initial=np.inf))
    if frequency.size and _shape_less_one(p, q, np.array([least]))[0] <= 0:
        raise ValueError(f"there is no mean where p x + q <= 1: p = {p:g}, q = {q:g}, x = {least:g}")
    counts = Counts.covering(frequency)
    shape = _shape_less_one(p, q, counts.values)
    scale = scale_to_come(parameters, counts.values)
    # Counts below the least only fill the table: no row takes theirs.
    factor = p / np.where(shape > 0, shape, 1.0)
    # Not by a choice row by row, which a processor can't foresee: it took as long as all the rest.
    most = np.where(counts.values > 0, np.inf, 0.0)
    mean = np.empty(frequency.shape)
    for rows in pieces(frequency.size):
        place = counts.place(frequency[rows])
        part = np.maximum(total[rows], 0.0)
        np.minimum(part, most.take(place), out=part)
        part += scale.take(place)
        np.multiply(part, factor.take(place), out=mean[rows])
    return mean


def _shape_less_one(p: float, q: float, x: Floats) -> Floats:
    """px + q - 1 to its last digit even where the terms cancel: what rounding took is found (Dekker 1971) and added."""
    product, less = p * x, q - 1.0
    p_high, x_high = (_SPLIT * value - (_SPLIT * value - value) for value in (p, x))
    p_low, x_low = p - p_high, x - x_high
    of_product = ((p_high * x_high - product) + p_high * x_low + p_low * x_high) + p_low * x_low
    of_less = (q - (less - (less - q))) - (1.0 + (less - q))
    return (product + less) + (of_product + of_less)


def _searched(parameters: Parameters) -> tuple[float, float, float, float]:
    """p, q, ln mu, kappa."""
    p, q, v = (parameters[name] for name in NAMES)
    return p, q, float(np.log(p) + np.log(v) - np.log(q)), parameters.get("kappa", 0.0)


def _checked(frequency: ArrayLike, mean_value: ArrayLike, count: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    x = np.asarray(frequency, dtype=np.float64)
    z = np.asarray(mean_value, dtype=np.float64)
    n = np.ones_like(x) if count is None else np.asarray(count, dtype=np.float64)
    if not x.shape == z.shape == n.shape or x.ndim != 1:
        raise ValueError("frequency, mean_value and count must be one-dimensional and of one length")
    sound = np.isfinite(x) & np.isfinite(z) & np.isfinite(n) & (x > 0) & (z > 0) & (n > 0)
    if not sound.all():
        row = int(np.argmin(sound))
        raise ValueError(
            "Gamma-Gamma takes customers with frequency > 0 and mean value > 0; "
            f"row {row} has frequency {x[row]:g}, mean {z[row]:g}, count {n[row]:g}"
        )
    return x, z, n
