"""Customer lifetime value fitted: fit(population) -> ValueModel, all that scoring needs (value_score.py).

Belongs here: what is fitted on what, what a fitted model holds, and when a fallback holds. Not here: any model's formulas,
a customer's value (value_score.py), the race between models (race/backtest.py), the model card (model_card.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value import margin
from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.discounting import PERIOD_DAYS
from cvm_pipeline.domain.lifetime_value.estimation.parameter_intervals import intervals
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters, MarginSums
from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.predictive import Predictive, tabulate
from cvm_pipeline.domain.lifetime_value.protocol import Fit, PurchaseHistories
from cvm_pipeline.domain.lifetime_value.race.backtest import Race, Rules, examples_of, race
from cvm_pipeline.domain.lifetime_value.race.base_fit import DEFAULT_MODELS, BaseFit, SpendSample, fit_base
from cvm_pipeline.domain.lifetime_value.race.champion import PAliveChoice, choose_p_alive
from cvm_pipeline.domain.lifetime_value.race.cuts import Plan
from cvm_pipeline.domain.lifetime_value.race.entrants import Entrant, Probability, Timing, expected
from cvm_pipeline.domain.lifetime_value.race.intervals import Correction, TotalSpread, thirds
from cvm_pipeline.domain.lifetime_value.race.slices import HISTORY, Rows, Slices
from cvm_pipeline.domain.lifetime_value.registry import p_alive_models, transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend

UNRACED_CHAMPION = "mbg_nbd"
# What an interval rests on: ended windows at least as long as the horizon, or the models' word for the rest of it.
JUDGED, MODELLED = "backtest", "model"


@dataclass(frozen=True)
class Settings:
    """Section `clv` of the configuration, as far as the engine needs it. Raises ValueError on what makes no sense."""

    time_unit_days: float = 7.0
    horizon_months: int = 12
    discount_rate_yearly: float = 0.10
    margin_rate: float = 1.0
    models: tuple[str, ...] = DEFAULT_MODELS
    select_by: str = "rmse"
    covariates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.time_unit_days) and self.time_unit_days > 0):
            raise ValueError(f"time_unit_days must be a positive number of days, not {self.time_unit_days}")
        if self.horizon_months < 1 or self.horizon_months != int(self.horizon_months):
            raise ValueError(f"horizon_months must be a whole number of months, 1 or more, not {self.horizon_months}")
        if not (np.isfinite(self.discount_rate_yearly) and self.discount_rate_yearly > -1):
            raise ValueError(f"discount_rate_yearly must be above -1, not {self.discount_rate_yearly}")
        if not np.isfinite(self.margin_rate):
            raise ValueError(f"margin_rate must be finite, not {self.margin_rate}")
        if not set(self.models) & set(p_alive_models()):
            raise ValueError(f"models must name one that can give p_alive: {' or '.join(p_alive_models())}")

    @property
    def horizon_days(self) -> float:
        """The horizon in days."""
        return self.horizon_months * PERIOD_DAYS


@dataclass(frozen=True)
class BaseFacts:
    """Sums over the unflagged customers of the snapshot, in the project's currency (floats or decimals).

    `transactions`: all of them, first ones too; `net_sales`: their net value; `revenue_total`: net revenue;
    `cost_covered_revenue`: the part of it whose cost was given; `margin`: moments over customers with revenue above 0.
    """

    transactions: float = 0.0
    net_sales: float = 0.0
    revenue_total: float = 0.0
    cost_covered_revenue: float = 0.0
    margin: MarginSums = field(default_factory=MarginSums)

    @property
    def mean_transaction(self) -> float:
        """Mean net value of a transaction; 0 where there are none."""
        return float(self.net_sales) / float(self.transactions) if self.transactions > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Past:
    """What only history can tell: the base at the plan's dates, and who gave p_alive at the snapshot published before."""

    slices: Slices
    plan: Plan
    p_alive: PAliveChoice | None = None


@dataclass(frozen=True, eq=False)
class ValueModel:
    """All that scoring needs: picklable, the same on one process or on many workers.

    `champion` gives every expectation, `p_alive` the published P(alive); `fallback` says why no model of lifetimes stands
    behind them, else empty. `thirds`: the expected sales of the judged window that cut the base into thirds; `sample`:
    unflagged customers of the snapshot, as far as backtests look at them; `dates_of_cuts`: how many cuts were planned.
    """

    settings: Settings
    base: BaseFit
    margin: MarginParameters
    champion: Entrant
    p_alive: Timing
    p_alive_choice: PAliveChoice
    predictive: Predictive
    race: Race | None = None
    thirds: tuple[float, float] = (0.0, 0.0)
    sample: Rows | None = None
    fallback: str = ""
    dates_of_cuts: int = 0

    @property
    def unjudged(self) -> str:
        """Why no cut of the past has judged the champion, else empty."""
        if self.race is not None:
            return ""
        if not self.dates_of_cuts:
            return "not judged by what came: history is too short to be cut"
        return (
            f"not judged by what came: at the {self.dates_of_cuts} dates of the past the base was too small for a model"
        )

    @property
    def judged_days(self) -> float:
        """Length of the window that the champion was judged on; of one period where nothing was judged."""
        return self.race.plan.window_days if self.race else PERIOD_DAYS

    @property
    def spend(self) -> Spend:
        """The spend model."""
        return self.base.spend

    @property
    def correction(self) -> Correction:
        """What ended windows say of the predictive's levels."""
        return self.race.correction if self.race else Correction()

    @property
    def total_spread(self) -> TotalSpread:
        """How far totals are off between cuts."""
        return self.race.total if self.race else TotalSpread(0.0, 0)

    @property
    def interval_basis(self) -> str:
        """Whether any held-out window was as long as the horizon."""
        judged = self.race.plan.window_days if self.race else 0
        return JUDGED if judged >= np.floor(self.settings.horizon_days) else MODELLED


def fit(
    histories: pa.Table, spend: pa.Table, base: BaseFacts, settings: Settings, past: Past | None = None
) -> ValueModel:
    """Every model on the unflagged base, from grouped histories; the race on what was known at earlier cuts.

    `histories`: frequency, recency and T (days), customers; one row per distinct history, prospects left out.
    `spend`: frequency, repeat_sales (net total over the repeat transactions), optionally customers; rows without a
    repeat are ignored. Empty tables are sound: everything falls back. Raises ValueError on impossible histories.
    """
    x, t_x, T, customers = (to_floats(histories[name], np.nan) for name in (*HISTORY, "customers"))
    population = PurchaseHistories.from_days(x, t_x, T, customers, 1.0).grouped()
    frequency = to_floats(spend["frequency"], np.nan)
    count = to_floats(spend["customers"]) if "customers" in spend.column_names else np.ones_like(frequency)
    repeat_spend = SpendSample(frequency, to_floats(spend["repeat_sales"]), count, base.mean_transaction)
    examples = examples_of(past.slices, past.plan.training_windows(past.plan.as_of)) if past else []
    known = past.slices.at(past.plan.as_of) if past else None
    sample = known.rows if known else None
    described = (sample, settings.covariates) if sample else None
    fitted = fit_base(population, repeat_spend, examples, settings.models, settings.time_unit_days, described)
    told = {name: _with_parameter_intervals(name, one, population) for name, one in fitted.fits.items()}
    fitted = replace(fitted, fits=told)
    margins = margin.fit(base.margin, settings.margin_rate, float(base.cost_covered_revenue), float(base.revenue_total))
    planned = len(past.plan.cuts) if past else 0
    if not set(p_alive_models()) & set(fitted.timings):
        return replace(_fallback(population, fitted, margins, settings), dates_of_cuts=planned)
    ran = _run(past, fitted, settings)
    choice = choose_p_alive(_briers(ran, fitted), past.p_alive if past else None)
    champion = _champion(ran, fitted, past)
    predictive = _tabulate(champion, fitted.spend, settings.horizon_days, population)
    return ValueModel(
        settings, fitted, margins, champion, fitted.timings[choice.model], choice, predictive, ran,
        _thirds(champion, fitted.spend, sample, ran), sample, dates_of_cuts=planned,
    )  # fmt: skip


def _with_parameter_intervals(name: str, fitted: Fit, population: PurchaseHistories) -> Fit:
    if not fitted.converged or fitted.time_unit_days is None:
        return fitted
    found = intervals(transaction_model(name), fitted, population.in_unit(fitted.time_unit_days))
    known = {parameter: (low, found.high[parameter]) for parameter, low in found.low.items()}
    method = "; ".join(filter(None, [f"95 % by {found.method}", found.note]))
    return replace(fitted, intervals=known, interval_method=method)


def _fallback(
    population: PurchaseHistories, fitted: BaseFit, margins: MarginParameters, settings: Settings
) -> ValueModel:
    notes = [f"{name} did not converge: {fit.note}" for name, fit in fitted.fits.items() if name in p_alive_models()]
    pooled = Timing(POOLED_RATE, POOLED_RATE.fit(population.in_unit(settings.time_unit_days)))
    champion = Probability(pooled)
    return ValueModel(
        settings, fitted, margins, champion, pooled, PAliveChoice(POOLED_RATE.name, "", 0),
        _tabulate(champion, fitted.spend, settings.horizon_days, population), fallback=fitted.unfit or "; ".join(notes),
    )  # fmt: skip


def _run(past: Past | None, fitted: BaseFit, settings: Settings) -> Race | None:
    if past is None:
        return None
    rules = Rules(tuple(fitted.timings), settings.time_unit_days, settings.select_by, settings.covariates)
    return race(past.slices, past.plan, rules)


def _briers(ran: Race | None, fitted: BaseFit) -> dict[str, float]:
    return {n: ran.brier.get(n, np.nan) if ran else np.nan for n in p_alive_models() if n in fitted.timings}


def _champion(ran: Race | None, fitted: BaseFit, past: Past | None) -> Entrant:
    timings = fitted.timings
    if ran is None or past is None:
        name = UNRACED_CHAMPION if UNRACED_CHAMPION in timings else next(n for n in p_alive_models() if n in timings)
        return Probability(timings[name])
    known = past.slices.at(past.plan.as_of)
    entrants = fitted.entrants(ran.shape, known.rows if known else Rows({}), ran.plan.window_days)
    # The trees may lack examples now that they had at the cuts: the probability model that carried them stands in.
    return entrants.get(ran.champion, entrants[ran.shape])


def _thirds(champion: Entrant, spend: Spend, sample: Rows | None, ran: Race | None) -> tuple[float, float]:
    if sample is None or ran is None:
        return 0.0, 0.0
    each = spend.expected(sample["frequency"], sample["repeat_sales"])
    return thirds(expected(champion, sample, ran.plan.window_days) * each)


def _tabulate(champion: Entrant, spend: Spend, days: float, population: PurchaseHistories) -> Predictive:
    most_x, most_T = (float(np.max(c, initial=0.0)) for c in (population.frequency, population.T))
    return tabulate(champion.timing, spend, days, most_x, most_T)
