"""95 % intervals of a model's parameters, and draws of them.

Belongs here: how sure a fit is of its parameters. Not here: how sure a forecast is of a customer (race/intervals.py), the
coordinates in which the prior is flat (flat_coordinates.py).

From 20,000 customers on, the log parameters are taken as normal about the fit, with `Fit.log_covariance`. Below, where
that under-covers, the interval runs between the 2.5 % and 97.5 % quantiles of the posterior, found by importance
sampling: draws from a multivariate t, first with the Laplace covariance at the fit and then fitted to the weighted
draws, in rounds. Where hardly any draws count after that: the Bayesian bootstrap (Rubin 1981), each customer weighted by
an exponential variable and the model fitted again. All is deterministic: points are Sobol's, seeds are constants.

On 200 bases of 2,000 customers from CDNOW's MBG/NBD the normal interval held the true r in 90 % and b in 90 %; these in
96 % and 99 %; on Pareto/NBD's s 92 % and 94 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, logsumexp, ndtri

from cvm_pipeline.domain.lifetime_value.estimation.flat_coordinates import FlatCoordinates
from cvm_pipeline.domain.lifetime_value.estimation.linked_likelihood import LinkedLikelihood
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Parameters, PurchaseHistories, TransactionModel

NORMAL_FROM = 20_000
_TAILS = (0.025, 0.975)
_SEED = 20_070_219
# Draws of a round that only looks where the posterior lies, and of one that may be the result; powers of two for Sobol's
# points. A look is good when this share of it counts.
_LOOK, _DRAWS, _GOOD = 256, 2048, 0.45
_LOOKS, _ROUNDS = 6, 10
# So many effective draws put the tails' quantiles at 2.5 % +- 0.6 %, and so few at +- 1.6 %: asked for, and put up with.
_ENOUGH, _TOLERATED = 800.0, 100.0
_FREEDOM = 5.0
# Rows times draws evaluated at once: more fall out of the cache, fewer are all overhead.
_CELLS = 8_000
_KERNELS = 256
_WIDE, _WIDE_SHARE = 1.3, 0.25
# Weights are flattened until so many draws count: what a round learns from must not be a single point.
_LEARNT_FROM = 40.0
_REPLICATES = 200


@dataclass(frozen=True)
class Intervals:
    """`low` and `high` by parameter, natural; one that can't be had is absent and `note` says why.

    `method`: "normal", "importance sampling", "bootstrap" or "none". `effective_sample_size`: of the importance sample.
    """

    low: Mapping[str, float]
    high: Mapping[str, float]
    method: str
    effective_sample_size: float | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class _Sample:
    """Weighted draws of log parameters, (m, k) and (m,); weights sum to 1."""

    logs: Floats
    weights: Floats
    method: str

    @property
    def effective(self) -> float:
        return float(1.0 / np.sum(self.weights**2))


def intervals(model: TransactionModel, fit: Fit, histories: PurchaseHistories) -> Intervals:
    """95 % intervals of the fit's parameters, in the fit's unit; `histories` are those it was fitted on."""
    why = _unknowable(fit, histories)
    if why:
        return Intervals({}, {}, "none", None, why)
    names = model.parameter_names
    known = _told(names, fit)
    unknown = [name for name in names if name not in known]
    note = f"the data don't tell {', '.join(unknown)} apart" if unknown else ""
    if not known:
        return Intervals({}, {}, "none", None, note)
    if histories.customers >= NORMAL_FROM:
        low, high = {}, {}
        for name in known:
            value, error = fit.parameters[name], fit.standard_errors[name] or 0.0
            half = ndtri(_TAILS[1]) * error / value
            low[name], high[name] = float(value * np.exp(-half)), float(value * np.exp(half))
        return Intervals(low, high, "normal", None, note)
    sample = _posterior(model, fit, histories)
    low, high = {}, {}
    for j, name in enumerate(names):
        if name in known:
            low[name], high[name] = map(float, np.exp(_quantiles(sample.logs[:, j], sample.weights)))
    effective = sample.effective if sample.method == "importance sampling" else None
    return Intervals(low, high, sample.method, effective, note)


def draws(model: TransactionModel, fit: Fit, histories: PurchaseHistories, size: int) -> Floats:
    """`size` equally likely draws of the parameters, natural, shape (size, k); the same at every call.

    Resampled where they come from importance sampling, so that some occur more than once. Raises ValueError where there
    is no posterior: no fit, or nobody bought twice.
    """
    why = _unknowable(fit, histories)
    if why:
        raise ValueError(why)
    if histories.customers >= NORMAL_FROM and fit.log_covariance is not None:
        centre = np.log([fit.parameters[name] for name in model.parameter_names])
        axes = np.linalg.cholesky(np.array(fit.log_covariance))
        return np.exp(centre + ndtri(_points(size, centre.size, _SEED)) @ axes.T)
    sample = _posterior(model, fit, histories)
    places = (np.arange(size) + 0.5) / size
    chosen = np.searchsorted(np.cumsum(sample.weights), places).clip(max=sample.weights.size - 1)
    return np.exp(sample.logs[np.random.Generator(np.random.Philox(_SEED)).permutation(chosen)])


def _unknowable(fit: Fit, histories: PurchaseHistories) -> str:
    if not fit.parameters:
        return fit.note or "there is no fit"
    return "" if histories.repeat_customers > 0 else "nobody bought twice: every rate up to some limit is as likely"


def _told(names: tuple[str, ...], fit: Fit) -> list[str]:
    """The parameters that the fit can tell, two by two as they come in the papers.

    With one of a pair at a bound, the other's error is only its own given that.
    """
    pairs = [names[i : i + 2] for i in range(0, len(names), 2)]
    return [n for pair in pairs for n in pair if all(fit.standard_errors.get(one) is not None for one in pair)]


def _posterior(model: TransactionModel, fit: Fit, histories: PurchaseHistories) -> _Sample:
    grouped = histories.grouped()
    sample = _importance(model, fit, grouped)
    return sample if sample.effective >= _TOLERATED else _bootstrap(model, grouped)


@dataclass(frozen=True, eq=False)
class _Proposal:
    """Multivariate t about each of `centres` (j, k), with scale matrices (scale_j axes)(scale_j axes)' and shares (j,)."""

    centres: Floats
    scales: Floats
    shares: Floats
    axes: Floats

    def draw(self, size: int, turn: int) -> Floats:
        k = self.axes.shape[0]
        uniform = _points(size, k + 2, _SEED + turn)
        scaled = ndtri(uniform[:, :k]) / np.sqrt(2.0 * gammaincinv(_FREEDOM / 2.0, uniform[:, [k]]) / _FREEDOM)
        which = np.searchsorted(np.cumsum(self.shares)[:-1], uniform[:, k + 1], side="right")
        return self.centres[which] + self.scales[which, None] * (scaled @ self.axes.T)

    def log_density(self, points: Floats) -> Floats:
        """Up to a constant, shape (n,)."""
        k = self.axes.shape[0]
        inverse = np.linalg.inv(self.axes)
        squared = np.zeros((len(points), len(self.centres)))
        for here, there in zip((points @ inverse.T).T, (self.centres @ inverse.T).T, strict=True):
            squared += (here[:, None] - there) ** 2
        kernels = np.log1p(squared / (_FREEDOM * self.scales**2))
        kernels *= -0.5 * (_FREEDOM + k)
        kernels += np.log(self.shares) - k * np.log(self.scales)
        return np.asarray(logsumexp(kernels, axis=1))


def _importance(model: TransactionModel, fit: Fit, histories: PurchaseHistories) -> _Sample:
    """Rounds of draws, each from kernels about the draws before it and weighed against its own kernels only.

    The kernels are West's (1993): shrunk to the mean so that their mixture has the sample's covariance; one wide kernel
    beside them bounds the weights in the tails. To weigh the earlier draws too against the later kernels (Cornuet et al.
    2012) would save a third of the work, but those know them: intervals came out 5 % short on CDNOW-like bases.
    """
    flat = FlatCoordinates(model.parameter_names, histories)
    names = model.parameter_names
    told = np.isin(names, _told(names, fit))
    centre = flat.inside(flat.of_logs(np.log([fit.parameters[name] for name in names])), told)
    axes = np.asarray(np.linalg.cholesky(_laplace(LinkedLikelihood(model, histories), flat, centre, told)))
    proposal = _Proposal(centre[None], np.ones(1), np.ones(1), axes)
    rounds: list[tuple[Floats, Floats]] = []
    size, looks = _LOOK, 0
    for turn in range(_ROUNDS):
        points = proposal.draw(size, turn)
        log_weights = _heights(model, histories, flat, points) - proposal.log_density(points)
        # Where no draw is possible they count alike, and the next round looks further.
        weights = np.exp(log_weights - log_weights.max()) if np.isfinite(log_weights.max()) else np.ones(size)
        weights /= weights.sum()
        effective = 1.0 / np.sum(weights**2)
        rounds.append((points, effective * weights))
        result = _pooled(rounds[looks:])
        if size == _DRAWS and 1.0 / np.sum(result[1] ** 2) >= _ENOUGH:
            break
        proposal = _kernels(*_pooled(rounds))
        if size == _LOOK and turn > 0 and (effective >= _GOOD * size or turn + 1 >= _LOOKS):
            size, looks = _DRAWS, turn + 1
    points, weights = result
    found = weights > 0
    return _Sample(flat.to_logs(points[found]), weights[found], "importance sampling")


def _pooled(rounds: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    points, weights = (np.concatenate(part) for part in zip(*rounds, strict=True))
    return points, weights / weights.sum()


def _heights(model: TransactionModel, histories: PurchaseHistories, flat: FlatCoordinates, points: Floats) -> Floats:
    """Log posterior up to a constant, shape (n,); -inf where the prior or the likelihood has nothing."""
    heights = np.full(len(points), -np.inf)
    possible, logs = flat.possible(points)
    h, rows = histories, histories.T.size
    together = max(1, _CELLS // rows)
    for start in range(0, len(logs), together):
        some = np.exp(logs[start : start + together])
        # Models are faster on floats.
        each = {
            name: float(column[0]) if len(some) == 1 else np.repeat(column, rows)
            for name, column in zip(model.parameter_names, some.T, strict=True)
        }
        columns = (np.tile(column, len(some)) for column in (h.frequency, h.recency, h.T))
        by_row = model.log_likelihood_rows(cast(Parameters, each), *columns).reshape(len(some), rows)
        heights[possible[start : start + together]] = (h.count * by_row).sum(axis=1)
    return np.where(np.isfinite(heights), heights, -np.inf)


def _kernels(points: Floats, weights: Floats) -> _Proposal:
    power, flattened = 1.0, weights
    while 1.0 / np.sum(flattened**2) < _LEARNT_FROM and power > 1e-3:
        power *= 0.7
        flattened = weights**power
        flattened = flattened / flattened.sum()
    centre = flattened @ points
    gaps = points - centre
    axes = np.asarray(np.linalg.cholesky(gaps.T @ (flattened[:, None] * gaps)))
    k = centre.size
    effective = 1.0 / np.sum(flattened**2)
    # Narrower than the normal rule, since posteriors bend along their ridges.
    squared = 0.7 * (4.0 / ((k + 2.0) * effective)) ** (2.0 / (k + 4.0))
    places = (np.arange(_KERNELS) + 0.5) / _KERNELS
    chosen = np.searchsorted(np.cumsum(flattened), places).clip(max=len(points) - 1)
    return _Proposal(
        np.vstack([centre + np.sqrt(1.0 - squared) * gaps[chosen], centre]),
        np.r_[np.full(_KERNELS, np.sqrt(squared)), _WIDE],
        np.r_[np.full(_KERNELS, (1.0 - _WIDE_SHARE) / _KERNELS), _WIDE_SHARE],
        axes,
    )


def _laplace(likelihood: LinkedLikelihood, flat: FlatCoordinates, centre: Floats, told: NDArray[np.bool_]) -> Floats:
    """Covariance in flat coordinates, from the curvature in log parameters where the fit tells them.

    Elsewhere, and at most, as wide as the coordinate's range.
    """
    turn = np.where(told, flat.slopes(centre), 0.0)
    precision = -turn.T @ likelihood.hessian(flat.to_logs(centre[None])[0]) @ turn
    size, axes = np.linalg.eigh(flat.widths[:, None] * precision * flat.widths)
    scaled = (axes / (np.abs(size) + 1.0)) @ axes.T
    return flat.widths[:, None] * scaled * flat.widths


def _bootstrap(model: TransactionModel, histories: PurchaseHistories) -> _Sample:
    rng = np.random.Generator(np.random.Philox(_SEED))
    h, found = histories, []
    for _ in range(_REPLICATES):
        weight = np.maximum(rng.gamma(h.count), np.finfo(float).tiny)
        fit = model.fit(PurchaseHistories(h.frequency, h.recency, h.T, weight, h.time_unit_days))
        if fit.parameters:
            found.append(np.log([fit.parameters[name] for name in model.parameter_names]))
    return _Sample(np.array(found), np.full(len(found), 1.0 / len(found)), "bootstrap")


def _points(size: int, k: int, seed: int) -> Floats:
    """Sobol's points in the open unit cube, shifted by one constant vector a seed; shape (size, k)."""
    # Here, since scipy.stats takes longer to import than a large base to fit, and only small ones need it.
    from scipy.stats import qmc

    shift = np.random.Generator(np.random.Philox(seed)).random(k)
    whole = 1 << int(np.ceil(np.log2(max(size, 1))))
    points = (qmc.Sobol(k, scramble=False).random(whole)[:size] + shift) % 1.0
    return np.clip(points, 1e-12, 1.0 - 1e-12)


def _quantiles(values: Floats, weights: Floats) -> Floats:
    order = np.argsort(values)
    return np.interp(_TAILS, np.cumsum(weights[order]) - weights[order] / 2.0, values[order])
