"""The covariate table: what is refused, left out, merged, and how words become numbers."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.covariates import Covariates, Encoding, Standardisation, grouped
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories


def table(**columns: list[float]) -> Covariates:
    return Covariates(tuple(columns), np.column_stack([np.asarray(c, dtype=float) for c in columns.values()]))


def test_a_missing_value_is_refused_with_its_column_and_row() -> None:
    with pytest.raises(ValueError, match="covariate age of row 1 is nan"):
        table(size=[1, 2, 3], age=[30, np.nan, 50])


def test_a_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        table(age=[1, 2]).beside(table(age=[3, 4]))


def test_as_many_names_as_columns_are_needed() -> None:
    with pytest.raises(ValueError, match="2 covariates"):
        Covariates(("a", "b"), np.ones((3, 1)))


def test_standardised_columns_have_mean_0_and_deviation_1_over_customers() -> None:
    count = np.array([1.0, 10.0, 3.0, 6.0])
    raw = table(age=[20, 30, 40, 70], size=[1e6, 3e6, 2e6, 2e6])
    z = Standardisation.of(raw, count).apply(raw)
    assert count @ z == pytest.approx([0.0, 0.0], abs=1e-12)
    assert count @ z**2 / count.sum() == pytest.approx([1.0, 1.0], rel=1e-12)


def test_constant_and_collinear_columns_are_left_out_and_named() -> None:
    rng = np.random.default_rng(3)
    age, size = rng.normal(40, 10, 500), rng.normal(size=500)
    raw = table(age=age, everywhere=np.full(500, 0.1), size=size, both=3 * age - size + 7, other=rng.normal(size=500))
    scale = Standardisation.of(raw, np.ones(500))
    assert scale.names == ("age", "size", "other")
    assert scale.left_out == {
        "everywhere": "the same for every customer",
        "both": "determined by the columns before it",
    }
    assert "everywhere left out" in scale.note and "both left out" in scale.note


def test_a_nearly_collinear_column_that_has_a_part_of_its_own_stays() -> None:
    rng = np.random.default_rng(4)
    age = rng.normal(size=500)
    assert Standardisation.of(table(age=age, near=age + 0.01 * rng.normal(size=500)), np.ones(500)).names == (
        "age",
        "near",
    )


def test_scoring_finds_its_columns_by_name_and_misses_none() -> None:
    fitted = table(age=[20, 30, 40], size=[1, 2, 9])
    scale = Standardisation.of(fitted, np.ones(3))
    scored = table(size=[9, 1], region=[5, 5], age=[40, 20])
    assert scale.apply(scored) == pytest.approx(scale.apply(fitted)[[2, 0]], rel=1e-15)
    with pytest.raises(ValueError, match="knows size"):
        scale.apply(table(age=[1]))


def test_only_customers_alike_in_history_and_covariates_are_merged() -> None:
    x, t_x, T = np.array([1, 0, 1, 1, 1]), np.array([2, 0, 2, 2, 3]), np.full(5, 9.0)
    histories, covariates = grouped(
        PurchaseHistories(x, t_x, T, np.array([1, 2, 4, 8, 16])), table(age=[30, 30, 40, 30, 30], size=[1, 1, 1, 1, 1])
    )
    rows = np.column_stack([histories.frequency, histories.recency, histories.T, covariates.values, histories.count])
    assert rows.tolist() == [[0, 0, 9, 30, 1, 2], [1, 2, 9, 30, 1, 9], [1, 2, 9, 40, 1, 4], [1, 3, 9, 30, 1, 16]]


def test_covariates_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows of covariates beside 1"):
        grouped(PurchaseHistories([0], [0], [1], [1]), table(age=[1, 2]))


def channels(**customers: int) -> list[str | None]:
    return [None if name == "null" else name for name, number in customers.items() for _ in range(number)]


def test_the_commonest_level_is_the_reference_and_rare_ones_with_nulls_are_other() -> None:
    encoding = Encoding.of("channel", channels(web=300, shop=500, phone=60, fax=40, null=30))
    assert (encoding.reference, encoding.levels, encoding.has_other) == ("shop", ("phone", "web"), True)
    coded = encoding.apply(["shop", "web", "phone", "fax", None, "carrier pigeon"])
    assert coded.names == ("channel=phone", "channel=web", "channel=other")
    assert coded.values.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]


def test_too_few_others_count_as_the_reference() -> None:
    encoding = Encoding.of("channel", channels(web=300, shop=500, fax=20, null=20))
    assert not encoding.has_other
    assert encoding.apply(["fax", None, "new", "web"]).values.tolist() == [[0], [0], [0], [1]]


def test_a_level_below_one_percent_is_rare_however_many_it_has() -> None:
    assert Encoding.of("channel", ["shop", "fax"], count=np.array([9_950.0, 60.0])).levels == ()
    assert Encoding.of("channel", ["shop", "fax"], count=np.array([9_950.0, 150.0])).levels == ("fax",)


def test_a_level_called_other_is_pooled() -> None:
    encoding = Encoding.of("channel", channels(web=300, other=200, fax=10))
    assert encoding.levels == () and encoding.has_other
    assert encoding.apply(["web", "other", "fax"]).values.tolist() == [[0], [1], [1]]


def test_a_column_without_a_common_level_is_refused() -> None:
    with pytest.raises(ValueError, match="no level of channel"):
        Encoding.of("channel", channels(web=30, shop=20))


def test_levels_and_reference_do_not_depend_on_the_order_of_rows() -> None:
    values = channels(web=100, shop=100, phone=100)
    assert Encoding.of("channel", values) == Encoding.of("channel", values[::-1])
