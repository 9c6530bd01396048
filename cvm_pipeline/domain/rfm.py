"""RFM scores 1..5 for recency, frequency and money, and the name of each of their 125 cells.

Belongs here: the midrank rule, the cut edges it comes down to, the scores and the grid of names.
Not here: the measures themselves (`fct_customer_snapshot`), the loyal flag (`loyalty.py`), the
configuration's reader.

Fit small: a measure's distinct values with the number of customers at each become at most four edges. Score
wide: a row needs the edges only. Excluded customers are left out of the counts by the caller and are scored
all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvm_pipeline.domain.contracts import RFM_SEGMENTS

Floats = npt.NDArray[np.float64]

CELLS = tuple("".join(cell) for cell in product("12345", repeat=3))

# Name -> the R, F and M scores that it covers. F is 1 for exactly one transaction, so New, Promising and Lost are
# one-time buyers; M tells Champions from Loyal and Can't Lose Them from At Risk.
_DEFAULT: tuple[tuple[str, str, str, str], ...] = (
    ("Champions", "45", "45", "45"),
    ("Loyal", "45", "45", "123"),
    ("Loyal", "3", "45", "12345"),
    ("Potential Loyalist", "45", "23", "12345"),
    ("New", "5", "1", "12345"),
    ("Promising", "4", "1", "12345"),
    ("Need Attention", "3", "23", "12345"),
    ("About To Sleep", "3", "1", "12345"),
    ("About To Sleep", "2", "2", "12345"),
    ("At Risk", "2", "345", "12345"),
    ("At Risk", "1", "45", "123"),
    ("At Risk", "1", "3", "12345"),
    ("Can't Lose Them", "1", "45", "45"),
    ("Hibernating", "2", "1", "12345"),
    ("Hibernating", "1", "2", "12345"),
    ("Lost", "1", "1", "12345"),
)
DEFAULT_GRID: Mapping[str, str] = {"".join(cell): name for name, *scores in _DEFAULT for cell in product(*scores)}


@dataclass(frozen=True)
class Counts:
    """How many customers stand at each distinct value of a measure, in any order: (k,) and (k,), counts >= 0."""

    values: Floats
    customers: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parameters:
    """The edges of the scores; a higher score begins at its edge.

    `days_since_last`: the largest days for scores 2..5, descending. `transactions`: the least for scores 3..5
    (2 is any repeat buyer, 1 a single transaction). `mean_value`: the least for 2..5, project currency.
    Infinite where no value reaches.
    """

    days_since_last: tuple[float, ...]
    transactions: tuple[float, ...]
    mean_value: tuple[float, ...]


@dataclass(frozen=True)
class Scores:
    """Three scores a row, the cell and its name: int32 and string arrays (n,), null for prospects."""

    r_score: pa.Array
    f_score: pa.Array
    m_score: pa.Array
    rfm_cell: pa.Array
    rfm_segment: pa.Array


def count(values: Floats) -> Counts:
    """The counts of a plain array, for callers that have not grouped in SQL."""
    distinct, customers = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    return Counts(distinct, customers.astype(np.int64))


def edges(counts: Counts, parts: int, *, integral: bool = False) -> tuple[float, ...]:
    """The `parts` - 1 least values at which the next part of the midrank rule begins.

    A value with m customers below it and c at it has midrank m + (c + 1)/2 and so the part min(parts, 1 +
    floor(parts (m + c/2) / n)). A value that nobody in the fit has is the case c = 0. `integral` keeps the
    edges of whole-numbered measures whole.
    """
    kept = counts.customers > 0
    order = np.argsort(counts.values[kept], kind="stable")
    values = np.asarray(counts.values, dtype=np.float64)[kept][order]
    customers = counts.customers[kept][order].astype(np.int64)
    n = int(customers.sum())
    if n == 0:
        return (np.inf,) * (parts - 1)
    through = np.cumsum(customers)
    # Whole numbers: a part must not turn on the last bit of a quotient.
    at_value = parts * (2 * through - customers) // (2 * n)
    above_value = parts * through // n
    found = []
    for part in range(1, parts):
        first_at = int(np.searchsorted(at_value, part))
        first_above = int(np.searchsorted(above_value, part))
        if first_above < first_at:
            below = float(values[first_above])
            found.append(below + 1 if integral else float(np.nextafter(below, np.inf)))
        else:
            found.append(float(values[first_at]))
    return tuple(found)


def mean_value(net_sales: pa.Array, transactions: npt.NDArray[np.int64]) -> Floats:
    """Net value over *all* transactions / their number, project currency; NaN without a transaction.

    A quotient of two whole numbers, so that equal means are equal floats (0.3 / 3 is not 0.1 in floating
    point). In SQL: `cast(net_sales * 10000 as bigint) / (transactions * 10000)`.
    """
    units = np.rint(net_sales.cast(pa.float64()).to_numpy(zero_copy_only=False) * 1e4)
    bought = transactions > 0
    return np.divide(units, transactions * 1e4, out=np.full(len(units), np.nan), where=bought)


def fit(days_since_last: Counts, transactions: Counts, mean_value: Counts) -> Parameters:
    """The edges from grouped counts of customers with a transaction, excluded customers left out.

    Recency is ranked from the longest silence to the shortest. With nobody to fit on, the edges are out of
    reach: F and M give their lowest score.
    """
    silence = Counts(-np.asarray(days_since_last.values, dtype=np.float64), days_since_last.customers)
    repeat = np.asarray(transactions.values) > 1
    return Parameters(
        days_since_last=tuple(-edge + 0.0 for edge in edges(silence, 5, integral=True)),
        transactions=edges(Counts(transactions.values[repeat], transactions.customers[repeat]), 4, integral=True),
        mean_value=edges(mean_value, 5),
    )


def score(
    days_since_last: Floats,
    transactions: npt.NDArray[np.int64],
    mean_value: Floats,
    parameters: Parameters,
    grid: Mapping[str, str] = DEFAULT_GRID,
) -> Scores:
    """Scores, cell and name of each row, all (n,); rows without a transaction get nulls. `grid` as from
    `complete_grid`.
    """
    prospect = np.asarray(transactions) < 1
    recent = 1 + np.searchsorted(-np.array(parameters.days_since_last), -days_since_last, side="right")
    often = 2 + np.searchsorted(np.array(parameters.transactions), transactions, side="right")
    often = np.where(np.asarray(transactions) == 1, 1, often)
    rich = 1 + np.searchsorted(np.array(parameters.mean_value), mean_value, side="right")
    cell = np.where(prospect, 0, (recent - 1) * 25 + (often - 1) * 5 + rich - 1).clip(0, 124)
    index = pa.array(cell.astype(np.int32), mask=prospect)
    r_score, f_score, m_score = (pa.array(scores.astype(np.int32), mask=prospect) for scores in (recent, often, rich))
    return Scores(
        r_score,
        f_score,
        m_score,
        pa.array(CELLS).take(index),
        pa.array([grid[name] for name in CELLS], pa.string()).take(index),
    )


def complete_grid(given: Mapping[str, str] | Mapping[int, str] | None = None) -> dict[str, str]:
    """The grid cell -> name that the configuration gives (None: the default one), checked to name every cell
    once.

    Keys are cells such as '543' (or 543, as YAML reads it). Raises ValueError that lists the cells without a
    name, the keys that are no cell and the names that are not of `contracts.RFM_SEGMENTS`.
    """
    grid = {str(cell): name for cell, name in (DEFAULT_GRID if given is None else given).items()}
    missing = [cell for cell in CELLS if cell not in grid]
    foreign = sorted(set(grid) - set(CELLS))
    unknown = sorted({str(name) for name in grid.values()} - set(RFM_SEGMENTS))
    faults = [
        f"{what}: {', '.join(found)}"
        for what, found in (
            ("cells without a name", missing),
            ("not a cell", foreign),
            (f"not a name (one of {', '.join(RFM_SEGMENTS)})", unknown),
        )
        if found
    ]
    if faults:
        raise ValueError("rfm.grid: " + "; ".join(faults))
    return grid
