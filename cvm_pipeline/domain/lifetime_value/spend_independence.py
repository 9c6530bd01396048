"""Whether spend per transaction depends on frequency, which Gamma-Gamma assumes it does not.

Belongs here: the test, how much it matters, and the rule by which the alternative (gamma_gamma.py) is used instead. Not here:
either model, what happens where neither can be had (spend.py).

**The test** is the likelihood-ratio test of kappa = 0: twice the difference of the two maxima is chi-square with 1 degree of
freedom. It takes the Gamma-Gamma distribution for granted, and a large base rejects any distribution.

**How much it matters** is asked without one. The mean itself is regressed, E[z | x] = exp(c + lambda ln x), by the gamma
quasi-likelihood, which is right for the mean whatever the distribution (Gourieroux, Monfort & Trognon 1984). The effect is the
factor, less 1, by which that mean moves from the lower quartile of x among repeat buyers to the upper. The variance of lambda
is White's (1982) plus the square of what lambda moves by without the customer who moves it most.

**The rule:** the alternative is used where the test rejects, kappa and lambda both put the effect beyond 10 % at the near ends
of their 99 % intervals, and the base is not small. (One customer of next to nothing can drag kappa anywhere, a giant lambda.)
Not wherever the test rejects: on CDNOW (9,449 repeat buyers to 1997-09-30) it does, with a statistic of 314, but mean spend
rises by only 8 % to 16 %, and in the 39 weeks held out the paper's model erred less on the value of a transaction (RMSE 26.5,
not 27.2; total -2.3 %, not -3.6 %).

Spearman's correlation of x and z is reported and decides nothing: means of many values are less skewed than single ones, so
their medians rise with x where spend does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from cvm_pipeline.domain.lifetime_value import gamma_gamma
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, dot

# One base in a hundred is told wrongly that its spend goes with frequency; the effect's interval is of the same level.
LEVEL = 0.01
# Less than this between the quartiles is less than what forecasts of totals are off by anyway.
MATTERS = 0.10
# With so few repeat buyers the effect's interval is some +-25 % wide: no dependence that a shop knows would show.
LEAST_CUSTOMERS = 200
# One customer alone is left out to see what it does.
_LEAST_APART = 2.0
_REACH = float(-ndtri(LEVEL / 2.0))
_STEPS, _HALVINGS, _CLOSE, _FAR = 200, 60, 1e-12, 100.0


@dataclass(frozen=True)
class Independence:
    """What a base says of spend and frequency. What can't be had is None; `note` says why, and what follows, in words.

    `spearman`: rank correlation of x and z over customers. `kappa`, `likelihood_ratio`, `kappa_p_value`: the test.
    `effect`, and its 99 % interval from `effect_low` to `effect_high`: by how much mean spend is higher at the upper
    quartile of x than at the lower, as a share. `alternative`: the fit with kappa. `fails`: whether the rule says that the
    assumption fails.
    """

    spearman: float | None = None
    kappa: float | None = None
    likelihood_ratio: float | None = None
    kappa_p_value: float | None = None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    alternative: Fit | None = None
    fails: bool = False
    note: str = ""


def independence(frequency: Floats, mean_value: Floats, count: Floats, paper: Fit) -> Independence:
    """The test and the rule, for customers with x > 0 of mean value > 0; `paper`: Gamma-Gamma as fitted to them."""
    x, z, n = frequency, mean_value, count
    distinct, where = np.unique(x, return_inverse=True)
    of = _sums(where, n)
    customers = float(of.sum())
    if customers - of.max() < _LEAST_APART:
        most = distinct[np.argmax(of)]
        return Independence(
            note=f"all repeat buyers, or all but one, have x = {most:g}: no test of spend and frequency"
        )
    rank = spearman(x, z, n)
    quartiles = _quartiles(distinct, of)
    effect = _effect(distinct, where, z, n, quartiles)
    seen = Independence(rank, effect=effect[0], effect_low=effect[1], effect_high=effect[2])
    fit = gamma_gamma.fit(x, z, n, paper) if paper.converged else None
    if fit is None or not fit.converged or fit.log_likelihood is None or paper.log_likelihood is None:
        why = "Gamma-Gamma" if fit is None else f"the alternative ({fit.note})"
        return replace(seen, note=f"no test of spend and frequency: {why} did not converge")
    ratio = max(2.0 * (fit.log_likelihood - paper.log_likelihood), 0.0)
    chance = float(chdtrc(1.0, ratio))
    kappa, half = fit.parameters["kappa"], _REACH * (fit.standard_errors.get("kappa") or _FAR)
    ends = _change(quartiles, kappa - half, kappa + half)
    fails = False
    if chance >= LEVEL:
        verdict = "no dependence of spend on frequency shows"
    elif customers < LEAST_CUSTOMERS:
        verdict = f"spend seems to depend on frequency; under {LEAST_CUSTOMERS} repeat buyers the paper's model stands"
    elif min(effect[1], ends[0]) > MATTERS or max(effect[2], ends[1]) < -MATTERS:
        verdict, fails = "spend depends on frequency: its scale goes with it", True
    else:
        verdict = f"spend depends on frequency, not beyond doubt by more than {MATTERS:.0%}: the paper's model stands"
    numbers = (
        f"kappa {kappa:.3g}, likelihood ratio {ratio:.4g}, p = {chance:.2g}; mean spend {effect[0]:+.1%} "
        f"({effect[1]:+.1%} to {effect[2]:+.1%}) from x = {quartiles[0]:g} to {quartiles[1]:g}; Spearman {rank:.3f}"
    )
    return replace(
        seen, kappa=kappa, likelihood_ratio=ratio, kappa_p_value=chance, alternative=fit, fails=fails,
        note=f"{verdict} ({numbers})",
    )  # fmt: skip


def spearman(x: Floats, y: Floats, count: Floats) -> float:
    """Spearman's rank correlation over customers, `count` of them a row, ties at their mean rank; 0 where either is constant."""
    a, b = (_ranks(column, count) for column in (x, y))
    customers = count.sum()
    a, b = (column - dot(count, column) / customers for column in (a, b))
    spread = np.sqrt(dot(count, a * a) * dot(count, b * b))
    return dot(count, a * b) / spread if spread > 0 else 0.0


def _ranks(values: Floats, count: Floats) -> Floats:
    _, where = np.unique(values, return_inverse=True)
    of = _sums(where, count)
    return (np.cumsum(of) - 0.5 * of)[where]


def _sums(where: NDArray[np.intp], weights: Floats) -> Floats:
    return np.asarray(np.bincount(where, weights=weights), dtype=np.float64)


def _quartiles(x: Floats, count: Floats) -> tuple[float, float]:
    """Of distinct x, `count` customers each."""
    share = np.cumsum(count) / count.sum()
    low, high = (float(x[np.searchsorted(share, at * (1.0 - 1e-12))]) for at in (0.25, 0.75))
    return low, high


def _effect(
    distinct: Floats, where: NDArray[np.intp], z: Floats, n: Floats, quartiles: tuple[float, float]
) -> tuple[float, ...]:
    """The effect and the ends of its 99 % interval."""
    y = z / (dot(n, z) / float(n.sum()))
    of, total = _sums(where, n), _sums(where, n * y)
    along = np.log(distinct)
    design = np.column_stack([np.ones_like(along), along - dot(of, along) / float(of.sum())])
    at = _regress(design, of, total)
    mean = np.exp(design @ at)
    bread = np.linalg.inv(_squares(design, total / mean))
    off = y / mean[where] - 1.0
    meat = _squares(design, _sums(where, n * off * off))
    # White's error takes a giant for a sample of giants: beside it, what the one customer does who moves the slope most.
    most = int(np.argmax(np.abs((design @ bread[1])[where] * off)))
    one = np.zeros_like(of)
    one[where[most]] = min(n[most], 1.0)
    left = of - one
    moved = at[1] - _regress(design, left, np.where(left > 0, np.maximum(total - one * y[most], 0.0), 0.0), at)[1]
    half = _REACH * float(np.hypot(np.sqrt((bread @ meat @ bread)[1, 1]), moved))
    return _change(quartiles, at[1], at[1] - half, at[1] + half)


def _regress(design: Floats, of: Floats, total: Floats, start: Floats | None = None) -> Floats:
    """The minimum of sum (n eta + n z e^-eta), eta = design @ result: convex, and 0 slope is E[z] = e^eta."""

    def height(at: Floats) -> float:
        eta = design @ at
        # Beyond doubles is no minimum either.
        with np.errstate(over="ignore"):
            return float(np.sum(of * eta + total * np.exp(np.minimum(-eta, 700.0))))

    at = np.zeros(2) if start is None else start
    for _ in range(_STEPS):
        seen = total * np.exp(-(design @ at))
        step = np.linalg.solve(_squares(design, seen), np.sum(design * (seen - of)[:, None], axis=0))
        # Newton's full step overshoots where e^-eta is steep: a giant at the end of x.
        for _ in range(_HALVINGS):
            if height(at + step) <= height(at) + _CLOSE * abs(height(at)):
                break
            step = step / 2.0
        at = at + step
        if np.max(np.abs(step)) < _CLOSE:
            break
    return at


def _squares(design: Floats, weights: Floats) -> Floats:
    return np.sum(design[:, :, None] * design[:, None, :] * weights[:, None, None], axis=0)


def _change(quartiles: tuple[float, float], *powers: float) -> tuple[float, ...]:
    """(upper / lower)^power - 1; finite whatever the power."""
    logs = np.log(quartiles[1] / quartiles[0]) * np.array(powers)
    return tuple(float(change) for change in np.expm1(np.clip(logs, -_FAR, _FAR)))
