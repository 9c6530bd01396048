"""Slices: what was known at each date, and outcomes as differences of what two dates knew."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from cvm_pipeline.domain.lifetime_value.race.cuts import Window
from cvm_pipeline.domain.lifetime_value.race.slices import COLUMNS, Slices

JAN, FEB = date(2024, 1, 31), date(2024, 2, 29)
WINDOW = Window(JAN, FEB)


def table(rows: list[tuple[date, str, float, float, bool]]) -> pa.Table:
    """Rows of (slice_date, customer_id, frequency, net_sales, is_flagged); other columns are 0."""
    dates, ids, frequency, sales, flagged = (list(column) for column in zip(*rows, strict=True))
    zeros = {name: np.zeros(len(rows)) for name in COLUMNS}
    return pa.table(
        {
            "slice_date": dates,
            "customer_id": ids,
            "is_flagged": flagged,
            **zeros,
            "frequency": frequency,
            "net_sales": sales,
        }
    )


SLICES = Slices.of(
    table(
        [
            (FEB, "new", 0.0, 5.0, False),
            (FEB, "b", 4.0, 90.0, False),
            (FEB, "a", 1.0, 10.0, False),
            (JAN, "b", 1.0, 50.0, False),
            (JAN, "a", 2.0, 30.0, False),
            (JAN, "gone", 3.0, 40.0, False),
            (JAN, "staff", 3.0, 40.0, True),
            (FEB, "staff", 9.0, 80.0, True),
        ]
    )
)


def ids(day: date) -> list[str]:
    known = SLICES.at(day)
    assert known is not None
    return SLICES.customer_id.take(pa.array(known.code)).to_pylist()


def test_the_flagged_are_out_and_rows_are_in_order_of_id() -> None:
    assert ids(JAN) == ["a", "b", "gone"]
    assert ids(FEB) == ["a", "b", "new"]


def test_an_outcome_is_the_difference_of_what_two_dates_knew() -> None:
    known = SLICES.at(JAN)
    outcome = SLICES.outcome(known, WINDOW)
    # a: a transaction was cancelled since and money returned; b bought thrice; all of gone's orders are void.
    assert outcome.transactions.tolist() == [0.0, 3.0, 0.0]
    assert outcome.value.tolist() == [-20.0, 40.0, -40.0]
    assert outcome.days == 29


def test_nobody_is_known_at_a_date_without_a_slice() -> None:
    assert SLICES.at(date(2020, 1, 1)) is None


def test_a_missing_column_is_told() -> None:
    with pytest.raises(KeyError, match="gap_sum_of_squares"):
        Slices.of(table([(JAN, "a", 1.0, 1.0, False)]).drop_columns(["gap_sum_of_squares"]))
