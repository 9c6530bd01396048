"""The papers' own data, read as files from the `lifetimes` wheel (the package itself is never imported)."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories

CALIBRATION_END = pd.Timestamp("1997-09-30")


def dataset(name: str) -> Path:
    spec = importlib.util.find_spec("lifetimes")
    assert spec is not None and spec.origin is not None, "the extra `demo` brings the CDNOW data"
    return Path(spec.origin).parent / "datasets" / name


@dataclass(frozen=True)
class Cdnow:
    """The 1/10 sample calibrated to 1997-09-30: days, money, and repeat transactions of the 39 weeks held out."""

    frequency: NDArray[np.float64]
    recency: NDArray[np.float64]
    T: NDArray[np.float64]
    repeat_sales: NDArray[np.float64]
    net_sales: NDArray[np.float64]
    holdout: NDArray[np.float64]

    def histories(self, unit_days: float = 7.0) -> PurchaseHistories:
        return PurchaseHistories.from_days(self.frequency, self.recency, self.T, np.ones(self.T.size), unit_days)

    def spenders(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        bought = (self.frequency > 0) & (self.repeat_sales > 0)
        return self.frequency[bought], self.repeat_sales[bought] / self.frequency[bought]


@pytest.fixture(scope="session")
def cdnow() -> Cdnow:
    rows = pd.read_csv(
        dataset("CDNOW_sample.txt"), sep=r"\s+", header=None, names=["master", "id", "day", "cds", "amount"]
    )
    rows["day"] = pd.to_datetime(rows["day"].astype(str))
    days = rows.groupby(["id", "day"], as_index=False)["amount"].sum()
    known = days[days["day"] <= CALIBRATION_END]
    first = known.groupby("id")["day"].min()
    grouped = known.groupby("id")
    repeats = known[known["day"] > known["id"].map(first)]
    later = days[days["day"] > CALIBRATION_END]
    sums = [
        repeats.groupby("id")["amount"].sum(),
        grouped["amount"].sum(),
        later.groupby("id")["day"].count(),
    ]
    sales, net, held = (s.reindex(first.index).fillna(0.0).to_numpy(dtype=float) for s in sums)
    return Cdnow(
        grouped["day"].count().to_numpy(dtype=float) - 1.0,
        (grouped["day"].max() - first).dt.days.to_numpy(dtype=float),
        (CALIBRATION_END - first).dt.days.to_numpy(dtype=float),
        sales,
        net,
        held,
    )


@pytest.fixture(scope="session")
def rounded_summary() -> pd.DataFrame:
    """The sample as published with BTYD: weeks rounded to two decimals, columns x, t_x, T, zbar."""
    return pd.read_csv(dataset("cdnow_customers_summary_with_transactions.csv"))


@pytest.fixture(scope="session")
def example_histories() -> PurchaseHistories:
    """5,000 customers of `example_transactions.csv` to 2014-12-31, in days."""
    rows = pd.read_csv(dataset("example_transactions.csv"), parse_dates=["date"])
    rows["date"] = rows["date"].dt.normalize()
    days = rows.drop_duplicates().groupby("id")["date"].agg(["min", "max", "count"])
    end = pd.Timestamp("2014-12-31")
    return PurchaseHistories(
        days["count"].to_numpy(dtype=float) - 1.0,
        (days["max"] - days["min"]).dt.days.to_numpy(dtype=float),
        (end - days["min"]).dt.days.to_numpy(dtype=float),
        np.ones(len(days)),
        1.0,
    )
