"""The base's index: shrunk to 1 by what its own customers leave uncertain, and when the base itself is the alarm."""

from __future__ import annotations

import numpy as np
import pytest

from cvm_pipeline.domain.early_warning.common_shock import TAU, index_of, indices


def test_the_index_is_the_ratio_shrunk_to_one_by_its_sampling_variance() -> None:
    found = index_of([3.0, 5.0], [8.0, 8.0], [10.0, 12.0])
    weight = TAU**2 / (TAU**2 + 22 / 16**2)
    assert (found.customers, found.ratio) == (2, 0.5)
    assert found.index == pytest.approx(1 + weight * (0.5 - 1))


def test_many_customers_are_believed_and_a_few_hardly() -> None:
    many = index_of([6.0] * 5000, [10.0] * 5000, [15.0] * 5000)
    few = index_of([6.0], [10.0], [15.0])
    assert many.index == pytest.approx(0.6, abs=1e-3)
    assert many.is_base_alarm
    assert few.index == pytest.approx(1 - 0.4 * 0.09 / (0.09 + 0.15))
    assert not few.is_base_alarm


@pytest.mark.parametrize(("observed", "index"), [(0.0, 0.3), (100.0, 3.0)])
def test_the_index_stays_within_its_bounds(observed: float, index: float) -> None:
    assert index_of([observed] * 10_000, [10.0] * 10_000, [11.0] * 10_000).index == index


def test_where_nothing_is_expected_the_index_is_one() -> None:
    assert index_of([], [], []).index == 1.0
    assert index_of([0.0], [0.0], [0.0]).index == 1.0


def test_each_group_has_its_own_index_in_whatever_order_rows_come() -> None:
    rng = np.random.default_rng(2)
    group = np.array(["a", "b"] * 500, dtype=object)
    observed = np.where(group == "a", rng.poisson(3.0, 1000), rng.poisson(6.0, 1000)).astype(float)
    expected, variance = rng.uniform(5, 7, 1000), rng.uniform(6, 9, 1000)
    found = indices(group, observed, expected, variance)
    assert found["a"].index < 0.6 < 0.9 < found["b"].index
    order = rng.permutation(1000)
    assert indices(*(column[order] for column in (group, observed, expected, variance))) == found
