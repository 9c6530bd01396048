"""The lifetime models' tables: what was fitted, how far it may be trusted, and every forecast by which it was judged.

Belongs here: clv_model_card, clv_backtest. Not here: the values that the models gave (`customers.py`).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts.declaring import AS_OF_DATE, PUBLICATION_ID, Column, Table, money

CLV_MODEL_CARD = Table(
    "clv_model_card", "One row per snapshot, model, cut and metric.", ("as_of_date", "model", "cut_date", "metric"), "snapshot",
    (
        AS_OF_DATE,
        Column("model", "varchar", "The model's module name"),
        Column("cut_date", "varchar", "Date the history was cut at; all = fitted on all that was known, and backtest_ metrics pooled over the cuts"),
        Column("metric", "varchar", "param_<letter>, se_, low_, high_ (95 %); backtest_<measure> on held-out windows; is_champion, gives_p_alive, fallback (1: a pooled stand-in); coverage_, pit_share, interval_ (do intervals hold); gate_, drift_; fitted_model (the kept model's digest in note); value_change_split; note explains"),
        Column("value", "double", "The metric's value; null where it can't be had, with the reason in note",
               nullable=True),
        Column("note", "varchar", "What a reader should know about it", nullable=True),
        PUBLICATION_ID,
    ),
)  # fmt: skip
CLV_BACKTEST = Table(
    "clv_backtest", "One row per snapshot, cut, model and customer judged: what was forecast at the cut and what came.",
    ("as_of_date", "cut_date", "horizon_days", "model", "customer_id"), "snapshot",
    (
        AS_OF_DATE,
        Column("cut_date", "varchar", "Date the history was cut at, as in clv_model_card: nothing later was known to the forecast",
               since="1.1"),
        Column("horizon_days", "integer", "Length of the judged window after the cut", "days", low=1, since="1.1"),
        Column("model", "varchar", "Who forecast: the name in clv_model_card", since="1.1"),
        Column("customer_id", "varchar", "The customer's stable id", since="1.1"),
        Column("predicted", "double", "Expected transactions in the window", "count", low=0, since="1.1"),
        Column("actual", "double", "Transactions that came, as known at its end", "count", low=0, since="1.1"),
        Column("naive", "double", "Transactions by the best naive forecast", "count", low=0, since="1.1"),
        Column("low", "double", "10 % quantile of the transactions", "count", low=0, since="1.1"),
        Column("high", "double", "90 % quantile of the same", "count", low=0, since="1.1"),
        money("value_predicted", "Expected net sales of the window, undiscounted", since="1.1"),
        money("value_actual", "Net sales that came, as known at its end; below 0 where returns outweigh them", since="1.1"),
        money("value_naive", "Net sales by the best naive forecast", since="1.1"),
        money("value_low", "10 % quantile of the net sales; the champion's is corrected by earlier windows", since="1.1"),
        money("value_high", "90 % quantile of the same", since="1.1"),
        PUBLICATION_ID,
    ),
    may_be_empty=True,
)  # fmt: skip
