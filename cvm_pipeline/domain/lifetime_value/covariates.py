"""What is known of customers beside their purchases: a table of numbers, and how words become numbers.

Belongs here: the covariate table beside the histories, its standardisation, the encoding of categories, and grouping
customers who share history and covariates. Not here: what covariates do to a model (estimation/covariate_effects.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories

# A column whose own part, after the columns before it, has less than this share of its variance counts as their sum:
# its effect's standard error would be ten thousand times that of a column by itself.
_COLLINEAR = 1e-8
# What a column of one value is off by when its mean is taken in floating point.
_CONSTANT = 1e-12
# A level with fewer customers, or a smaller share of them, is pooled.
LEAST_CUSTOMERS, LEAST_SHARE = 50, 0.01
OTHER = "other"


@dataclass(frozen=True, eq=False)
class Covariates:
    """`values` (n, k): column c of customer i (or group of alike customers), in the source's own units.

    Raises ValueError where a name occurs twice or a value is missing: what a missing number means is for the source to
    say (a column "unknown" beside a filled one, say).
    """

    names: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64, order="F")
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise ValueError(f"{len(self.names)} covariates need a matrix of as many columns, not {values.shape}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"a covariate's name occurs twice in {', '.join(self.names)}")
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            row, column = bad[0]
            raise ValueError(f"covariate {self.names[column]} of row {row} is {values[row, column]}, not a number")
        values.flags.writeable = False
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "values", values)

    @classmethod
    def none(cls, rows: int) -> Covariates:
        """No covariates for so many rows."""
        return cls((), np.empty((rows, 0)))

    def beside(self, other: Covariates) -> Covariates:
        """Both tables' columns, row by row."""
        return Covariates(self.names + other.names, np.column_stack([self.values, other.values]))

    def rows(self, chosen: slice | np.ndarray) -> Covariates:
        """The same columns of some rows."""
        return Covariates(self.names, self.values[chosen])


def grouped(histories: PurchaseHistories, covariates: Covariates) -> tuple[PurchaseHistories, Covariates]:
    """Sorted and merged where x, t_x, T and all covariates are the same: no sum depends on the rows' order.

    Raises ValueError where the two are not of one length.
    """
    h, z = histories, covariates.values
    if len(z) != h.frequency.size:
        raise ValueError(f"{len(z)} rows of covariates beside {h.frequency.size} histories")
    if len(z) == 0:
        return histories, covariates
    keys = [*z.T[::-1], h.recency, h.T, h.frequency]
    order = np.lexsort(keys)
    differs = np.zeros(len(z) - 1, dtype=bool)
    for key in keys:
        differs |= np.diff(key[order]) != 0
    starts = np.flatnonzero(np.r_[True, differs])
    first = order[starts]
    count = np.add.reduceat(h.count[order], starts)
    merged = PurchaseHistories(h.frequency[first], h.recency[first], h.T[first], count, h.time_unit_days)
    return merged, covariates.rows(first)


@dataclass(frozen=True)
class Standardisation:
    """To mean 0 and standard deviation 1 over the customers of the fit, column by column; scoring uses the same.

    `left_out`: columns that can have no effect of their own, and why.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, covariates: Covariates, count: Floats) -> Standardisation:
        """Weighted by count. Left out: constant columns, and those that earlier columns determine."""
        names, means, deviations = [], [], []
        left_out: dict[str, str] = {}
        # Orthogonal to each other, of mean 0 and variance 1: what the columns kept so far span.
        basis: list[Floats] = []
        total = count.sum()
        for name, column in zip(covariates.names, covariates.values.T, strict=True):
            mean = np.sum(count * column) / total if total else 0.0
            centred = column - mean
            deviation = np.sqrt(np.sum(count * centred**2) / total) if total else 0.0
            if deviation <= _CONSTANT * np.abs(column).max(initial=0.0):
                left_out[name] = "the same for every customer"
                continue
            own = centred / deviation
            # Twice: once leaves rounding of the size of what was taken away.
            for axis in basis * 2:
                own = own - axis * (np.sum(count * axis * own) / total)
            variance = np.sum(count * own**2) / total
            if variance < _COLLINEAR:
                left_out[name] = "determined by the columns before it"
                continue
            basis.append(own / np.sqrt(variance))
            names.append(name)
            means.append(float(mean))
            deviations.append(float(deviation))
        return cls(tuple(names), tuple(means), tuple(deviations), left_out)

    def apply(self, covariates: Covariates) -> Floats:
        """Standardised values (n, kept columns), whatever else the table holds. Raises ValueError for a missing one."""
        missing = [name for name in self.names if name not in covariates.names]
        if missing:
            raise ValueError(f"the fit knows {', '.join(missing)}, the table to be scored does not")
        columns = [covariates.names.index(name) for name in self.names]
        return (covariates.values[:, columns] - np.array(self.mean)) / np.array(self.deviation)

    @property
    def note(self) -> str:
        """The columns left out, in words; empty where there are none."""
        return "; ".join(f"{name} left out: {why}" for name, why in self.left_out.items())


@dataclass(frozen=True)
class Encoding:
    """A category as columns of 0 and 1, one a level of its own; customers of the `reference` have 0 in all.

    The reference is the commonest level. A level of fewer than 50 customers or under 1 % of them, a null, and a level
    that the fit has never seen count as `other`; where these together are as few, there is no `other` and they count as
    the reference.
    """

    column: str
    reference: str
    levels: tuple[str, ...]
    has_other: bool

    @classmethod
    def of(cls, column: str, values: Sequence[str | None] | np.ndarray, count: Floats | None = None) -> Encoding:
        """Levels and reference of a column of strings; `count` customers a row (1 by default).

        Raises ValueError where no level is common enough to be one.
        """
        codes, found = pd.factorize(np.asarray(values, dtype=object))
        weights = np.ones(codes.size) if count is None else np.asarray(count, dtype=np.float64)
        customers = np.bincount(codes[codes >= 0], weights=weights[codes >= 0], minlength=len(found))
        total = float(weights.sum())
        least = max(LEAST_CUSTOMERS, LEAST_SHARE * total)
        # Commonest first, ties by name. A level that is called "other" is pooled like any that is.
        ranked = sorted(zip(-customers, map(str, found), strict=True))
        own = [level for fewer, level in ranked if -fewer >= least and level != OTHER]
        if not own:
            raise ValueError(f"no level of {column} has {least:g} customers")
        pooled = total - sum(-fewer for fewer, level in ranked if level in own)
        return cls(column, own[0], tuple(sorted(own[1:])), pooled >= least)

    def apply(self, values: Sequence[str | None] | np.ndarray) -> Covariates:
        """One row a value; columns named `column=level`, `other` last."""
        codes, found = pd.factorize(np.asarray(values, dtype=object))
        place = {level: i for i, level in enumerate(self.levels)}
        width = len(self.levels) + self.has_other
        # The reference, and what counts as it, lie in a column beyond the last, which is dropped.
        stray = width - 1 if self.has_other else width
        targets = [width if str(level) == self.reference else place.get(str(level), stray) for level in found]
        columns = np.array([*targets, stray], dtype=np.int64)[codes]
        ones = np.zeros((codes.size, width + 1))
        ones[np.arange(codes.size), columns] = 1.0
        names = [*self.levels, OTHER] if self.has_other else list(self.levels)
        return Covariates(tuple(f"{self.column}={name}" for name in names), ones[:, :width])
