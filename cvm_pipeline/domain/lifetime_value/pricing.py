"""What today's models say any purchase history is worth: the value of an earlier history, and of who is surely alive.

Belongs here: the few fitted parts that price a history, and the two prices. Not here: fitting (`value_model.py`), intervals.

clv of a history is the champion's, where the champion reads histories alone. One that reads recent behaviour or attributes
(trees, covariates, naive forecasts of a window) can't price a history of the past, for which none was kept: the model that
gives p_alive then prices both the earlier history and today's, so that their difference is no difference of models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvm_pipeline.domain.lifetime_value import margin
from cvm_pipeline.domain.lifetime_value.discounting import discount_factors, discounted_transactions, period_ends
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.mathematics.distinct import distinct_pairs
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race.entrants import Entrant, Probability, Timing
from cvm_pipeline.domain.lifetime_value.race.slices import HISTORY, Rows
from cvm_pipeline.domain.lifetime_value.spend import Spend
from cvm_pipeline.domain.lifetime_value.valuation import Valuation


@dataclass(frozen=True, eq=False)
class Pricing:
    """Small and picklable. `pricer` prices histories; `p_alive` is the model that gives P(alive)."""

    pricer: Entrant
    p_alive: Timing
    spend: Spend
    margin: MarginParameters
    horizon_months: int
    discount_rate_yearly: float

    @classmethod
    def of(cls, model: Valuation) -> Pricing:
        """The parts of a fitted model."""
        pricer = Probability(model.p_alive) if model.champion.needs else model.champion
        settings = model.settings
        return cls(
            pricer, model.p_alive, model.spend, model.margin, settings.horizon_months, settings.discount_rate_yearly
        )

    def margin_rate(self, margin_total: Floats, revenue_total: Floats) -> Floats:
        """The customer's own margin rate, shrunk to the base's, (n,)."""
        return margin.score(margin_total, revenue_total, self.margin)

    def clv(self, x: Floats, t_x: Floats, T: Floats, repeat_sales: Floats, rate: Floats) -> Floats:
        """Expected discounted margin over the horizon, (n,), project currency; P(alive) is inside. Durations in days."""
        rows = Rows(dict(zip(HISTORY, (x, t_x, T), strict=True)))
        return self.pricer.level(rows) * self._while_alive(self.pricer.timing, x, T, repeat_sales, rate)

    def value_if_alive(self, x: Floats, T: Floats, repeat_sales: Floats, rate: Floats) -> Floats:
        """The same of who is alive, by the model that gives p_alive: never clv / p_alive, which has no value at 0; (n,)."""
        return self._while_alive(self.p_alive, x, T, repeat_sales, rate)

    def _while_alive(self, timing: Timing, x: Floats, T: Floats, repeat_sales: Floats, rate: Floats) -> Floats:
        ends = period_ends(self.horizon_months, 1.0)
        factors = discount_factors(ends.size, self.discount_rate_yearly)
        pairs, where = distinct_pairs(x, T)
        if not x.size:
            return np.zeros(0)
        path = timing.profile(ends, *pairs)
        discounted = discounted_transactions(path, factors, [self.horizon_months])[where, 0]
        return discounted * self.spend.expected(x, repeat_sales) * rate
