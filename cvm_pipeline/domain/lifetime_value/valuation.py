"""What remains of a fitted value model when only a customer's value is asked for: small, and kept with its snapshot.

Belongs here: the three factors of a value, of whatever state they are asked for. Not here: fitting (value_model.py), the
published scores and intervals (value_score.py), where it is kept (warehouse/fitted_models.py), how a change of value is
divided (domain/value_change.py).

A value is a product: discounted transactions x value of each x margin rate (metrics.md, "Customer lifetime value").
"""

from __future__ import annotations

from dataclasses import dataclass

from cvm_pipeline.domain.lifetime_value import margin
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.domain.lifetime_value.race.entrants import Entrant, Timing
from cvm_pipeline.domain.lifetime_value.race.slices import Rows
from cvm_pipeline.domain.lifetime_value.spend import Spend
from cvm_pipeline.domain.lifetime_value.value_model import Settings, ValueModel
from cvm_pipeline.domain.lifetime_value.value_score import discounted_profile


@dataclass(frozen=True, eq=False)
class Valuation:
    """Who gives expectations and P(alive), and how they become money. `step_days`: the step in which recent behaviour was
    counted.
    """

    settings: Settings
    spend: Spend
    margin: MarginParameters
    champion: Entrant
    judged_days: float
    step_days: int
    p_alive: Timing

    @classmethod
    def of(cls, model: ValueModel, step_days: int) -> Valuation:
        """Without the race, the sample and the tables of intervals."""
        return cls(
            model.settings, model.spend, model.margin, model.champion, model.judged_days, step_days, model.p_alive
        )

    def transactions(self, rows: Rows) -> Floats:
        """Discounted transactions expected over the horizon, (n,); `rows` hold the history and what the champion needs."""
        x, _, T = rows.history
        months = (int(self.settings.horizon_months),)
        return self.champion.level(rows) * discounted_profile(self, x, T, months)[1][:, 0]

    def each(self, frequency: Floats, repeat_sales: Floats) -> Floats:
        """Expected net value of one transaction, (n,)."""
        return self.spend.expected(frequency, repeat_sales)

    def rate(self, margin_total: Floats, revenue_total: Floats) -> Floats:
        """Margin over revenue, (n,); the base's where revenue is not above 0."""
        return margin.score(margin_total, revenue_total, self.margin)
