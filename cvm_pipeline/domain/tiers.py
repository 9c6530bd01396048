"""Value tiers A, B, C, D: how much of the base's value is held by those before a customer. And the Pareto
curve behind them.

Belongs here: the order of customers by value, cuts and their hysteresis, rank, the shares that describe
concentration.
Not here: what total_value is made of (`customer_value.py`).

Fit small: an ordering is needed once, and leaves six keys (value, customer_id). Score wide: a row is compared
with the keys. Money is counted in whole ten-thousandths, so that no order of rows and no threading can move a
customer over a cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.contracts import TIERS
from cvm_pipeline.domain.lifetime_value.decimals import MONEY

Units = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Settings:
    """`pareto`: cuts are shares of positive value held by those before (.80, .95). `quantiles`: shares of
    customers before. `thresholds`: the least total_value for A and for B, project currency.

    `band` is in points of position; thresholds have no position and so no band. Raises ValueError on cuts out
    of order.
    """

    method: Literal["pareto", "quantiles", "thresholds"] = "pareto"
    cuts: tuple[Decimal | float, Decimal | float] = (0.80, 0.95)
    band: Decimal | float = 0.02

    def __post_init__(self) -> None:
        first, second = (_exact(cut) for cut in self.cuts)
        if self.method == "thresholds":
            if not first >= second > 0:
                raise ValueError(f"tiers.cuts: thresholds must fall and be above 0, not {self.cuts}")
        elif not 0 < first <= second < 1:
            raise ValueError(f"tiers.cuts: shares must rise within 0..1, not {self.cuts}")
        if _exact(self.band) < 0:
            raise ValueError(f"tiers.band: must not be below 0, not {self.band}")


@dataclass(frozen=True)
class Key:
    """A place in the order (value descending, customer_id): value in 1e-4 of the currency; no id = all of
    that value.
    """

    units: int
    customer_id: str | None = None


@dataclass(frozen=True)
class Cut:
    """The last place above the cut (`at`), surely above it (`lower`: position < cut - band) and not surely
    below it (`upper`).

    None: nobody is.
    """

    at: Key | None
    lower: Key | None
    upper: Key | None


@dataclass(frozen=True)
class Parameters:
    """The cuts below A and below B."""

    below_a: Cut
    below_b: Cut


@dataclass(frozen=True)
class Concentration:
    """`curve`: (101,) share of positive value held by the best 0..100 per cent of customers, all 0 where
    there is no value.

    `pareto_share_20`: the curve at 20. `negative_value_share`: the sum of negative values over that of
    positive ones, as a number >= 0. Both None without positive value.
    """

    curve: npt.NDArray[np.float64]
    pareto_share_20: float | None
    negative_value_share: float | None


def units(money: pa.Array | pa.ChunkedArray) -> Units:
    """Whole 1e-4 of a decimal array with up to 18 digits and 4 decimals, null as 0. Raises ArrowInvalid where
    it doesn't fit.
    """
    if isinstance(money, pa.ChunkedArray):
        money = money.combine_chunks()
    money = money.cast(MONEY).fill_null(Decimal(0))
    # 18 digits fit in the low half of the 128 bits.
    words = np.frombuffer(money.buffers()[1], dtype=np.int64) if len(money) else np.empty(0, np.int64)
    return words[2 * money.offset : 2 * (money.offset + len(money)) : 2].copy()


def order(customer_id: pa.Array | pa.ChunkedArray, value: Units) -> npt.NDArray[np.int64]:
    """Row numbers from the largest value to the smallest, ties by customer_id (as UTF-8 bytes, as DuckDB
    sorts).
    """
    by_value = np.argsort(-value, kind="stable")
    ranked = value[by_value]
    tied = np.zeros(len(ranked), bool)
    tied[1:] = ranked[1:] == ranked[:-1]
    tied[:-1] |= tied[1:]
    # Only ties are sorted as text: sorting a million strings is what takes the time.
    at = np.flatnonzero(tied)
    if len(at):
        rows = by_value[at]
        table = pa.table({"value": value[rows], "id": customer_id.take(pa.array(rows))})
        inner = pc.sort_indices(table, sort_keys=[("value", "descending"), ("id", "ascending")])
        by_value[at] = rows[inner.to_numpy()]
    return by_value


def rank(customer_id: pa.Array | pa.ChunkedArray, total_value: pa.Array | pa.ChunkedArray) -> Units:
    """value_rank of each row, (n,): 1 = the largest total_value of all, excluded and prospects included; ties
    by customer_id.
    """
    place = order(customer_id, units(total_value))
    ranks = np.empty(len(place), dtype=np.int64)
    ranks[place] = np.arange(1, len(place) + 1)
    return ranks


def fit(
    customer_id: pa.Array | pa.ChunkedArray,
    total_value: pa.Array | pa.ChunkedArray,
    included: Mask,
    settings: Settings | None = None,
) -> Parameters:
    """The cuts over the customers who bought and are not excluded (`included`). Null value counts as 0.

    A customer left out of the fit is later placed among those in it: its position is the share held by them
    before it.
    """
    settings = settings or Settings()
    if settings.method == "thresholds":
        keys = [Key(-int(-_exact(cut) * 10_000 // 1)) for cut in settings.cuts]
        return Parameters(*(Cut(key, key, key) for key in keys))
    rows = np.flatnonzero(included)
    ids = customer_id.take(pa.array(rows))
    value = units(total_value)[rows]
    place = order(ids, value)
    weight = np.ones(len(place), np.int64) if settings.method == "quantiles" else np.maximum(value[place], 0)
    through = _running(weight)
    base = int(through[-1]) if len(through) else 0
    before = through - weight

    def last(position: Fraction, *, inclusive: bool) -> Key | None:
        """The last customer whose position is below the given one, or at it."""
        if base == 0:
            return None
        if inclusive and position >= 1:
            return Key(1)
        exact = position * base
        limit = exact.__floor__() + 1 if inclusive else exact.__ceil__()
        found = int(np.searchsorted(before, limit)) - 1
        return Key(int(value[place[found]]), ids[int(place[found])].as_py()) if found >= 0 else None

    band = _exact(settings.band)
    return Parameters(
        *(
            Cut(last(at, inclusive=False), last(at - band, inclusive=False), last(at + band, inclusive=True))
            for at in (_exact(cut) for cut in settings.cuts)
        )
    )


def score(
    customer_id: pa.Array,
    total_value: pa.Array,
    bought: Mask,
    parameters: Parameters,
    previous_tier: pa.Array | None = None,
) -> pa.Array:
    """Tier of each row, string (n,): D for who never bought, C for total_value <= 0, else by the cuts.

    Within the band of a cut a customer whose earlier tier is on either side of that cut keeps it.
    """
    value = units(total_value)
    above_a = _reaches(value, customer_id, parameters.below_a.at)
    above_b = _reaches(value, customer_id, parameters.below_b.at)
    tier = np.where(above_a, 0, np.where(above_b, 1, 2))
    if previous_tier is not None:
        earlier = pc.index_in(previous_tier, pa.array(TIERS)).fill_null(-1).to_numpy()
        for upper, cut in enumerate((parameters.below_a, parameters.below_b)):
            near = _reaches(value, customer_id, cut.upper) & ~_reaches(value, customer_id, cut.lower)
            keeps = near & ((earlier == upper) | (earlier == upper + 1))
            tier[keeps] = earlier[keeps]
    tier[value <= 0] = 2
    tier[~np.asarray(bought)] = 3
    return pa.array(TIERS).take(pa.array(tier))


def concentration(total_value: pa.Array | pa.ChunkedArray, included: Mask) -> Concentration:
    """How concentrated value is over the customers who bought and are not excluded (`included`).

    Where a percentile falls within a customer, that customer's value is shared out in proportion.
    """
    value = -np.sort(-units(total_value)[np.asarray(included)])
    through = _running(np.maximum(value, 0))
    n, base = len(value), int(through[-1]) if len(value) else 0
    if base == 0:
        return Concentration(np.zeros(101), None, None)
    curve = np.empty(101)
    for percentile in range(101):
        whole, part = divmod(n * percentile, 100)
        held = 100 * int(through[whole - 1]) if whole else 0
        held += part * max(int(value[whole]), 0) if part else 0
        curve[percentile] = held / (100 * base)
    lost = _running(np.maximum(-value, 0))[-1]
    return Concentration(curve, float(curve[20]), int(lost) / base)


def _exact(number: Decimal | float) -> Fraction:
    # By its digits: .8 means four fifths, not the binary fraction beside it.
    return Fraction(str(number))


def _running(weight: Units) -> npt.NDArray[Any]:
    """Running sums; in Python's own integers where 64 bits might not hold them."""
    fits = not len(weight) or int(weight.max()) <= (2**63 - 1) // len(weight)
    return np.cumsum(weight if fits else weight.astype(object))


def _reaches(value: Units, customer_id: pa.Array, key: Key | None) -> Mask:
    """Whether each row stands at the key's place in the order or before it."""
    if key is None:
        return np.zeros(len(value), bool)
    if key.customer_id is None:
        return np.asarray(value >= key.units)
    reaches = np.asarray(value > key.units)
    tied = np.flatnonzero(value == key.units)
    if len(tied):
        ids = customer_id.take(pa.array(tied))
        reaches[tied] = pc.less_equal(ids, pa.scalar(key.customer_id, ids.type)).to_numpy(zero_copy_only=False)
    return reaches
