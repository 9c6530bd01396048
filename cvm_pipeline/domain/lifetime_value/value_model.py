"""Customer lifetime value, the pair the pipeline calls: fit(population) -> ValueModel, score(batch, model) -> batch.

Belongs here: what is fitted on what, when a fallback holds, and how timing, spend, margin and discounting meet in a
row. Not here: any model's formulas, SQL, the race between models (MBG/NBD gives everything until it is run).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value import gamma_gamma, margin
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_floats, to_money
from cvm_pipeline.domain.lifetime_value.discounting import discount_factors, discounted_transactions, period_ends
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters, MarginSums
from cvm_pipeline.domain.lifetime_value.model_card import Card
from cvm_pipeline.domain.lifetime_value.pooled_rate import POOLED_RATE
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, Forecaster, PurchaseHistories
from cvm_pipeline.domain.lifetime_value.registry import transaction_model, transaction_models
from cvm_pipeline.domain.lifetime_value.spend import Spend, fit_spend

CHAMPION = "mbg_nbd"
LEAST_REPEAT_CUSTOMERS = 50
_CHUNK = 65_536

SCORE_SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("p_alive", pa.float64()),
        pa.field("expected_transactions_12m", pa.float64()),
        *(pa.field(name, MONEY) for name in ("expected_spend", "clv_12m", "clv_36m", "clv")),
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

    def __post_init__(self) -> None:
        if not (np.isfinite(self.time_unit_days) and self.time_unit_days > 0):
            raise ValueError(f"time_unit_days must be a positive number of days, not {self.time_unit_days}")
        if self.horizon_months < 1 or self.horizon_months != int(self.horizon_months):
            raise ValueError(f"horizon_months must be a whole number of months, 1 or more, not {self.horizon_months}")
        if not (np.isfinite(self.discount_rate_yearly) and self.discount_rate_yearly > -1):
            raise ValueError(f"discount_rate_yearly must be above -1, not {self.discount_rate_yearly}")
        if not np.isfinite(self.margin_rate):
            raise ValueError(f"margin_rate must be finite, not {self.margin_rate}")


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


@dataclass(frozen=True)
class ValueModel:
    """All that scoring needs, a few dozen numbers: picklable, the same on one process or on many workers."""

    settings: Settings
    fits: Mapping[str, Fit]
    pooled: Fit
    spend: Spend
    margin: MarginParameters
    fallback: str = ""

    @property
    def timing(self) -> Forecaster:
        """The model that gives p_alive and every expectation."""
        return POOLED_RATE if self.fallback else transaction_model(CHAMPION)

    @property
    def timing_fit(self) -> Fit:
        """Its fit."""
        return self.pooled if self.fallback else self.fits[CHAMPION]

    def card(self) -> pa.Table:
        """Rows of clv_model_card: model, cut_date ('all'), metric, value, note."""
        card = Card()
        for model in transaction_models():
            chosen = not self.fallback and model.name == CHAMPION
            card.add_fit(model.name, model.parameter_names, self.fits[model.name])
            card.add_flags(model.name, champion=chosen, p_alive=chosen, fallback=False)
        pooled = bool(self.fallback)
        card.add_fit(POOLED_RATE.name, POOLED_RATE.parameter_names, self.pooled)
        card.add_flags(POOLED_RATE.name, champion=pooled, p_alive=pooled, fallback=pooled, note=self.fallback)
        card.add_fit(gamma_gamma.NAME, gamma_gamma.NAMES, self.spend.fit)
        card.add(gamma_gamma.NAME, "param_base_mean", self.spend.base_mean, "mean value of all transactions")
        card.add_flags(
            gamma_gamma.NAME, champion=False, p_alive=False, fallback=self.spend.fallback, note=self.spend.note
        )
        for name in ("rate", "tau2", "sigma2"):
            card.add(margin.NAME, f"param_{name}", getattr(self.margin, name))
        card.add(margin.NAME, "customers", self.margin.customers)
        card.add_flags(margin.NAME, champion=False, p_alive=False, fallback=self.margin.fallback, note=self.margin.note)
        return card.table()


def fit(histories: pa.Table, spend: pa.Table, base: BaseFacts, settings: Settings) -> ValueModel:
    """Every model on the unflagged base, from grouped histories.

    `histories`: frequency, recency and T (days), customers; one row per distinct history, prospects left out.
    `spend`: frequency, repeat_sales (net total over the repeat transactions), optionally customers; rows without a
    repeat are ignored. Empty tables are sound: everything falls back. Raises ValueError on impossible histories.
    """
    x, recency, T, customers = (
        to_floats(histories[name], np.nan) for name in ("frequency", "recency", "T", "customers")
    )
    population = PurchaseHistories.from_days(x, recency, T, customers, settings.time_unit_days).grouped()
    why = _unfit(population)
    fits = {}
    for model in transaction_models():
        if why:
            fits[model.name] = Fit.impossible(population.customers, why, settings.time_unit_days)
        else:
            fits[model.name] = model.fit(population)
    if not why and not fits[CHAMPION].converged:
        why = f"{CHAMPION} did not converge: {fits[CHAMPION].note}"
    frequency = to_floats(spend["frequency"], np.nan)
    count = to_floats(spend["customers"]) if "customers" in spend.column_names else np.ones_like(frequency)
    base_mean = float(base.net_sales) / float(base.transactions) if base.transactions > 0 else 0.0
    return ValueModel(
        settings,
        fits,
        POOLED_RATE.fit(population),
        fit_spend(frequency, to_floats(spend["repeat_sales"]), count, base_mean),
        margin.fit(base.margin, settings.margin_rate, float(base.cost_covered_revenue), float(base.revenue_total)),
        why,
    )


def _unfit(population: PurchaseHistories) -> str:
    """Why no model of lifetimes can be fitted to this base, else empty."""
    repeats = population.repeat_customers
    if repeats < LEAST_REPEAT_CUSTOMERS:
        return f"{repeats:g} repeat customers, fewer than {LEAST_REPEAT_CUSTOMERS}"
    if np.ptp(population.frequency) == 0:
        return f"every customer has {population.frequency[0]:g} repeat transactions: no variance"
    return ""


def score(batch: pa.RecordBatch, model: ValueModel) -> pa.RecordBatch:
    """p_alive, expectations and value of each row, in the batch's order: SCORE_SCHEMA. However it is split, the same.

    Takes customer_id, transactions, frequency, recency and T (days), repeat_sales, margin_total, revenue_total. A
    prospect (no transaction) gets nulls. Raises KeyError where a column is missing, ValueError where a buyer's T is
    null.
    """
    column = {name: batch.column(name) for name in batch.schema.names}
    bought = to_floats(column["transactions"]) > 0
    x, recency, T = (to_floats(column[name], np.nan)[bought] for name in ("frequency", "recency", "T"))
    if np.isnan(x + recency + T).any():
        raise ValueError("a customer with transactions needs frequency, recency and T")
    unit = model.settings.time_unit_days
    p_alive, expected, discounted = _timing(x, recency / unit, T / unit, model)
    spend = model.spend.expected(x, to_floats(column["repeat_sales"])[bought])
    rate = margin.score(
        to_floats(column["margin_total"])[bought], to_floats(column["revenue_total"])[bought], model.margin
    )
    values = discounted * (spend * rate)[:, None]
    money = [to_money(_spread(v, bought), bought) for v in (spend, *values.T)]
    doubles = [pa.array(_spread(v, bought), mask=~bought) for v in (p_alive, expected)]
    names = pa.array(np.full(bought.size, model.timing.name, dtype=object), type=pa.string(), mask=~bought)
    customer_id = column["customer_id"].cast(pa.string())
    return pa.RecordBatch.from_arrays([customer_id, *doubles, *money, names], schema=SCORE_SCHEMA)


def _spread(values: Floats, rows: np.ndarray) -> Floats:
    result = np.zeros(rows.size)
    result[rows] = values
    return result


def _timing(x: Floats, t_x: Floats, T: Floats, model: ValueModel) -> tuple[Floats, Floats, Floats]:
    """P(alive) (n,), expected transactions in 12 months (n,), discounted ones in 12, 36 and the horizon's months (n, 3).

    Times in the model's unit. Evaluated once per distinct (x, T, t_x), in chunks of bounded memory.
    """
    months = (12, 36, int(model.settings.horizon_months))
    ends = period_ends(max(months), model.settings.time_unit_days)
    factors = discount_factors(max(months), model.settings.discount_rate_yearly)
    timing, parameters = model.timing, model.timing_fit.parameters
    order = np.lexsort((t_x, T, x))
    x, t_x, T = x[order], t_x[order], T[order]
    first = np.r_[True, (np.diff(x) != 0) | (np.diff(T) != 0) | (np.diff(t_x) != 0)][: x.size]
    group = np.empty(x.size, dtype=np.int64)
    group[order] = np.cumsum(first) - 1
    x, t_x, T = x[first], t_x[first], T[first]
    expected, discounted = np.empty(x.size), np.empty((x.size, len(months)))
    for start in range(0, x.size, _CHUNK):
        rows = slice(start, start + _CHUNK)
        path = timing.expected_transactions(parameters, ends, x[rows], t_x[rows], T[rows])
        expected[rows] = path[:, 11]
        discounted[rows] = discounted_transactions(path, factors, months)
    return timing.p_alive(parameters, x, t_x, T)[group], expected[group], discounted[group]
