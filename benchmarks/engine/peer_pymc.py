"""The peer `pymc-marketing`, in an environment of its own (`make .venv-peers`).

Belongs here: the library's functions, called as its documentation does: the MAP fit (sampling takes hours at these
sizes) with its default priors, and its formulas. It takes no weights: a fit on distinct histories can't be had.

    .venv-peers/bin/python -m benchmarks.engine.peer_pymc WORK --given JSON --report FILE
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.engine.child import Answer, Given, Program, Work, arrays, checksums, run, sampled, whole

warnings.simplefilter("ignore")
import arviz as az  # noqa: E402
from pymc_marketing.clv import (  # noqa: E402
    BetaGeoModel,
    GammaGammaModel,
    ParetoNBDModel,
    customer_lifetime_value,
    rfm_summary,
)

_MODELS = {"bg_nbd": BetaGeoModel, "pareto_nbd": ParetoNBDModel}
_MONTHS, _MONTHLY_RATE, _YEAR_WEEKS = 12, 0.01, 52
_NEEDED_TO_BUILD = 10


def fit_rows(given: Given) -> tuple[Work, Answer]:
    """`fit(method="map")` on one row per customer; the compiling of its likelihood is within."""
    rows = _frame(given.folder / "rows.npz", "x", "t_x", "T")

    def work() -> dict[str, float]:
        model = _MODELS[given.model]()
        found = model.fit(rows, method="map", progressbar=False).posterior
        names = ("r", "alpha", "a", "b") if given.model == "bg_nbd" else ("r", "alpha", "s", "beta")
        return {name: float(found[name].squeeze()) for name in names}

    return work, lambda found: {"parameters": found, "log_likelihood": None}


def clv_rows(given: Given) -> tuple[Work, Answer]:
    """`expected_customer_spend`, then `customer_lifetime_value`, of one row per customer."""
    timing, spend = _models(given)
    rows = _spent(given)

    def work() -> np.ndarray:
        rows["future_spend"] = _flat(spend.expected_customer_spend(rows))
        return _flat(customer_lifetime_value(timing, rows, _MONTHS, _MONTHLY_RATE, "W"))

    return work, lambda found: {"clv": sampled(found)}


def clv_grouped(given: Given) -> tuple[Work, Answer]:
    """The same with `customer_lifetime_value` on distinct histories, spread."""
    timing, spend = _models(given)
    rows, group = _spent(given), whole(given.folder / "rows.npz", "group")
    distinct = _frame(given.folder / "grouped.npz", "x", "t_x", "T").assign(future_spend=1.0)

    def work() -> np.ndarray:
        each = _flat(customer_lifetime_value(timing, distinct, _MONTHS, _MONTHLY_RATE, "W"))
        return each[group] * _flat(spend.expected_customer_spend(rows))

    return work, lambda found: {"clv": sampled(found)}


def year_rows(given: Given) -> tuple[Work, Answer]:
    """P(alive) and expected purchases in 52 weeks of one row per customer."""
    timing, _ = _models(given)
    rows = _frame(given.folder / "rows.npz", "x", "t_x", "T")
    return lambda: _year(timing, rows), _year_answer


def year_grouped(given: Given) -> tuple[Work, Answer]:
    """The same on distinct histories, spread."""
    timing, _ = _models(given)
    rows, group = _frame(given.folder / "grouped.npz", "x", "t_x", "T"), whole(given.folder / "rows.npz", "group")
    return lambda: tuple(values[group] for values in _year(timing, rows)), _year_answer


def summary_rows(given: Given) -> tuple[Work, Answer]:
    """`rfm_summary` of a frame that is already in memory."""
    orders = pd.DataFrame({name: whole(given.folder / "orders.npz", name) for name in ("customer_id", "ordered_at")})

    def work() -> pd.DataFrame:
        return rfm_summary(orders, "customer_id", "ordered_at", observation_period_end=given.as_of)

    return work, lambda found: checksums(found["frequency"], found["recency"], found["T"])


def _frame(path: Path, *names: str) -> pd.DataFrame:
    columns = dict(zip(names, arrays(path, *names), strict=True))
    frame = pd.DataFrame(columns).rename(columns={"x": "frequency", "t_x": "recency"})
    return frame.assign(customer_id=np.arange(len(frame)))


def _spent(given: Given) -> pd.DataFrame:
    rows = _frame(given.folder / "rows.npz", "x", "t_x", "T", "sales")
    rows["monetary_value"] = rows.pop("sales") / np.maximum(rows["frequency"], 1.0)
    return rows


def _models(given: Given) -> tuple[Any, Any]:
    """Both models with the parameters of the population instead of fitted ones."""
    rows = _spent(given)
    bought = rows[rows["frequency"] > 0].head(_NEEDED_TO_BUILD)
    models = _MODELS[given.model](), GammaGammaModel()
    for model, parameters in zip(models, (given.parameters, given.spend), strict=True):
        model.build_model(bought)
        model.idata = az.from_dict(posterior={name: np.full((1, 1), value) for name, value in parameters.items()})
    return models


def _year(timing: Any, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    alive = _flat(timing.expected_probability_alive(rows))
    return alive, _flat(timing.expected_purchases(rows, future_t=_YEAR_WEEKS))


def _year_answer(found: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    return {"p_alive": sampled(found[0]), "expected": sampled(found[1])}


def _flat(values: Any) -> np.ndarray:
    return np.asarray(values.transpose("chain", "draw", "customer_id").values).reshape(-1)


PROGRAM: Program = {
    work.__name__: work
    for work in (fit_rows, clv_rows, clv_grouped, year_rows, year_grouped, summary_rows)
}  # fmt: skip

if __name__ == "__main__":
    logging.disable(logging.INFO)
    run(PROGRAM, ("pymc-marketing", "pymc", "pytensor", "numpy", "scipy", "pandas"))
