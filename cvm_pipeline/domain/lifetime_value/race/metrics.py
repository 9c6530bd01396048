"""How good a forecast was, once what it spoke of has happened: one function per measure of metrics.md, "Champion".

Belongs here: measures of arrays (n,) of forecasts against what came. Not here: who forecast what, when (backtest.py).
All raise ValueError on arrays of different length; of nobody (n = 0) every measure is nan, which the card shows as null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats

TOP_SHARE = 0.2
DECILES = 10
# Poisson deviance is infinite where something came that was forecast as exactly nothing; a hundredth of a transaction
# is the least that a forecast of a period is read as.
LEAST_FORECAST = 0.01


def mae(predicted: Floats, actual: Floats) -> float:
    """Mean absolute error."""
    return _mean(np.abs(predicted - actual))


def rmse(predicted: Floats, actual: Floats) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(_mean((predicted - actual) ** 2)))


def poisson_deviances(predicted: Floats, actual: Floats) -> Floats:
    """2 (y ln(y / mu) - (y - mu)) of each row, (n,), mu at least LEAST_FORECAST. Raises ValueError for y < 0."""
    if (actual < 0).any():
        raise ValueError("a count can't be negative")
    mu = np.maximum(predicted, LEAST_FORECAST)
    return 2.0 * (np.where(actual > 0, actual * np.log(np.where(actual > 0, actual, 1.0) / mu), 0.0) - (actual - mu))


def poisson_deviance(predicted: Floats, actual: Floats) -> float:
    """Mean Poisson deviance of counts."""
    return _mean(poisson_deviances(predicted, actual))


def spearman(predicted: Floats, actual: Floats) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; nan where either does not vary."""
    if predicted.size < 2 or np.ptp(predicted) == 0 or np.ptp(actual) == 0:
        return np.nan
    a, b = midranks(predicted), midranks(actual)
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def midranks(values: Floats) -> Floats:
    """Ranks 1..n, ties sharing their mean, (n,)."""
    _, where, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2.0)[where]


def normalised_gini(predicted: Floats, actual: Floats) -> float:
    """Gini of the actual value ordered by the prediction, over that of the perfect order: 1 = ranked perfectly, 0 = by
    chance. Within a tie of predictions the actual values count as their mean. nan where nothing of value came.
    """
    best = _gini(actual, actual)
    return _gini(predicted, actual) / best if best > 0 else np.nan


def capture(predicted: Floats, actual: Floats, share: float = TOP_SHARE) -> float:
    """Share of all actual value held by the predicted top `share` of customers, ties at the edge averaged."""
    total = actual.sum()
    if not total > 0:
        return np.nan
    held = share * predicted.size
    levels, where, count = np.unique(-predicted, return_inverse=True, return_counts=True)
    sums = np.bincount(where, weights=actual, minlength=levels.size)
    before = np.cumsum(count) - count
    part = np.clip((held - before) / count, 0.0, 1.0)
    return float((part * sums).sum() / total)


def total_error(predicted: Floats, actual: Floats) -> float:
    """(predicted total - actual total) / actual total; nan where nothing came."""
    total = actual.sum()
    return float(predicted.sum() / total - 1.0) if total > 0 else np.nan


def rmse_standard_error(predicted: Floats, actual: Floats) -> float:
    """Standard error of `rmse` over customers, by the delta method; nan where it is 0."""
    squares = (predicted - actual) ** 2
    root = np.sqrt(_mean(squares))
    return float(np.std(squares) / np.sqrt(squares.size) / (2.0 * root)) if root > 0 else np.nan


def total_error_standard_error(predicted: Floats, actual: Floats) -> float:
    """Standard error of `total_error` over customers, by the delta method of a ratio; nan where nothing came."""
    if not actual.sum() > 0:
        return np.nan
    residual = predicted - actual * (predicted.sum() / actual.sum())
    return float(np.std(residual) / np.sqrt(actual.size) / _mean(actual))


def deciles(predicted: Floats, actual: Floats) -> list[tuple[float, float]]:
    """(mean prediction, mean of what came) in each tenth of customers, lowest predictions first.

    Ties in prediction are spread over their tenths with the mean of what came, so that the order of rows is no matter.
    """
    if predicted.size < DECILES:
        return []
    order = np.argsort(predicted, kind="stable")
    _, where, count = np.unique(predicted, return_inverse=True, return_counts=True)
    smooth = (np.bincount(where, weights=actual) / count)[where]
    parts = np.array_split(order, DECILES)
    return [(float(predicted[rows].mean()), float(smooth[rows].mean())) for rows in parts]


def log_score(chance: Floats) -> float:
    """Mean of -ln P(what came); the least double stands for a chance of 0."""
    return _mean(-np.log(np.maximum(chance, np.finfo(np.float64).tiny)))


def brier(chance: Floats, happened: Floats) -> float:
    """Mean squared difference of a chance and what happened (0 or 1)."""
    return _mean((chance - happened) ** 2)


def quantile_crps(low: Floats, high: Floats, actual: Floats, levels: tuple[float, float] = (0.1, 0.9)) -> float:
    """Continuous ranked probability score as far as two quantiles tell: the mean of twice their pinball losses."""
    losses = [
        np.maximum(level * (actual - quantile), (level - 1.0) * (actual - quantile))
        for level, quantile in zip(levels, (low, high), strict=True)
    ]
    return 2.0 * _mean(np.mean(losses, axis=0)) if actual.size else np.nan


def interval_score(low: Floats, high: Floats, actual: Floats, level: float = 0.8) -> float:
    """Winkler's score of central intervals: width plus 2/(1 - level) times what lies outside (Gneiting & Raftery 2007)."""
    outside = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    return _mean(high - low + 2.0 / (1.0 - level) * outside)


def coverage(low: Floats, high: Floats, actual: Floats) -> float:
    """Share of rows whose actual value lies within the interval, ends included."""
    return _mean(((actual >= low) & (actual <= high)).astype(np.float64))


def central_share(pit: Floats, low: float = 0.1, high: float = 0.9) -> float:
    """Share of (randomised) probability integral transforms in [low, high]: .8 where the predictive is calibrated."""
    return _mean(((pit >= low) & (pit <= high)).astype(np.float64))


Measure = Callable[[Floats, Floats], float]

OF_COUNTS: Mapping[str, Measure] = {
    "mae": mae,
    "rmse": rmse,
    "poisson_deviance": poisson_deviance,
    "spearman": spearman,
    "total_error": total_error,
}
OF_VALUE: Mapping[str, Measure] = {
    "value_mae": mae,
    "value_rmse": rmse,
    "value_spearman": spearman,
    "value_gini": normalised_gini,
    "value_capture": capture,
    "value_total_error": total_error,
}


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if values.size else np.nan


def _gini(order: Floats, actual: Floats) -> float:
    """Area between the Lorenz curve of `actual` in descending `order` and the diagonal, ties averaged, times 2 / total."""
    levels, where, count = np.unique(-order, return_inverse=True, return_counts=True)
    total = actual.sum()
    if not total > 0:
        return np.nan
    share = np.bincount(where, weights=actual, minlength=levels.size) / total
    before = np.cumsum(share) - share
    return float((2.0 * (before + share / 2.0) * count / actual.size).sum() - 1.0)
