"""What is kept of a fitted model gives the published value again, to the last digit."""

import numpy as np
import pytest
from test_value_model_pair import batch_of, model_of

from cvm_pipeline.domain.lifetime_value.decimals import to_floats, to_money
from cvm_pipeline.domain.lifetime_value.race.slices import Rows
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.domain.lifetime_value.value_model import Settings
from cvm_pipeline.domain.lifetime_value.value_score import score


@pytest.mark.parametrize("months", [6, 12, 48])
def test_the_product_of_its_factors_is_the_published_clv(cdnow, months: int) -> None:
    chance = np.random.default_rng(3)
    settings = Settings(horizon_months=months, margin_rate=0.4)
    model = model_of(cdnow.frequency, cdnow.recency, cdnow.T, cdnow.repeat_sales, settings)
    revenue = cdnow.net_sales - chance.gamma(1.0, 20.0, cdnow.T.size)
    batch = batch_of(
        cdnow.frequency,
        cdnow.recency,
        cdnow.T,
        cdnow.repeat_sales,
        chance.uniform(-0.2, 0.8, revenue.size) * revenue,
        revenue,
    )
    x, t_x, T, sales, margins, money = (
        to_floats(batch[name])
        for name in ("frequency", "recency", "T", "repeat_sales", "margin_total", "revenue_total")
    )
    kept = Valuation.of(model, 15)
    found = kept.transactions(Rows({"frequency": x, "recency": t_x, "T": T})) * (
        kept.each(x, sales) * kept.rate(margins, money)
    )
    assert to_money(found, np.full(x.size, True)).equals(score(batch, model)["clv"])
