"""Time-invariant covariates: Fader & Hardie (2007), "Incorporating Time-Invariant Covariates into the Pareto/NBD and
BG/NBD Models", brucehardie.com/notes/019.

What is known of a customer besides its purchases, z_i, multiplies the scale of its rates:

    Pareto/NBD:  alpha_i = alpha exp(-gamma_alpha' z_i),   beta_i = beta exp(-gamma_beta' z_i)
    BG/NBD:      alpha_i = alpha exp(-gamma_alpha' z_i),   a_i = a exp(gamma_a' z_i),   b_i = b exp(gamma_b' z_i)

(MBG/NBD as BG/NBD.) A positive gamma_alpha: buys more often; gamma_beta or gamma_a: leaves sooner; gamma_b: later. Since
z is standardised, the parameters without a subscript are those of a customer with average covariates.

Belongs here: the links of each model, the fit of the effects, and any model's scores at each row's own parameters.
Not here: the table of covariates (covariates.py), likelihood and climb (linked_likelihood.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from scipy.special import chdtrc

from cvm_pipeline.domain.lifetime_value.covariates import Covariates, Standardisation, grouped
from cvm_pipeline.domain.lifetime_value.estimation.linked_likelihood import Link, LinkedLikelihood
from cvm_pipeline.domain.lifetime_value.estimation.maximum_likelihood import maximise
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Parameters, PurchaseHistories, TransactionModel

_GEOMETRIC = (Link("alpha", -1.0), Link("a", 1.0), Link("b", 1.0))
LINKS: Mapping[str, tuple[Link, ...]] = {
    "bg_nbd": _GEOMETRIC,
    "mbg_nbd": _GEOMETRIC,
    "pareto_nbd": (Link("alpha", -1.0), Link("beta", -1.0)),
}
# Effects are first sought on so many rows; the full table then takes two or three steps instead of ten.
_EXPLORED = 20_000
_NOTHING = Standardisation((), (), (), {})
# exp(10): a covariate that moves a parameter by more per standard deviation separates customers completely.
_REACH = 10.0


@dataclass(frozen=True)
class LikelihoodRatio:
    """Twice the gain in log-likelihood over the fit without covariates, against chi-square."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True)
class CovariateFit(Fit):
    """A fit whose `parameters` end in effects, `gamma_<parameter>_<column>`, per standard deviation of the column.

    `log_covariance` is of the log parameters and of the effects themselves. `without`: the fit without covariates.
    """

    links: tuple[Link, ...] = ()
    standardisation: Standardisation = _NOTHING
    without: Fit | None = None
    likelihood_ratio: LikelihoodRatio | None = None

    def per_unit(self) -> dict[str, tuple[float, float | None]]:
        """Each effect and its standard error per unit of the raw column (for a category: of the level itself)."""
        known = self.standardisation
        found = {}
        for link in self.links:
            for column, deviation in zip(known.names, known.deviation, strict=True):
                name = link.effect(column)
                error = self.standard_errors.get(name)
                found[name] = (self.parameters[name] / deviation, None if error is None else error / deviation)
        return found

    def individual(self, covariates: Covariates) -> Parameters:
        """The model's parameters of each row of raw covariates: arrays (n,) where linked, else floats.

        Raises ValueError where a column of the fit is missing.
        """
        z = self.standardisation.apply(covariates)
        effects = {link.effect(column) for link in self.links for column in self.standardisation.names}
        own: dict[str, float | Floats] = {n: value for n, value in self.parameters.items() if n not in effects}
        if z.shape[1]:
            for link in self.links:
                gamma = np.array([self.parameters[link.effect(column)] for column in self.standardisation.names])
                own[link.parameter] = own[link.parameter] * np.exp(link.sign * (z * gamma).sum(axis=1))
        return cast(Parameters, own)


class WithCovariates(TransactionModel):
    """A model whose parameters may be arrays (n,), one value a row, in every method; floats are passed on as they are.

    Rows with the same parameters are scored together by the model itself, so covariates of few distinct values cost
    little and continuous ones a call a row.
    """

    def __init__(self, base: TransactionModel, links: tuple[Link, ...] | None = None) -> None:
        """Raises KeyError where no `links` are given and the model's paper knows none."""
        self.base = base
        self.links = LINKS[base.name] if links is None else links
        self.name = f"{base.name}_covariates"
        self.parameter_names = base.parameter_names
        self.time_powers = dict(base.time_powers)
        self.knows_p_alive = base.knows_p_alive
        self.own_unit_days = base.own_unit_days

    def fit(self, histories: PurchaseHistories, covariates: Covariates | None = None) -> CovariateFit:
        """Maximum likelihood from the fit without covariates on; equal to it where no column is left.

        Constant and collinear columns are left out, and `note` says so.
        """
        table = Covariates.none(histories.frequency.size) if covariates is None else covariates
        histories, covariates = grouped(histories, table)
        scale = Standardisation.of(covariates, histories.count)
        without = self.base.fit(histories)
        if not scale.names or not without.parameters:
            return _as_covariate_fit(without, (), Standardisation((), (), (), scale.left_out), without)
        return self._from(without, histories, scale.apply(covariates), scale)

    def _from(self, without: Fit, histories: PurchaseHistories, z: Floats, scale: Standardisation) -> CovariateFit:
        effects = [link.effect(column) for link in self.links for column in scale.names]
        names = [*self.parameter_names, *effects]
        start = np.r_[[without.parameters[name] for name in self.parameter_names], np.ones(len(effects))]
        few = slice(None, None, -(-len(z) // _EXPLORED))
        likelihood = LinkedLikelihood(self.base, histories, self.links, z)
        # The same every k-th rows.
        explore = LinkedLikelihood(self.base, histories.thinned(_EXPLORED), self.links, z[few])
        reach = np.exp(_REACH)
        found = maximise(
            names, likelihood, histories.customers, [start], start / reach, start * reach,
            None if few.step == 1 else explore,
        )  # fmt: skip
        fit = found.as_fit(names, histories.customers, histories.time_unit_days)
        # The search knows an effect as the factor exp(gamma).
        gammas = {name: float(np.log(fit.parameters[name])) for name in effects}
        errors = {
            name: error / fit.parameters[name] if name in gammas and error is not None else error
            for name, error in fit.standard_errors.items()
        }
        gain = (fit.log_likelihood or 0.0) - (without.log_likelihood or 0.0)
        statistic, freedom = max(0.0, 2.0 * gain), len(effects)
        fit = replace(fit, parameters={**fit.parameters, **gammas}, standard_errors=errors)
        ratio = LikelihoodRatio(statistic, freedom, float(chdtrc(freedom, statistic)))
        return _as_covariate_fit(fit, self.links, scale, without, ratio)

    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return self.base.log_likelihood_rows(parameters, x, t_x, T)

    def gradient_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return self.base.gradient_rows(parameters, x, t_x, T)

    def log_p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.log_p_alive(own, *c), x, t_x, T)

    def p_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.p_alive(own, *c), x, t_x, T)

    def expected_while_alive(self, parameters: Parameters, horizon: Floats, x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.expected_while_alive(own, horizon, *c), x, T)

    def expected_transactions(
        self, parameters: Parameters, horizon: Floats, x: Floats, t_x: Floats, T: Floats
    ) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.expected_transactions(own, horizon, *c), x, t_x, T)

    def pmf_while_alive(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.pmf_while_alive(own, counts, horizon, *c), x, T)

    def pmf(self, parameters: Parameters, counts: Floats, horizon: float, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.pmf(own, counts, horizon, *c), x, t_x, T)

    def residual_while_alive(self, parameters: Parameters, rate: float, x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.residual_while_alive(own, rate, *c), x, T)

    def residual_transactions(self, parameters: Parameters, rate: float, x: Floats, t_x: Floats, T: Floats) -> Floats:
        return _by_vector(parameters, lambda own, *c: self.base.residual_transactions(own, rate, *c), x, t_x, T)

    def simulate(
        self, parameters: Parameters, T: Floats, horizon: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """As the model's own; customers of the same parameters are drawn together."""
        drawn = _by_vector(
            parameters, lambda own, ends: np.column_stack(self.base.simulate(own, ends, horizon, rng)), T
        )
        return drawn[:, 0], drawn[:, 1], drawn[:, 2]


def _as_covariate_fit(
    fit: Fit, links: tuple[Link, ...], scale: Standardisation, without: Fit, ratio: LikelihoodRatio | None = None
) -> CovariateFit:
    fields = {**vars(fit), "note": "; ".join(part for part in (fit.note, scale.note) if part)}
    return CovariateFit(**fields, links=links, standardisation=scale, without=without, likelihood_ratio=ratio)


def _by_vector(parameters: Parameters, score: Callable[..., Floats], *columns: Floats) -> Floats:
    """`score` of each set of rows that share their parameters, at those parameters as floats; rows' order is kept.

    Raises ValueError where a parameter has another number of rows than the columns.
    """
    columns = tuple(np.asarray(column, dtype=np.float64) for column in columns)
    own = {name: np.asarray(value) for name, value in parameters.items() if np.ndim(value)}
    rows = columns[0].size
    for name, value in own.items():
        if value.shape != (rows,):
            raise ValueError(f"{name} is given for {value.shape} rows, to be scored are {rows}")
    if not own or rows == 0:
        return score({**parameters, **dict.fromkeys(own, 1.0)}, *columns)
    order = np.lexsort(tuple(own.values()))
    differs = np.zeros(rows - 1, dtype=bool)
    for value in own.values():
        differs |= np.diff(value[order]) != 0
    result: Floats | None = None
    for alike in np.split(order, np.flatnonzero(differs) + 1):
        shared = {**parameters, **{name: float(value[alike[0]]) for name, value in own.items()}}
        part = score(shared, *(column[alike] for column in columns))
        if result is None:
            result = np.empty((rows, *part.shape[1:]))
        result[alike] = part
    assert result is not None
    return result
