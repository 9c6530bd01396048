"""Rows of `clv_model_card` for what was fitted on all that was known (cut_date 'all').

Belongs here: turning fits into (model, cut_date, metric, value, note). Not here: fitting, backtests.
A value that can't be had is null with the reason in note: never NaN, never infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.protocol import Fit

CARD_SCHEMA = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("cut_date", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("note", pa.string()),
    ]
)


@dataclass
class Card:
    """Collects rows; `table()` is the result."""

    cut_date: str = "all"
    _rows: list[tuple[str, str, float | None, str | None]] = field(default_factory=list)

    def add(self, model: str, metric: str, value: float | None, note: str = "") -> None:
        """One row. A value that is None or not finite becomes null; its note then says why."""
        known = value is not None and math.isfinite(value)
        reason = note or ("" if known else "can't be had")
        self._rows.append((model, metric, float(value) if known and value is not None else None, reason or None))

    def add_flags(self, model: str, *, champion: bool, p_alive: bool, fallback: bool, note: str = "") -> None:
        """is_champion, gives_p_alive and fallback, each 0 or 1; `note` goes with the fallback."""
        self.add(model, "is_champion", float(champion))
        self.add(model, "gives_p_alive", float(p_alive))
        self.add(model, "fallback", float(fallback), note)

    def add_fit(self, model: str, names: tuple[str, ...], fit: Fit) -> None:
        """param_ and se_ of each name, log_likelihood, customers, time_unit_days, converged, gradient_norm."""
        unfitted = fit.note or "not estimated for this model"
        for name in names:
            self.add(model, f"param_{name}", fit.parameters.get(name), "" if name in fit.parameters else unfitted)
        for name in names:
            missing = "" if name in fit.standard_errors else unfitted
            self.add(model, f"se_{name}", fit.standard_errors.get(name), missing)
        self.add(model, "log_likelihood", fit.log_likelihood, "" if fit.log_likelihood is not None else unfitted)
        self.add(model, "customers", fit.customers)
        if fit.time_unit_days is not None:
            self.add(model, "time_unit_days", fit.time_unit_days)
        self.add(model, "converged", float(fit.converged), fit.note)
        self.add(model, "gradient_norm", fit.gradient_norm, "" if fit.gradient_norm is not None else unfitted)

    def table(self) -> pa.Table:
        """model, cut_date, metric, value, note: one row per model and metric."""
        models, metrics, values, notes = zip(*self._rows, strict=True) if self._rows else ((), (), (), ())
        columns = [models, [self.cut_date] * len(models), metrics, values, notes]
        return pa.table(
            [pa.array(column, type=f.type) for column, f in zip(columns, CARD_SCHEMA, strict=True)],
            schema=CARD_SCHEMA,
        )
