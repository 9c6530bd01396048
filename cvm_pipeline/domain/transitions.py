"""Customers between two snapshots of the grid: who moved from which state to which, and what a Markov chain makes of it.

Belongs here: transition tables, the chain fitted on pooled counts, what it expects, how far it was off.
Not here: what a state is (`lifecycle.py`, `tiers.py`), which snapshots are pooled (`defs/movement.py`).

The chain is of first order and the same for everybody (Pfeifer & Carraway 2000, J. Interactive Marketing 14(2)):
tomorrow's composition is today's times the matrix. New customers are no part of it: it is told of those who are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.contracts import ENTRY, Table
from cvm_pipeline.domain.customer_value import arrow_schema
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# Periods ahead, and how many snapshots' moves are pooled: a year of months, so that no season is left out.
HORIZONS = (3, 6, 12)
POOLED = 12


def table(as_of_date: date, counted: pa.Table, contract: Table) -> pa.Table:
    """The published table from `counted` (from, to, customers, value_moved): each row's share of all from the same."""
    states = [*contract.column("to").vocabulary, ENTRY]
    rows = sorted(counted.to_pylist(), key=lambda row: (states.index(row["from"]), states.index(row["to"])))
    totals = dict.fromkeys(states, 0)
    for row in rows:
        totals[row["from"]] += row["customers"]
    told = [
        {"as_of_date": as_of_date, **row, "probability": row["customers"] / totals[row["from"]]}
        for row in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(told, schema=arrow_schema(contract))


def matrix(moves: Iterable[Mapping[str, object]], states: Sequence[str]) -> Floats:
    """Customers by state then and now, (n, n), summed over `moves` (from, to, customers); who entered is left out."""
    counts = np.zeros((len(states), len(states)))
    place = {state: i for i, state in enumerate(states)}
    for move in moves:
        if move["from"] in place:
            counts[place[str(move["from"])], place[str(move["to"])]] += float(move["customers"])  # type: ignore[arg-type]
    return counts


def fit(counts: Floats) -> Floats:
    """Transition probabilities per period, (n, n), rows sum to 1.

    One customer who stays is added to each state: a state that was seldom or never met is expected to stay as it is, which
    is the naive forecast, and a thousand customers outweigh it.
    """
    seen = counts + np.eye(len(counts))
    return np.asarray(seen / seen.sum(axis=1, keepdims=True))


def expected_composition(shares: Floats, probabilities: Floats, periods: int) -> Floats:
    """Shares of the states after so many periods, (n,), of the customers whose shares are given now."""
    return np.asarray(shares @ np.linalg.matrix_power(probabilities, periods))


def mean_stay(probabilities: Floats) -> Floats:
    """Expected length of a stay in each state, (n,), periods: 1 / (1 - p_ii), the mean of a geometric; inf where nobody leaves."""
    leaving = 1.0 - np.diag(probabilities)
    return np.divide(1.0, leaving, out=np.full(len(leaving), np.inf), where=leaving > 0)


def distance(one: Floats, other: Floats) -> float:
    """Total variation between two compositions, 0..1: the share of customers who would have to stand elsewhere."""
    return float(np.abs(one - other).sum() / 2.0)


def forecast(counts: Floats, now: Floats, states: Sequence[str]) -> dict[str, float]:
    """What segment_parameter tells of the future: expected shares, mean stays, and the number of moves behind them.

    `counts` (n, n) pooled over snapshots, `now` (n,) customers by state. Nothing where no move was ever seen. A state that
    nobody was seen to leave has no mean stay.
    """
    if not counts.any() or not now.any():
        return {}
    probabilities = fit(counts)
    told = {"transitions_pooled_count": float(counts.sum())}
    for state, stay, left in zip(states, mean_stay(probabilities), counts.sum(axis=1) - np.diag(counts), strict=True):
        if left > 0:
            told[f"mean_stay_{state}_periods"] = float(stay)
    for periods in HORIZONS:
        expected = expected_composition(now / now.sum(), probabilities, periods)
        told |= {share_name(state, periods): float(share) for state, share in zip(states, expected, strict=True)}
    return told


def share_name(state: str, periods: int) -> str:
    """The parameter that holds the expected share of a state."""
    return f"expected_share_{state}_in_{periods}_periods"


def errors(
    published: Mapping[str, float], counts: Floats, states: Sequence[str], periods: int
) -> dict[str, float]:  # fmt: skip
    """How far the forecast of so many periods ago was off, beside 'nothing changes': total variation, 0..1.

    `published`: segment_parameter of then; `counts` (n, n): who was there then and still is, by state then and now. Nothing
    where then told no forecast.
    """
    names = [share_name(state, periods) for state in states]
    if not counts.any() or not all(name in published for name in names):
        return {}
    then, now = counts.sum(axis=1) / counts.sum(), counts.sum(axis=0) / counts.sum()
    return {
        f"forecast_error_{periods}_periods": distance(np.array([published[name] for name in names]), now),
        f"naive_error_{periods}_periods": distance(then, now),
    }
