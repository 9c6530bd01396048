"""Drift: how far parameters and measures moved since the model card published before, in standard errors.

Belongs here: that comparison of two cards. Not here: what is done about it (the gate warns), reading cards.

A parameter's move is (ln now - ln before) over the root of both squared standard errors on the log scale; that of a covariate's
effect or of kappa, which may have either sign, is the difference itself over theirs. The two fits share most of their data, so
that this overstates the error and a large value is rare by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pyarrow as pa

_MEASURES = ("backtest_rmse", "backtest_total_error")


def drift(now: pa.Table, before: pa.Table) -> Iterator[tuple[str, str, float]]:
    """(model, drift_<name>, standard errors) of each parameter and measure that both cards know with an error."""
    values, earlier = _by_name(now), _by_name(before)
    for (model, metric), value in values.items():
        if (model, "time_unit_days") in values and values.get((model, "time_unit_days")) != earlier.get(
            (model, "time_unit_days")
        ):
            continue
        if metric.startswith("param_"):
            name = metric.removeprefix("param_")
            then, errors = earlier.get((model, metric)), [c.get((model, f"se_{name}")) for c in (values, earlier)]
            if then is None or not errors[0] or not errors[1]:
                continue
            if _has_a_sign(name):
                yield model, f"drift_{name}", (value - then) / math.hypot(errors[0], errors[1])
            elif value > 0 and then > 0:
                spread = math.hypot(errors[0] / value, errors[1] / then)
                yield model, f"drift_{name}", (math.log(value) - math.log(then)) / spread
        elif metric in _MEASURES:
            then, errors = earlier.get((model, metric)), [c.get((model, f"{metric}_se")) for c in (values, earlier)]
            if then is not None and errors[0] and errors[1]:
                yield model, f"drift_{metric}", (value - then) / math.hypot(errors[0], errors[1])


def _has_a_sign(name: str) -> bool:
    # Effects are gamma_<linked parameter>..., as their paper's; `gamma` alone is a parameter of BG/BB and positive.
    return name == "kappa" or name.startswith("gamma_")


def _by_name(card: pa.Table) -> dict[tuple[str, str], float]:
    rows = zip(*(card[name].to_pylist() for name in ("model", "cut_date", "metric", "value")), strict=True)
    return {(model, metric): value for model, cut, metric, value in rows if cut == "all" and value is not None}
