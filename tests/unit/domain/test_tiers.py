"""Tiers: positions against their definition in decimals, hysteresis, rank and concentration."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain import tiers
from cvm_pipeline.domain.lifetime_value.decimals import MONEY

cents = st.integers(-3_0000, 40_0000).map(lambda units: Decimal(units).scaleb(-4))
bases = st.lists(cents | st.sampled_from([Decimal(0), Decimal(5), Decimal(10)]), min_size=1, max_size=40)
earlier_tiers = st.sampled_from(["A", "B", "C", "D", None])


def money(values: list[Decimal | None]) -> pa.Array:
    return pa.array(values, MONEY)


def names(n: int) -> pa.Array:
    # Not in the order of rows, and of several lengths: sorted as text.
    return pa.array([f"k{(i * 7) % n}é" for i in range(n)] if n % 7 else [f"k{i}" for i in range(n)])


def positions(values: list[Decimal], ids: list[str], included: list[bool]) -> list[Decimal | None]:
    """Share of positive value held by the included before each, by definition; None where there is no value at all."""
    base = sum((v for v, kept in zip(values, included, strict=True) if kept and v > 0), Decimal(0))
    found: list[Decimal | None] = []
    for value, name in zip(values, ids, strict=True):
        before = sum(
            (
                v
                for v, other, kept in zip(values, ids, included, strict=True)
                if kept and v > 0 and (v > value or (v == value and other.encode() < name.encode()))
            ),
            Decimal(0),
        )
        found.append(before / base if base else None)
    return found


def tier_by_definition(value: Decimal, position: Decimal | None, earlier: str | None) -> str:
    if value <= 0 or position is None:
        return "C"
    for cut, sides in ((Decimal("0.80"), "AB"), (Decimal("0.95"), "BC")):
        if earlier and earlier in sides and abs(position - cut) <= Decimal("0.02"):
            return earlier
    return "A" if position < Decimal("0.80") else "B" if position < Decimal("0.95") else "C"


@settings(deadline=None)
@given(bases, st.data())
def test_tiers_are_those_of_the_positions_counted_in_decimals(values: list[Decimal], data: st.DataObject) -> None:
    n = len(values)
    ids = names(n)
    included = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    earlier = data.draw(st.lists(earlier_tiers, min_size=n, max_size=n))
    fitted = tiers.fit(ids, money(values), np.array(included))
    found = tiers.score(ids, money(values), np.ones(n, bool), fitted, pa.array(earlier, pa.string()))
    where = positions(values, ids.to_pylist(), included)
    assert found.to_pylist() == [tier_by_definition(*row) for row in zip(values, where, earlier, strict=True)]


@settings(deadline=None)
@given(bases, st.randoms())
def test_the_order_of_rows_changes_neither_cut_nor_tier_nor_rank(values: list[Decimal], random) -> None:
    n = len(values)
    ids, rows = names(n), list(range(n))
    random.shuffle(rows)
    shuffled_ids, shuffled = ids.take(pa.array(rows)), money(values).take(pa.array(rows))
    fitted = tiers.fit(ids, money(values), np.ones(n, bool))
    assert tiers.fit(shuffled_ids, shuffled, np.ones(n, bool)) == fitted
    everybody = np.ones(n, bool)
    expected = tiers.score(ids, money(values), everybody, fitted).take(pa.array(rows))
    assert tiers.score(shuffled_ids, shuffled, everybody, fitted) == expected
    assert tiers.rank(shuffled_ids, shuffled).tolist() == tiers.rank(ids, money(values))[rows].tolist()


@settings(deadline=None)
@given(bases)
def test_rank_is_a_permutation_largest_first_ties_by_customer_id(values: list[Decimal]) -> None:
    ids = names(len(values))
    expected = sorted(zip(values, ids.to_pylist(), strict=True), key=lambda row: (-row[0], row[1].encode()))
    ranks = tiers.rank(ids, money(values))
    found = sorted(zip(ranks.tolist(), values, ids.to_pylist(), strict=True))
    assert [rank for rank, *_ in found] == list(range(1, len(values) + 1))
    assert [(value, name) for _, value, name in found] == expected


def tier_at(value: int, earlier: str | None, **settings: object) -> str:
    """Tier of one of a hundred customers of value 1: customer `value` has exactly value / 100 before it."""
    ids, worth = pa.array([f"{i:02d}" for i in range(100)]), money([Decimal(1)] * 100)
    fitted = tiers.fit(ids, worth, np.ones(100, bool), tiers.Settings(**settings))  # type: ignore[arg-type]
    found = tiers.score(ids, worth, np.ones(100, bool), fitted, pa.array([earlier] * 100, pa.string()))
    return found[value].as_py()


@pytest.mark.parametrize(
    ("position", "earlier", "tier"),
    [
        (79, None, "A"), (80, None, "B"), (94, None, "B"), (95, None, "C"),
        (82, "A", "A"), (83, "A", "B"), (78, "B", "B"), (77, "B", "A"),
        (97, "B", "B"), (98, "B", "C"), (93, "C", "C"), (92, "C", "B"),
    ],
)  # fmt: skip
def test_within_the_band_the_earlier_tier_stays_its_ends_included(position: int, earlier: str, tier: str) -> None:
    assert tier_at(position, earlier) == tier


@pytest.mark.parametrize(
    ("position", "earlier", "tier"), [(81, "C", "B"), (79, "C", "A"), (94, "A", "B"), (81, "D", "B")]
)
def test_a_band_keeps_only_the_tiers_on_either_side_of_its_cut(position: int, earlier: str, tier: str) -> None:
    assert tier_at(position, earlier) == tier


def test_a_band_that_reaches_the_end_keeps_the_last_and_the_excluded_below_them() -> None:
    ids, worth = pa.array(["a", "b", "x"]), money([Decimal(94), Decimal(6), Decimal("0.5")])
    fitted = tiers.fit(ids, worth, np.array([True, True, False]), tiers.Settings(band=0.05))
    assert tiers.score(ids, worth, np.ones(3, bool), fitted, pa.array(["B", "B", "B"])).to_pylist() == ["A", "B", "B"]


def test_no_value_is_c_and_never_bought_is_d_whatever_came_before() -> None:
    ids, worth = pa.array(["a", "b", "c", "d"]), money([Decimal(5), Decimal(0), Decimal(-3), None])
    bought = np.array([True, True, True, False])
    fitted = tiers.fit(ids, worth, bought)
    earlier = pa.array(["A", "A", "B", "A"])
    assert tiers.score(ids, worth, bought, fitted, earlier).to_pylist() == ["A", "C", "C", "D"]


def test_excluded_customers_move_no_cut_and_get_the_tier_of_their_place() -> None:
    ids = pa.array([f"{i:02d}" for i in range(100)] + ["giant", "small"])
    worth = money([Decimal(1)] * 100 + [Decimal(1_000_000), Decimal("0.5")])
    included = np.array([True] * 100 + [False] * 2)
    fitted = tiers.fit(ids, worth, included)
    found = tiers.score(ids, worth, np.ones(102, bool), fitted).to_pylist()
    assert (found[79], found[80], found[100], found[101]) == ("A", "B", "A", "C")


def test_a_batch_alone_is_tiered_as_within_the_whole() -> None:
    rng = np.random.default_rng(3)
    ids = pa.array([f"c{i}" for i in range(500)])
    worth = money([Decimal(int(value)) for value in rng.lognormal(3, 1, 500)])
    fitted = tiers.fit(ids, worth, np.ones(500, bool))
    whole = tiers.score(ids, worth, np.ones(500, bool), fitted)
    parts = [
        tiers.score(ids.slice(at, 37), worth.slice(at, 37), np.ones(len(ids.slice(at, 37)), bool), fitted)
        for at in range(0, 500, 37)
    ]
    assert pa.concat_arrays(parts).equals(whole)


def test_quantiles_cut_by_shares_of_customers() -> None:
    settings: dict[str, object] = {"method": "quantiles", "cuts": (0.2, 0.5)}
    assert [tier_at(at, None, **settings) for at in (19, 20, 49, 50)] == ["A", "B", "B", "C"]
    assert [tier_at(at, "A", **settings) for at in (22, 23)] == ["A", "B"]


def test_thresholds_cut_at_exactly_their_money_without_a_band() -> None:
    values = [Decimal("1000"), Decimal("999.9999"), Decimal("250"), Decimal("249.9999"), Decimal("0")]
    ids = names(5)
    fitted = tiers.fit(ids, money(values), np.ones(5, bool), tiers.Settings("thresholds", (1000, 250)))
    earlier = pa.array(["B", "A", "C", "B", "A"])
    assert tiers.score(ids, money(values), np.ones(5, bool), fitted, earlier).to_pylist() == list("ABBCC")


@pytest.mark.parametrize(
    "wrong",
    [
        {"cuts": (0.95, 0.8)}, {"cuts": (0, 0.5)}, {"cuts": (0.5, 1)}, {"band": -0.1},
        {"method": "thresholds", "cuts": (10, 20)}, {"method": "thresholds", "cuts": (10, 0)},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tiers"):
        tiers.Settings(**wrong)  # type: ignore[arg-type]


def test_sums_beyond_64_bits_are_exact() -> None:
    ids, worth = names(30), money([Decimal("99999999999999.9999")] * 30)
    found = tiers.score(ids, worth, np.ones(30, bool), tiers.fit(ids, worth, np.ones(30, bool))).to_pylist()
    assert sorted(found) == ["A"] * 24 + ["B"] * 5 + ["C"]


def test_an_empty_base_has_no_cuts_and_no_curve() -> None:
    nobody = tiers.fit(pa.array([], pa.string()), money([]), np.zeros(0, bool))
    assert nobody.below_a == tiers.Cut(None, None, None)
    flat = tiers.concentration(money([]), np.zeros(0, bool))
    assert flat.curve.tolist() == [0.0] * 101
    assert flat.pareto_share_20 is None


@settings(deadline=None)
@given(bases)
def test_the_pareto_curve_rises_from_nothing_to_everything(values: list[Decimal]) -> None:
    found = tiers.concentration(money(values), np.ones(len(values), bool))
    assert (np.diff(found.curve) >= 0).all()
    assert found.curve[0] == 0
    assert found.curve[100] == (1 if any(value > 0 for value in values) else 0)
    assert (np.diff(found.curve, 2) <= 1e-12).all()


def test_concentration_is_that_of_the_customers_in_it() -> None:
    values = money([Decimal(60), Decimal(20), Decimal(20), Decimal(0), Decimal(-10), Decimal(1_000)])
    found = tiers.concentration(values, np.array([True] * 5 + [False]))
    assert found.pareto_share_20 == 0.6
    assert found.curve[10] == pytest.approx(0.3)
    assert found.negative_value_share == 0.1


@settings(deadline=None)
@given(bases)
def test_units_are_the_decimals_wherever_the_array_was_cut(values: list[Decimal]) -> None:
    array = money([None, *values]).slice(1)
    assert tiers.units(array).tolist() == [int(value * 10_000) for value in values]
