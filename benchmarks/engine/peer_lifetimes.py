"""The peer `lifetimes` 0.11.3, and plain pandas for the one step that needs no library. Runs in the project's own
environment, on the same numpy and scipy as we do: unpatched, it works there.

Belongs here: the library's functions, called as its documentation does. `..._rows`: one row per customer, as shipped;
`..._grouped`: the same library given distinct histories, by its own `weights` or by spreading what it returns.

    python -m benchmarks.engine.peer_lifetimes WORK --given JSON --report FILE
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter, ParetoNBDFitter
from lifetimes.utils import _customer_lifetime_value, summary_data_from_transaction_data

from benchmarks.engine.child import Answer, Given, Program, Work, arrays, checksums, run, sampled, whole

_FITTERS = {"bg_nbd": BetaGeoFitter, "pareto_nbd": ParetoNBDFitter}
_MONTHS, _MONTHLY_RATE, _YEAR_WEEKS = 12, 0.01, 52
_SEED = 1


def fit_rows(given: Given) -> tuple[Work, Answer]:
    """`fit` on one row per customer."""
    rows = _frame(given.folder / "rows.npz", "x", "t_x", "T")
    return lambda: _fit(given, rows), lambda model: _fitted(model, rows["x"], np.ones(len(rows)))


def fit_grouped(given: Given) -> tuple[Work, Answer]:
    """`fit` with weights on distinct histories."""
    rows = _frame(given.folder / "grouped.npz", "x", "t_x", "T", "count")
    return lambda: _fit(given, rows, weights=rows["count"]), lambda model: _fitted(model, rows["x"], rows["count"])


def clv_rows(given: Given) -> tuple[Work, Answer]:
    """`customer_lifetime_value` of one row per customer."""
    timing, spend = _models(given)
    rows = _spent(given)

    def work() -> pd.Series:
        return spend.customer_lifetime_value(
            timing, rows["x"], rows["t_x"], rows["T"], rows["mean"], _MONTHS, _MONTHLY_RATE, "W"
        )

    return work, lambda found: {"clv": sampled(found)}


def clv_grouped(given: Given) -> tuple[Work, Answer]:
    """What `customer_lifetime_value` does, its loop over months on distinct histories, spend on each customer."""
    timing, spend = _models(given)
    rows, group = _spent(given), whole(given.folder / "rows.npz", "group")
    g = _frame(given.folder / "grouped.npz", "x", "t_x", "T")

    def work() -> np.ndarray:
        each = _customer_lifetime_value(timing, g["x"], g["t_x"], g["T"], 1.0, _MONTHS, _MONTHLY_RATE, "W").to_numpy()
        return each[group] * spend.conditional_expected_average_profit(rows["x"], rows["mean"]).to_numpy()

    return work, lambda found: {"clv": sampled(found)}


def year_rows(given: Given) -> tuple[Work, Answer]:
    """P(alive) and expected transactions in 52 weeks of one row per customer."""
    timing, _ = _models(given)
    rows = _frame(given.folder / "rows.npz", "x", "t_x", "T")
    return lambda: _year(timing, rows), _year_answer


def year_grouped(given: Given) -> tuple[Work, Answer]:
    """The same on distinct histories, spread."""
    timing, _ = _models(given)
    rows, group = _frame(given.folder / "grouped.npz", "x", "t_x", "T"), whole(given.folder / "rows.npz", "group")
    return lambda: tuple(values[group] for values in _year(timing, rows)), _year_answer


def summary_rows(given: Given) -> tuple[Work, Answer]:
    """`summary_data_from_transaction_data` of a frame that is already in memory."""
    orders = pd.DataFrame({name: whole(given.folder / "orders.npz", name) for name in ("customer_id", "ordered_at")})

    def work() -> pd.DataFrame:
        return summary_data_from_transaction_data(
            orders, "customer_id", "ordered_at", observation_period_end=given.as_of
        )

    return work, lambda found: checksums(found["frequency"], found["recency"], found["T"])


def summary_pandas(given: Given) -> tuple[Work, Answer]:
    """The same by hand in pandas."""
    orders = pd.DataFrame({name: whole(given.folder / "orders.npz", name) for name in ("customer_id", "ordered_at")})
    end = int(np.datetime64(given.as_of, "D").astype(np.int64))

    def work() -> pd.DataFrame:
        days = pd.DataFrame({"customer_id": orders["customer_id"], "day": orders["ordered_at"].astype("datetime64[s]")})
        days["day"] = days["day"].astype(np.int64) // 86_400
        by = days.drop_duplicates().groupby("customer_id", sort=False)["day"].agg(["count", "min", "max"])
        return pd.DataFrame({"frequency": by["count"] - 1, "recency": by["max"] - by["min"], "T": end - by["min"]})

    return work, lambda found: checksums(found["frequency"], found["recency"], found["T"])


def _frame(path: Path, *names: str) -> pd.DataFrame:
    return pd.DataFrame(dict(zip(names, arrays(path, *names), strict=True)))


def _spent(given: Given) -> pd.DataFrame:
    rows = _frame(given.folder / "rows.npz", "x", "t_x", "T", "sales")
    rows["mean"] = rows.pop("sales") / np.maximum(rows["x"], 1.0)
    return rows


def _fit(given: Given, rows: pd.DataFrame, **weights: Any) -> Any:
    np.random.seed(_SEED)  # Its Pareto/NBD starts from random numbers.
    return _FITTERS[given.model]().fit(rows["x"], rows["t_x"], rows["T"], **weights)


def _fitted(model: Any, x: pd.Series, weights: Any) -> dict[str, Any]:
    """Its log-likelihood is of times scaled to at most 1, and divided: both are undone here."""
    w = np.asarray(weights, dtype=np.float64)
    divided_by = 1.0 / w.mean() if isinstance(model, ParetoNBDFitter) else 1.0 / w.sum()
    scaled = -float(model._negative_log_likelihood_) / divided_by
    return {
        "parameters": {name: float(value) for name, value in model.params_.items()},
        "log_likelihood": scaled + float(np.sum(w * np.asarray(x))) * float(np.log(model._scale)),
    }


def _models(given: Given) -> tuple[Any, Any]:
    timing, spend = _FITTERS[given.model](), GammaGammaFitter()
    timing.params_, spend.params_ = pd.Series(dict(given.parameters)), pd.Series(dict(given.spend))
    timing.predict = timing.conditional_expected_number_of_purchases_up_to_time  # As its `fit` does.
    return timing, spend


def _year(timing: Any, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    alive = timing.conditional_probability_alive(rows["x"], rows["t_x"], rows["T"])
    return np.asarray(alive), np.asarray(timing.predict(_YEAR_WEEKS, rows["x"], rows["t_x"], rows["T"]))


def _year_answer(found: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    return {"p_alive": sampled(found[0]), "expected": sampled(found[1])}


PROGRAM: Program = {
    work.__name__: work
    for work in (
        fit_rows, fit_grouped, clv_rows, clv_grouped, year_rows, year_grouped, summary_rows, summary_pandas,
    )
}  # fmt: skip

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(PROGRAM, ("lifetimes", "numpy", "scipy", "pandas", "autograd"))
