"""A model's log-likelihood as a function of log parameters and of effects on them, with gradient and Hessian.

Belongs here: the chain rule from a model's rows to one point. Not here: which parameter a covariate acts on
(covariate_effects.py), priors (flat_coordinates.py), the search (maximum_likelihood.py).

Customer i has log parameters eta_i = log theta + (sign z_i' gamma on the linked ones). With g_i and H_i the gradient and
Hessian of its log-likelihood in eta_i, and D_i = d eta_i / d (log theta, gamma),

    gradient = sum_i count_i D_i' g_i,        Hessian = sum_i count_i D_i' H_i D_i.

H_i comes from central differences of g_i in eta_i: two evaluations a parameter, however many covariates there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats, Parameters, PurchaseHistories, TransactionModel, dot

_DIFFERENCE = 1e-4
# Rows evaluated at once: bounds memory; large enough that numpy's overhead doesn't count.
_CHUNK = 50_000


@dataclass(frozen=True)
class Link:
    """A parameter that covariates multiply: parameter_i = parameter * exp(sign * gamma' z_i)."""

    parameter: str
    sign: float

    def effect(self, column: str) -> str:
        """The name of this parameter's effect of a column."""
        return f"gamma_{self.parameter}_{column}"


class LinkedLikelihood:
    """Log-likelihood, undivided, at a point: log parameters, then the effects, link by link and column by column.

    Called, it is what `maximise` takes: the point is exp of that, so that effects, which may have either sign, are
    positive there as factors a standard deviation.
    """

    def __init__(
        self, model: TransactionModel, histories: PurchaseHistories, links: Sequence[Link] = (), z: Floats | None = None
    ) -> None:
        self._model, self._histories = model, histories
        self._names = model.parameter_names
        self._z = np.empty((histories.T.size, 0)) if z is None else z
        width = self._z.shape[1]
        self._links = tuple((self._names.index(link.parameter), link.sign) for link in links)
        # Where in the point each parameter's own entries are: the log parameter, then its effects.
        self._entries = [np.array([j]) for j in range(len(self._names))]
        for place, (j, _) in enumerate(self._links):
            start = len(self._names) + place * width
            self._entries[j] = np.r_[self._entries[j], start : start + width]
        self.size = len(self._names) + len(self._links) * width

    def __call__(self, point: Floats) -> tuple[float, Floats, Floats]:
        logs = np.log(point)
        gradient = self.gradient(logs)
        hessian = self.hessian(logs)
        return self.value(logs), gradient / point, (hessian - np.diag(gradient)) / np.outer(point, point)

    def value(self, logs: Floats) -> float:
        rows = [self._model.log_likelihood_rows(self._by_name(eta), *columns) for _, eta, *columns in self._parts(logs)]
        return dot(self._histories.count, np.concatenate(rows))

    def gradient(self, logs: Floats) -> Floats:
        """In the logs, shape (d,)."""
        total = np.zeros(self.size)
        for part, eta, *columns in self._parts(logs):
            slopes = self._slopes(eta, *columns) * self._histories.count[part, None]
            for j, entries in enumerate(self._entries):
                total[entries] += [dot(axis, slopes[:, j]) for axis in self._axes(j, part)]
        return total

    def hessian(self, logs: Floats) -> Floats:
        """In the logs, shape (d, d), symmetric."""
        total = np.zeros((self.size, self.size))
        for part, eta, *columns in self._parts(logs):
            axes = [self._axes(j, part) for j in range(len(self._names))]
            for j, entries in enumerate(self._entries):
                ahead, behind = list(eta), list(eta)
                ahead[j], behind[j] = eta[j] + _DIFFERENCE, eta[j] - _DIFFERENCE
                bent = (self._slopes(ahead, *columns) - self._slopes(behind, *columns)) / (2.0 * _DIFFERENCE)
                bent *= self._histories.count[part, None]
                for other, others in enumerate(self._entries):
                    block = [[dot(left * bent[:, other], right) for right in axes[other]] for left in axes[j]]
                    total[np.ix_(entries, others)] += block
        return (total + total.T) / 2.0

    def _parts(self, logs: Floats) -> Iterator[tuple[slice, list[Floats], Floats, Floats, Floats]]:
        """Row by row in chunks: which, their log parameters (arrays where linked, else of length 1), x, t_x and T."""
        h = self._histories
        for start in range(0, h.T.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            eta = [logs[entries[:1]] for entries in self._entries]
            for j, sign in self._links:
                eta[j] = eta[j] + sign * (self._z[part] * logs[self._entries[j][1:]]).sum(axis=1)
            yield part, eta, h.frequency[part], h.recency[part], h.T[part]

    def _by_name(self, eta: list[Floats]) -> Parameters:
        """Floats where all rows share a parameter: models are faster on them."""
        theta = [np.exp(column) for column in eta]
        shared = {name: float(t[0]) if t.size == 1 else t for name, t in zip(self._names, theta, strict=True)}
        return cast(Parameters, shared)

    def _slopes(self, eta: list[Floats], x: Floats, t_x: Floats, T: Floats) -> Floats:
        """d log-likelihood / d log parameter of each row, shape (n, parameters)."""
        slopes = self._model.gradient_rows(self._by_name(eta), x, t_x, T)
        return slopes * np.column_stack([np.broadcast_to(np.exp(column), x.shape) for column in eta])

    def _axes(self, j: int, part: slice) -> list[Floats]:
        """d eta_j / d (its own entries of the point), each shape (n,)."""
        z = self._z[part]
        signs = [sign for linked, sign in self._links if linked == j]
        return [np.ones(len(z)), *(sign * column for sign in signs for column in z.T)]
