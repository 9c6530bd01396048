"""Everything that is fitted on a base as it was known at one date: timing models, spend, trees.

Belongs here: fitting them all by one rule, at a cut and at the snapshot alike, and when none can be. Not here: which of
them is used (champion.py), how they are judged (backtest.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.covariate_entrant import Effects, WithEffects, fit_effects
from cvm_pipeline.domain.lifetime_value.race.entrants import Entrant, Probability, Timing, naive_entrants
from cvm_pipeline.domain.lifetime_value.race.gradient_boosting import Average, Boosted, Trees, train
from cvm_pipeline.domain.lifetime_value.race.slices import Outcome, Rows
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend, fit_spend

LEAST_REPEAT_CUSTOMERS = 50
DEFAULT_MODELS = ("bg_nbd", "mbg_nbd", "nbd", "pareto_nbd")


@dataclass(frozen=True)
class BaseFit:
    """`fits`: every timing model asked for, converged or not; `trees`: or why there are none; `effects`: models with
    covariates, where columns are configured; `unfit`: why no model of lifetimes can be fitted to this base, else empty.
    """

    fits: Mapping[str, Fit]
    spend: Spend
    trees: Trees | str
    effects: tuple[Effects, ...] = ()
    unfit: str = ""

    @property
    def timings(self) -> dict[str, Timing]:
        """The models that converged, by name."""
        return {name: Timing(transaction_model(name), fit) for name, fit in self.fits.items() if fit.converged}

    def entrants(self, shape: str, rows: Rows, days: float) -> dict[str, Entrant]:
        """All that can forecast, by name. `shape`: the probability model that carries the others' forecasts to other
        horizons; `days`: the judged period; `rows`: the base that naive forecasts are fitted on.
        """
        timings = self.timings
        found: list[Entrant] = [Probability(timing) for timing in timings.values()]
        if isinstance(self.trees, Trees):
            boosted = Boosted(self.trees, timings[shape], days)
            found += [boosted, Average(boosted)]
        for effects in self.effects:
            base = effects.model.base.name
            if base in timings and effects.fit.converged:
                needs = tuple(encoding.column for encoding in effects.encodings)
                found.append(WithEffects(effects, timings[base], days, needs))
        found += naive_entrants(rows, days, timings[shape])
        return {entrant.name: entrant for entrant in found}


@dataclass(frozen=True, eq=False)
class SpendSample:
    """Repeat buyers' money: frequency, net total over the repeats, customers who share both; three arrays (n,).

    `base_mean`: mean net value of all the base's transactions.
    """

    frequency: Floats
    repeat_sales: Floats
    count: Floats
    base_mean: float

    @classmethod
    def of(cls, rows: Rows) -> SpendSample:
        """From rows of one date."""
        transactions = float((rows["frequency"] + 1.0).sum())
        mean = float(rows["net_sales"].sum()) / transactions if transactions else 0.0
        return cls(rows["frequency"], rows["repeat_sales"], np.ones(rows.size), mean)


def fit_base(
    histories: PurchaseHistories,
    spend: SpendSample,
    examples: Sequence[tuple[Rows, Outcome]] | None,
    models: Sequence[str],
    unit_days: float,
    described: tuple[Rows, Sequence[str]] | None = None,
) -> BaseFit:
    """Fit all of it. `histories` in days; `examples`: past rows and what followed, None for no trees; `unit_days`: the
    models' unit; `described`: rows with their words, and the columns that are covariates.
    """
    why = unfit(histories)
    fits = {}
    for name in models:
        model = transaction_model(name)
        unit = model.own_unit_days or unit_days
        if why:
            fits[name] = Fit.impossible(histories.customers, why, unit)
        else:
            fits[name] = model.fit(histories.in_unit(unit))
    trees = why or (train(examples) if examples is not None else "no examples")
    effects = () if why or described is None else fit_effects(*described, unit_days)
    money = fit_spend(spend.frequency, spend.repeat_sales, spend.count, spend.base_mean)
    return BaseFit(fits, money, trees, effects, why)


def unfit(histories: PurchaseHistories) -> str:
    """Why no model of lifetimes can be fitted to this base, else empty."""
    repeats = histories.repeat_customers
    if repeats < LEAST_REPEAT_CUSTOMERS:
        return f"{repeats:g} repeat customers, fewer than {LEAST_REPEAT_CUSTOMERS}"
    if np.ptp(histories.frequency) == 0:
        return f"every customer has {histories.frequency[0]:g} repeat transactions: no variance"
    return ""
