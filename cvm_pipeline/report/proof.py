"""The papers' own case: BG/NBD on the 1/10 CDNOW sample to 1997-09-30, beside the published parameters.

Source: Fader, Hardie & Lee (2005), Table 2; digits as in CLVTools' test of correctness (log-likelihood -9582.429).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from cvm_pipeline.config.paths import package_file
from cvm_pipeline.domain.lifetime_value.bg_nbd import MODEL
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories

PUBLISHED = {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}
PUBLISHED_LOG_LIKELIHOOD = -9582.429
_SAMPLE = "lifetimes/datasets/CDNOW_sample.txt"
_CALIBRATED_TO = dt.date(1997, 9, 30)


@dataclass(frozen=True)
class Proof:
    """Parameters and log-likelihood as fitted here."""

    customers: int
    parameters: dict[str, float]
    log_likelihood: float

    @property
    def largest_error(self) -> float:
        """The largest relative error of a parameter against the published one."""
        return max(abs(self.parameters[name] / value - 1) for name, value in PUBLISHED.items())

    def line(self) -> str:
        """One line: fitted beside published."""
        pairs = ", ".join(f"{name} {self.parameters[name]:.4f} ({value:.4f})" for name, value in PUBLISHED.items())
        return (
            f"Proof: BG/NBD on the papers' 1/10 sample ({self.customers:,} customers to {_CALIBRATED_TO}), fitted"
            f" (published): {pairs}, log-likelihood {self.log_likelihood:.3f} ({PUBLISHED_LOG_LIKELIHOOD})"
        )


def papers_case() -> Proof:
    """Fit the papers' case. Raises FileNotFoundError where the package that carries the data is not installed."""
    days: dict[str, set[dt.date]] = defaultdict(set)
    for line in package_file(_SAMPLE).read_text().splitlines():
        _, customer, day, _, _ = line.split()
        bought = dt.datetime.strptime(day, "%Y%m%d").date()
        if bought <= _CALIBRATED_TO:
            days[customer].add(bought)
    first = np.array([min(bought).toordinal() for bought in days.values()])
    last = np.array([max(bought).toordinal() for bought in days.values()])
    frequency = np.array([len(bought) - 1.0 for bought in days.values()])
    histories = PurchaseHistories.from_days(
        frequency, last - first, _CALIBRATED_TO.toordinal() - first, np.ones(len(days)), 7.0
    )
    grouped = histories.grouped()
    fit = MODEL.fit(grouped)
    return Proof(len(days), dict(fit.parameters), MODEL.log_likelihood(fit.parameters, grouped))
