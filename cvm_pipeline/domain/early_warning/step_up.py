"""Which p-values are alarms: step-up procedures that hold the false discovery rate.

Belongs here: thresholds from the p-values of the tested alone. Not here: p-values, who is tested.

- `benjamini_hochberg`: Benjamini & Hochberg (1995), under independence or positive dependence.
- `benjamini_yekutieli`: Benjamini & Yekutieli (2001), under any dependence: q / (1 + 1/2 + ... + 1/m).
- `discrete`: Doehler, Durand & Roquain (2018), "New FDR bounds for discrete and heterogeneous tests", Electronic Journal of
  Statistics 12, the heterogeneous step-up [HSU]: with F_i the distribution of p_i under the null and
  tau the largest t with sum_i F_i(t) / (1 - F_i(t)) <= q m, it rejects at the largest t <= tau where
  sum_i F_i(t) / (1 - F_i(tau)) <= q #{p <= t}. Under independence.
  Here F_i(tau) <= tau stands in for F_i(tau), which only makes it smaller, so that sums of F_i are all that is needed of the
  null: one pass over any number of customers. Candidates are a fixed grid: critical values may be any numbers that keep
  these bounds.
"""

from __future__ import annotations

import numpy as np

from cvm_pipeline.domain.lifetime_value.protocol import Floats

# 25 in each power of ten: the threshold lies at most 10 % below the best.
GRID = np.geomspace(1e-10, 0.1, 226)


def benjamini_hochberg(p: Floats, q: float) -> float:
    """The largest p that is rejected; 0 where none is. Reject p <= this (and never p > it)."""
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= q * np.arange(1, p.size + 1) / max(p.size, 1))
    return float(ordered[below[-1]]) if below.size else 0.0


def benjamini_yekutieli(p: Floats, q: float) -> float:
    """The same under any dependence."""
    return benjamini_hochberg(p, q / float(np.sum(1.0 / np.arange(1, p.size + 1)))) if p.size else 0.0


def discrete(p: Floats, under_null: Floats, q: float) -> float:
    """The threshold among GRID; 0 where nothing is rejected. `under_null`: sums over the same customers of P(p_i <= t), (g,)."""
    within = np.flatnonzero(under_null / (1.0 - GRID) <= q * p.size)
    if not p.size or not within.size:
        return 0.0
    # tau is the end of the first stretch: the sums rise with t.
    tau = GRID[within[-1]]
    rejected = np.searchsorted(np.sort(p), GRID, side="right")
    good = np.flatnonzero((tau >= GRID) & (rejected > 0) & (under_null / (1.0 - tau) <= q * rejected))
    return float(GRID[good[-1]]) if good.size else 0.0
