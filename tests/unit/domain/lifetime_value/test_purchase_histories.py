"""What a purchase history may be."""

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((-1, 0, 5, 1), "whole number"),
        ((1.5, 2, 5, 1), "whole number"),
        ((2, 6, 5, 1), "between 0 and T"),
        ((0, 2, 5, 1), "exactly where"),
        ((2, 0, 5, 1), "exactly where"),
        ((0, 0, 5, 0), "count"),
        ((0, 0, np.nan, 1), "finite"),
    ],
)
def test_an_impossible_history_is_refused_with_its_row(row, rule) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        PurchaseHistories(*([good, bad] for good, bad in zip((1, 2, 5, 1), row, strict=True)))
    assert "row 1" in str(caught.value)


@pytest.mark.parametrize("unit", [0.0, -7.0, np.nan])
def test_a_unit_that_is_no_length_of_time_is_refused(unit) -> None:
    with pytest.raises(ValueError, match="unit_days"):
        PurchaseHistories.from_days([0], [0], [5], [1], unit)
