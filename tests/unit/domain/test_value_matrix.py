"""The value matrix: four names by two cuts, high strictly above the median, ties and zeros included."""

from __future__ import annotations

from decimal import Decimal
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvm_pipeline.domain import value_matrix
from cvm_pipeline.domain.contracts import VALUE_MATRIX
from cvm_pipeline.domain.lifetime_value.decimals import MONEY
from cvm_pipeline.domain.value_matrix import Parameters


def money(values: list) -> pa.Array:
    return pa.array([None if value is None else Decimal(str(value)) for value in values], MONEY)


def placed(margins: list, values: list, cuts: Parameters, bought: list[bool] | None = None) -> list[str | None]:
    flags = np.array([True] * len(margins) if bought is None else bought)
    return value_matrix.score(money(margins), money(values), flags, cuts).to_pylist()


@pytest.mark.parametrize(
    ("margin", "clv", "name"),
    [
        (10.0001, 5.0001, "star"),
        (10, 5.0001, "grow"),
        (10.0001, 5, "harvest"),
        (10, 5, "maintain"),
        (9.9999, 4.9999, "maintain"),
    ],
)
def test_high_is_strictly_above_each_cut(margin: float, clv: float, name: str) -> None:
    assert placed([margin], [clv], Parameters(Decimal(10), Decimal(5))) == [name]


def test_a_prospect_has_no_place_and_an_absent_clv_counts_as_nothing() -> None:
    cuts = Parameters(Decimal(0), Decimal(0))
    assert placed([5, 5, -1], [9, None, None], cuts, [False, True, True]) == [None, "harvest", "maintain"]


def test_without_a_buyer_to_fit_on_nobody_has_a_place() -> None:
    assert placed([5], [9], Parameters()) == [None]


def test_where_most_brought_nothing_only_who_brought_something_is_high() -> None:
    margins, values = [0, 0, 0, 0, 7], [1, 1, 1, 1, 1]
    cuts = Parameters(Decimal(0), Decimal(1))
    assert placed(margins, values, cuts) == ["maintain"] * 4 + ["harvest"]


amounts = st.lists(st.integers(-3, 3).map(lambda unit: Decimal(unit).scaleb(-4)), min_size=1, max_size=9)


@given(amounts, st.randoms())
def test_the_lower_median_of_the_engine_parts_customers_as_the_exact_median_does(values: list[Decimal], random) -> None:
    with duckdb.connect() as con:
        con.register("base", pa.table({"value": pa.array(values, MONEY)}))
        ((cut,),) = con.sql("select quantile_disc(value, 0.5) from base").fetchall()
    assert [value > cut for value in values] == [value > median(values) for value in values]
    found = placed(values, values, Parameters(cut, cut))
    assert set(found) <= {"star", "maintain"} <= set(VALUE_MATRIX)
    order = list(range(len(values)))
    random.shuffle(order)
    turned = placed([values[i] for i in order], [values[i] for i in order], Parameters(cut, cut))
    assert turned == [found[i] for i in order]
