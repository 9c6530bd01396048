"""Customer lifetime value of each row: score(batch, model) -> batch, in whatever batches the rows come.

Belongs here: how timing, spend, margin, discounting and intervals of a fitted model meet in a row. Not here: the fit
(value_model.py), any model's formulas, SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value import margin
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_floats, to_money
from cvm_pipeline.domain.lifetime_value.discounting import discount_factors, discounted_transactions, period_ends
from cvm_pipeline.domain.lifetime_value.mathematics.distinct import distinct_pairs
from cvm_pipeline.domain.lifetime_value.protocol import Floats, TransactionModel
from cvm_pipeline.domain.lifetime_value.race.entrants import Entrant
from cvm_pipeline.domain.lifetime_value.race.intervals import group_of
from cvm_pipeline.domain.lifetime_value.race.slices import HISTORY, Rows
from cvm_pipeline.domain.lifetime_value.value_model import Settings, ValueModel

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


class Timed(Protocol):
    """As much of a fitted model as says when and how discounted."""

    @property
    def settings(self) -> Settings:
        """Horizon and discount rate."""

    @property
    def champion(self) -> Entrant:
        """Whose timing gives the profile."""

    @property
    def judged_days(self) -> float:
        """Length of the judged window."""


def discounted_profile(
    model: Timed, x: Floats, T: Floats, months: Sequence[int]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Of who is alive: transactions in 12 months (n,), discounted ones in each of `months` (n, m), undiscounted ones in the
    last of them (n,) and in the judged window (n,). T in days; evaluated once per distinct (x, T).
    """
    pairs, where = distinct_pairs(x, T)
    timing = model.champion.timing
    ends = period_ends(max(*months, 12), 1.0)
    factors = discount_factors(ends.size, model.settings.discount_rate_yearly)
    days = np.r_[ends, model.judged_days]
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
