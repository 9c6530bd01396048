"""Models with covariates in the race: what is known of customers beside their purchases, from configured columns.

Belongs here: turning configured columns into covariates, fitting BG/NBD and Pareto/NBD with them on rows of one date, and
their form as entrants. Not here: the effects themselves (estimation/covariate_effects.py), encoding (covariates.py).

An entrant's profile is that of the same model without covariates; its level is what the model with them expects of the
customer in the judged window, over that. So within the window nothing is approximated, and beyond it the shape over time is
the average customer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value.covariates import Covariates, Encoding
from cvm_pipeline.domain.lifetime_value.estimation.covariate_effects import LINKS, CovariateFit, WithCovariates
from cvm_pipeline.domain.lifetime_value.protocol import Floats, PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing, profile_of_distinct
from cvm_pipeline.domain.lifetime_value.race.slices import Rows
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

# MBG/NBD's links are BG/NBD's: a third model with the same effects would say little more.
MODELS = ("bg_nbd", "pareto_nbd")


@dataclass(frozen=True, eq=False)
class Effects:
    """A fitted model with covariates, and how its columns are encoded."""

    model: WithCovariates
    fit: CovariateFit
    encodings: tuple[Encoding, ...]

    @property
    def name(self) -> str:
        """As published: the model's name and `_covariates`."""
        return self.model.name

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The model's own, and one effect per linked parameter and column."""
        return tuple(self.fit.parameters)

    def expected(self, rows: Rows, days: float) -> Floats:
        """Expected transactions of each row in the next `days`, (n,)."""
        unit = self.fit.time_unit_days or 1.0
        x, t_x, T = rows.history
        own = self.fit.individual(encoded(rows, self.encodings))
        horizon = np.array([days / unit])
        return self.model.expected_transactions(own, horizon, x, t_x / unit, T / unit)[:, 0]


@dataclass(frozen=True, eq=False)
class WithEffects:
    """The entrant: `timing` is the same model without covariates, `days` the judged window."""

    effects: Effects
    timing: Timing
    days: float
    needs: tuple[str, ...]

    @property
    def name(self) -> str:
        """As published."""
        return self.effects.name

    def level(self, rows: Rows) -> Floats:
        """What is expected with covariates over what the timing model expects while alive."""
        x, _, T = rows.history
        return (
            self.effects.expected(rows, self.days) / profile_of_distinct(self.timing, np.array([self.days]), x, T)[:, 0]
        )


def fit_effects(rows: Rows, columns: Sequence[str], unit_days: float) -> tuple[Effects, ...]:
    """BG/NBD and Pareto/NBD with the categorical `columns` of `rows`; empty where no column has two common levels."""
    encodings = []
    for column in columns:
        try:
            encodings.append(Encoding.of(column, rows.words[column]))
        except ValueError:
            # No level is common enough: the column says nothing that could be estimated.
            continue
    table = encoded(rows, encodings)
    if not table.names:
        return ()
    x, t_x, T = rows.history
    histories = PurchaseHistories.from_days(x, t_x, T, np.ones(rows.size), unit_days)
    found = []
    for name in MODELS:
        model = WithCovariates(transaction_model(name), LINKS[name])
        found.append(Effects(model, model.fit(histories, table), tuple(encodings)))
    return tuple(found)


def encoded(rows: Rows, encodings: Sequence[Encoding]) -> Covariates:
    """All columns of the encodings, row by row."""
    table = Covariates.none(rows.size)
    for encoding in encodings:
        table = table.beside(encoding.apply(rows.words[encoding.column]))
    return table


def card_rows(effects: Effects) -> Mapping[str, tuple[float | None, str]]:
    """What the model card says beside parameters and errors: the likelihood ratio, and each effect per level."""
    found: dict[str, tuple[float | None, str]] = {}
    ratio = effects.fit.likelihood_ratio
    if ratio is not None:
        found["likelihood_ratio"] = (
            ratio.statistic,
            f"against no covariates, {ratio.degrees_of_freedom} degrees of freedom",
        )
        found["likelihood_ratio_p_value"] = (ratio.p_value, "")
    for name, (effect, error) in effects.fit.per_unit().items():
        found[f"effect_{name}"] = (effect, "of the level itself; param_ is per standard deviation")
        found[f"se_effect_{name}"] = (error, "" if error is not None else "the likelihood is flat")
    return found
