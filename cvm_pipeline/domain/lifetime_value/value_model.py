"""Customer lifetime value, the pair the pipeline calls: fit(population) -> ValueModel, score(batch, model) -> batch.

Belongs here: what is fitted on what, when a fallback holds, and how timing, spend, margin, discounting and intervals meet
in a row. Not here: any model's formulas, SQL, the race between models (race/backtest.py), the model card (model_card.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value import margin
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_floats, to_money
from cvm_pipeline.domain.lifetime_value.discounting import (
    PERIOD_DAYS,
    discount_factors,
    discounted_transactions,
    period_ends,
)
from cvm_pipeline.domain.lifetime_value.estimation.parameter_intervals import intervals
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters, MarginSums
from cvm_pipeline.domain.lifetime_value.mathematics.distinct import distinct_pairs
from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.predictive import Predictive, tabulate
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, PurchaseHistories, TransactionModel
from cvm_pipeline.domain.lifetime_value.race.backtest import Race, Rules, examples_of, race
from cvm_pipeline.domain.lifetime_value.race.base_fit import DEFAULT_MODELS, BaseFit, SpendSample, fit_base
from cvm_pipeline.domain.lifetime_value.race.champion import PAliveChoice, choose_p_alive
from cvm_pipeline.domain.lifetime_value.race.cuts import Plan
from cvm_pipeline.domain.lifetime_value.race.entrants import Entrant, Probability, Timing, expected
from cvm_pipeline.domain.lifetime_value.race.intervals import Correction, TotalSpread, group_of, thirds
from cvm_pipeline.domain.lifetime_value.race.slices import HISTORY, Rows, Slices
from cvm_pipeline.domain.lifetime_value.registry import p_alive_models, transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend

UNRACED_CHAMPION = "mbg_nbd"
# What an interval rests on: ended windows at least as long as the horizon, or the models' word for the rest of it.
JUDGED, MODELLED = "backtest", "model"
DAYS_A_YEAR = 365.25
_CHUNK = 65_536

SCORE_SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("p_alive", pa.float64()),
        pa.field("expected_transactions_12m", pa.float64()),
        *(pa.field(name, MONEY) for name in ("expected_spend", "clv_12m", "clv_36m", "clv", "clv_low", "clv_high")),
        pa.field("interval_basis", pa.string()),
        pa.field("clv_variance", pa.float64()),
        pa.field("clv_model", pa.string()),
    ]
)


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


def score(batch: pa.RecordBatch, model: ValueModel) -> pa.RecordBatch:
    """p_alive, expectations, value and its interval of each row, in the batch's order: SCORE_SCHEMA. However it is
    split, the same.

    Takes customer_id, transactions, frequency, recency and T (days), repeat_sales, margin_total, revenue_total, and what
    the champion `needs`. A prospect (no transaction) gets nulls. Raises KeyError where a column is missing, ValueError
    where a buyer's T is null.
    """
    column = {name: batch.column(name) for name in batch.schema.names}
    bought = to_floats(column["transactions"]) > 0
    history = {name: to_floats(column[name], np.nan)[bought] for name in HISTORY}
    x, t_x, T = history.values()
    # Not a null, and nothing that no customer can have done: the models' tables are looked up by whole numbers.
    if not ((x >= 0) & (x == np.floor(x)) & (t_x >= 0) & (t_x <= T) & (np.inf > T)).all():
        raise ValueError(
            "a customer with transactions needs frequency, recency and T: a whole frequency, and 0 <= recency <= T"
        )
    words = set(model.champion.needs) & set(model.settings.covariates)
    rows = Rows(
        history | {name: to_floats(column[name])[bought] for name in model.champion.needs if name not in words},
        {name: column[name].cast(pa.string()).to_numpy(zero_copy_only=False)[bought] for name in words},
    )
    repeat_sales, margins, revenue = (
        to_floats(column[name])[bought] for name in ("repeat_sales", "margin_total", "revenue_total")
    )
    rate = margin.score(margins, revenue, model.margin)
    worth = _worth(rows, repeat_sales, rate, model)
    money = [to_money(_spread(values, bought), bought) for values in (worth.spend, *worth.clv.T, worth.low, worth.high)]
    p_alive = model.p_alive.p_alive(*rows.history)
    doubles = {
        name: pa.array(_spread(values, bought), mask=~bought)
        for name, values in (("p_alive", p_alive), ("expected", worth.transactions), ("variance", worth.variance))
    }
    said = {word: _word(word, bought) for word in (model.interval_basis, model.champion.name)}
    return pa.RecordBatch.from_arrays(
        [
            column["customer_id"].cast(pa.string()), doubles["p_alive"], doubles["expected"], *money,
            said[model.interval_basis], doubles["variance"], said[model.champion.name],
        ],
        schema=SCORE_SCHEMA,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Worth:
    transactions: Floats  # in 12 months
    spend: Floats
    clv: Floats  # (n, 3): 12 months, 36 months, the horizon
    low: Floats
    high: Floats
    variance: Floats


def _worth(rows: Rows, repeat_sales: Floats, rate: Floats, model: ValueModel) -> _Worth:
    x, _, T = rows.history
    months = (12, 36, int(model.settings.horizon_months))
    per_level, discounted, sum_, judged = discounted_profile(model, x, T, months)
    level = model.champion.level(rows)
    spend = model.spend.expected(x, repeat_sales)
    scale = model.spend.shapes(x, repeat_sales)[2]
    # The customer's own margin rate and mean discount turn money spent into value.
    factor = rate * discounted[:, 2] / sum_
    low_at, high_at = model.correction.levels(group_of(level * judged * spend, model.thirds))
    ends = [factor * model.predictive.total_quantile(at, level, scale, x, T) for at in (low_at, high_at)]
    mean = level * sum_ * spend
    variance = factor**2 * model.predictive.total_variance(mean, level, scale, x, T)
    return _Worth(
        level * per_level,
        spend,
        level[:, None] * discounted * (spend * rate)[:, None],
        np.minimum(*ends),
        np.maximum(*ends),
        variance,
    )


def discounted_profile(
    model: ValueModel, x: Floats, T: Floats, months: Sequence[int]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Of who is alive: transactions in 12 months (n,), discounted ones in each of `months` (n, m), undiscounted ones in the
    last of them (n,) and in the judged window (n,). T in days; evaluated once per distinct (x, T).
    """
    pairs, where = distinct_pairs(x, T)
    timing = model.champion.timing
    ends = period_ends(max(*months, 12), 1.0)
    factors = discount_factors(ends.size, model.settings.discount_rate_yearly)
    window = model.race.plan.window_days if model.race else ends[0]
    days = np.r_[ends, window]
    parts = []
    for start in range(0, pairs[0].size, _CHUNK):
        part = slice(start, start + _CHUNK)
        path = timing.profile(days, pairs[0][part], pairs[1][part])
        parts.append(
            np.column_stack(
                [
                    path[:, 11], discounted_transactions(path[:, :-1], factors, months), path[:, months[-1] - 1],
                    path[:, -1],
                ]
            )
        )  # fmt: skip
    table = np.concatenate(parts)[where] if parts else np.empty((0, len(months) + 3))
    return table[:, 0], table[:, 1:-2], table[:, -2], table[:, -1]


def infinite_horizon(model: ValueModel, rows: Rows) -> tuple[float, float]:
    """Means over `rows` of discounted residual transactions (DERT at ln(1 + d)) and of the sales they bring, over an
    infinite horizon. Raises ValueError where d is not above 0: the sum need not converge.
    """
    x, _, T = rows.history
    pairs, where = distinct_pairs(x, T)
    timing = model.champion.timing
    if not isinstance(timing.model, TransactionModel):
        raise ValueError(f"{timing.model.name} has no infinite horizon")
    rate = np.log1p(model.settings.discount_rate_yearly) / DAYS_A_YEAR
    while_alive = timing.model.residual_while_alive(timing.parameters, rate, *pairs)
    residual = model.champion.level(rows) * while_alive[where]
    each = model.spend.expected(x, rows["repeat_sales"])
    return float(residual.mean()), float((residual * each).mean())


def _spread(values: Floats, rows: np.ndarray) -> Floats:
    result = np.zeros(rows.size)
    result[rows] = values
    return result


def _word(word: str, bought: np.ndarray) -> pa.Array:
    return pa.array(np.full(bought.size, word, dtype=object), type=pa.string(), mask=~bought)
