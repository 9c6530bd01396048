"""Facts about the lifetime models: one champion, sound and judged, and values of a size that the past bears out.

Belongs here: the model card's verdicts, answers left out, totals against the base's own past. Not here: how good a model is
(`domain/lifetime_value/race/`).
"""

from __future__ import annotations

from dataclasses import replace

from cvm_pipeline.quality.fact_query import FactQuery, none_of, ratio
from cvm_pipeline.quality.gate_queries.preamble import ESTABLISHED

_CLV = "select coalesce(sum(clv), 0) from history where not is_excluded"
_CLV_EARLIER = "select sum(clv) from earlier where not is_excluded"

MODEL = (
    FactQuery(
        "champions", "Models named champion", """select count(*), coalesce(string_agg(model, ', '), 'none'), '1 model' from card
        where metric = 'is_champion' and value = 1""", low=1, high=1,
    ),
    FactQuery(
        "models_that_give_p_alive", "Models that give p_alive",
        """select count(*), coalesce(string_agg(model, ', '), 'none'), '1 model' from card
        where metric = 'gives_p_alive' and value = 1""", low=1, high=1,
    ),
    none_of(
        "champions_unsound", "Champions that neither converged nor are a fallback with its reason",
        """select model from card where metric = 'is_champion' and value = 1
          and model not in (select model from card where metric = 'converged' and value = 1)
          and model not in (select model from card where metric = 'fallback' and value = 1 and trim(coalesce(note, '')) <> '')""",
    ),
    replace(
        none_of(
            "champions_worse_than_naive", "Champions that a naive forecast beats on held-out windows",
            "select model, note from card where metric = 'gate_blocked' and value = 1",
        ),
        low=None, high=None,
    ),
    replace(
        none_of(
            "champions_warned", "Champions that a naive forecast beats in ranking or mean error",
            "select model, note from card where metric = 'gate_warned' and value = 1",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "champions_unjudged", "Champions that no window of the past has judged",
            "select model, note from card where metric = 'backtest_cuts' and value = 0",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "champions_that_gave_up_a_model", "Champions that are a naive forecast or a fallback, where the snapshot before had a model",
            """select now.model, now.note from (select * from card where metric = 'fallback' and value = 1) now
            join (select model from card where metric = 'is_champion' and value = 1) using (model)
            where exists (select 1 from earlier_card c join earlier_card f using (model)
              where c.metric = 'is_champion' and c.value = 1 and f.metric = 'fallback' and f.value = 0)""",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "intervals_unsound", "Champions whose intervals do not hold what they promise on held-out windows",
            "select model, note from card where metric = 'interval_is_sound' and value = 0",
        ),
        low=None, high=None, must_block=False,
    ),
    FactQuery(
        "largest_model_drift", "Largest move of a parameter or measure since the snapshot before, in standard errors",
        """select max(abs(value)), coalesce(max_by(model || ' ' || metric, abs(value)), 'nothing to compare with'), 'at most 4'
        from card where starts_with(metric, 'drift_')""",
        type="double", nullable=True, must_block=False,
    ),
    none_of(
        "buyers_without_value", "Customers with a purchase, not excluded, that the model left without an answer",
        """select customer_id, transactions, p_alive, expected_transactions_12m, clv from history
        where transactions > 0 and not is_excluded and (p_alive is null or expected_transactions_12m is null
          or expected_spend is null or clv is null or clv_12m is null or clv_36m is null or clv_model is null)""",
    ),
    none_of(
        "intervals_reversed", "Customers with clv_low above clv_high, or one of them only",
        """select customer_id, clv_low, clv, clv_high from history
        where clv_low > clv_high or (clv_low is null) <> (clv_high is null)""",
    ),
    ratio(
        "expected_transactions_against_past",
        "Expected transactions of the next 12 months over the base's own yearly pace: the last 12 months or all its years",
        "select sum(expected_transactions_12m) from history where not is_excluded",
        "select greatest(transactions_12m / least(years, 1), transactions / years) from pace",
    ),
    ratio(
        "clv_12m_against_past", "clv of the next 12 months over the base's own yearly net sales, likewise",
        "select sum(clv_12m) from history where not is_excluded",
        "select greatest(net_sales_12m / least(years, 1), net_sales / years) from pace",
    ),
    ratio(
        "clv_against_earlier", "clv of all customers over that of the newest snapshot of an earlier date",
        _CLV, _CLV_EARLIER, must_block=False,
    ),
    ratio(
        "clv_against_an_established_base", "The same; null where the earlier snapshot had fewer than 100 buyers",
        _CLV, f"{_CLV_EARLIER} having {ESTABLISHED}",
    ),
)  # fmt: skip
