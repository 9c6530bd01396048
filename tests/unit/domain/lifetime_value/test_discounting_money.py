"""Money in the right unit: section 6 of clv_numbers.md, the calendar of periods, decimals at the door."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain.lifetime_value import bg_nbd, gamma_gamma
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, from_units, rounded, to_floats, to_money, to_units
from cvm_pipeline.domain.lifetime_value.discounting import (
    PERIOD_DAYS,
    discount_factors,
    discounted_transactions,
    period_ends,
)
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories

RIGHT = [36.2785, 4.6375, 8.3441, 8.3441, 8.3441, 283.5235, 6.8814, 8.3441, 43.3536, 8.3441]
# What the lifetimes Quickstart prints: months of 30 weeks.
WRONG = [140.096211, 18.943467, 38.180574]


@pytest.fixture(scope="module")
def quickstart(rounded_summary):
    """CLV of the first ten customers over 12 periods whose ends are given in weeks, at 1 % a period, at its end."""
    table = rounded_summary
    x, mean = table["x"].to_numpy(dtype=float), table["zbar"].to_numpy(dtype=float)
    histories = PurchaseHistories(x, table["t_x"], table["T"], np.ones(x.size), 7.0)
    parameters = bg_nbd.MODEL.fit(histories).parameters
    spend = gamma_gamma.conditional_mean(gamma_gamma.fit(x[x > 0], mean[x > 0]).parameters, x[:10], mean[:10])
    rows = histories.frequency[:10], histories.recency[:10], histories.T[:10]

    def clv(ends: np.ndarray) -> np.ndarray:
        path = bg_nbd.MODEL.expected_transactions(parameters, ends, *rows)
        return discounted_transactions(path, 1.01 ** -np.arange(1.0, 13.0), [12])[:, 0] * spend

    return clv


def test_months_of_weeks_give_the_right_money(quickstart) -> None:
    assert quickstart(4.345 * np.arange(1, 13)) == pytest.approx(RIGHT, abs=1e-4)


def test_our_own_months_can_not_be_mistaken_for_thirty_weeks(quickstart) -> None:
    assert quickstart(period_ends(12, time_unit_days=7.0)) == pytest.approx(RIGHT, rel=2e-3)
    assert quickstart(30.0 * np.arange(1, 13))[:3] == pytest.approx(WRONG, rel=1e-5)
    with pytest.raises(TypeError):
        period_ends(12)  # type: ignore[call-arg]


def test_periods_are_twelfths_of_a_year_in_any_unit() -> None:
    assert PERIOD_DAYS == 30.4375
    assert period_ends(12, 1.0)[-1] == pytest.approx(365.25)
    assert period_ends(36, 7.0) * 7.0 == pytest.approx(period_ends(36, 1.0))
    for periods, unit in [(0, 7.0), (12, 0.0), (12, float("nan"))]:
        with pytest.raises(ValueError, match="positive"):
            period_ends(periods, unit)


def test_money_is_discounted_from_the_middle_of_its_month() -> None:
    factors = discount_factors(12, 0.10)
    assert factors[0] == pytest.approx(1.1 ** (-0.5 / 12))
    assert factors[11] == pytest.approx(1.1 ** (-11.5 / 12))
    assert (discount_factors(36, 0.0) == 1.0).all()
    with pytest.raises(ValueError, match="above -1"):
        discount_factors(12, -1.0)


def test_a_hundred_per_cent_a_period_halves_and_two_periods_give_three_quarters() -> None:
    path = np.array([[1.0, 2.0]])
    assert discounted_transactions(path, np.array([0.5, 0.25]), [1, 2]).tolist() == [[0.5, 0.75]]


def test_without_discount_the_parts_sum_to_the_whole() -> None:
    path = np.cumsum(np.random.default_rng(0).random((50, 36)), axis=1)
    found = discounted_transactions(path, np.ones(36), [12, 36, 12])
    assert found == pytest.approx(path[:, [11, 35, 11]], rel=1e-14)
    with pytest.raises(ValueError, match="37 asked"):
        discounted_transactions(path, np.ones(36), [37])


def test_money_is_rounded_half_even_to_four_decimals() -> None:
    # Sums of powers of two: the only doubles that lie exactly between two fourth decimals.
    values = np.array([0.03125, 0.09375, -0.03125, 2.00005, 1e9 + 0.5, 0.0, -1234.5678])
    found = to_money(values, np.full(7, True))
    assert found.type == pa.decimal128(18, 4)
    texts = ("0.0312", "0.0938", "-0.0312", "2.0000", "1000000000.5000", "0.0000", "-1234.5678")
    assert found.to_pylist() == [Decimal(text) for text in texts]


def test_money_that_is_not_known_is_null_and_what_is_too_large_ends_at_the_types_end() -> None:
    found = to_money(np.array([np.nan, 3.0, 1e300, -1e300]), np.array([False, True, True, True]))
    assert found.null_count == 1 and found[0].as_py() is None and found[1].as_py() == Decimal("3.0000")
    assert found[2].as_py() == -found[3].as_py() and found[2].as_py() > Decimal("99999999999999")
    with pytest.raises(ValueError, match="finite"):
        to_money(np.array([np.inf]), np.array([True]))


def test_decimals_and_chunked_columns_become_floats() -> None:
    array = pa.array([Decimal("12.3400"), None, Decimal("-1.0001")], type=pa.decimal128(18, 4))
    assert to_floats(array).tolist() == [12.34, 0.0, -1.0001]
    assert to_floats(pa.chunked_array([array, array])).size == 6
    assert np.isnan(to_floats(array, np.nan)[1])


def test_whole_units_carry_every_digit_there_and_back() -> None:
    told = ["99999999999999.9999", "-99999999999999.9999", "0.0001", None, "-0.0001", "12.5"]
    column = pa.array([None if value is None else Decimal(value) for value in told], MONEY)
    units = to_units(column)
    assert units.tolist() == [10**18 - 1, -(10**18) + 1, 1, 0, -1, 125_000]
    assert from_units(units, np.array([value is not None for value in told])).equals(column)
    # A slice keeps the buffer of the whole.
    assert to_units(column.slice(2, 3)).tolist() == [1, 0, -1]
    assert rounded(np.array([0.00005, 0.00016, -0.00006])).tolist() == [0, 2, -1]
