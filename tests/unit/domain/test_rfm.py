"""RFM: the midrank rule against its definition, and a grid in which every cell has one name."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain import rfm
from cvm_pipeline.domain.contracts import RFM_SEGMENTS

few_values = st.lists(st.integers(0, 12), min_size=1, max_size=60)


def by_definition(values: list[float], parts: int) -> list[int]:
    """min(parts, 1 + floor(parts (midrank - 1/2) / n)), ranks counted one by one."""
    n = len(values)
    scores = []
    for value in values:
        below, ties = sum(other < value for other in values), sum(other == value for other in values)
        twice_midrank = 2 * below + ties + 1
        scores.append(min(parts, 1 + parts * (twice_midrank - 1) // (2 * n)))
    return scores


def by_edges(values: list[float], edges: tuple[float, ...]) -> list[int]:
    return [1 + sum(value >= edge for edge in edges) for value in values]


def fitted(days: list[int], transactions: list[int], means: list[float]) -> rfm.Parameters:
    return rfm.fit(*(rfm.count(np.array(each, float)) for each in (days, transactions, means)))


def scored(days: list[float], transactions: list[int], means: list[float], parameters: rfm.Parameters) -> rfm.Scores:
    return rfm.score(np.array(days, float), np.array(transactions), np.array(means, float), parameters)


@settings(deadline=None)
@given(few_values, st.sampled_from([3, 4, 5]), st.booleans())
def test_edges_are_the_midrank_rule(values: list[int], parts: int, integral: bool) -> None:
    edges = rfm.edges(rfm.count(np.array(values, float)), parts, integral=integral)
    assert by_edges(values, edges) == by_definition(values, parts)
    assert list(edges) == sorted(edges)


@settings(deadline=None)
@given(few_values, st.integers(-3, 30))
def test_a_value_not_seen_in_the_fit_gets_the_score_of_its_place(values: list[int], halves: int) -> None:
    unseen = halves / 2 + 0.25
    edges = rfm.edges(rfm.count(np.array(values, float)), 5)
    below = sum(value < unseen for value in values)
    assert by_edges([unseen], edges) == [min(5, 1 + 5 * below // len(values))]


@settings(deadline=None)
@given(few_values)
def test_recency_ranks_the_shortest_silence_highest(days: list[int]) -> None:
    n = len(days)
    parameters = fitted(days, [1] * n, [1.0] * n)
    assert scored(days, [1] * n, [1.0] * n, parameters).r_score.to_pylist() == by_definition([-d for d in days], 5)


@settings(deadline=None)
@given(few_values)
def test_frequency_is_one_for_one_transaction_and_a_quarter_of_repeat_buyers_else(counts: list[int]) -> None:
    transactions = [count + 1 for count in counts]
    repeats = [count for count in transactions if count > 1]
    quarter = dict(zip(repeats, by_definition(repeats, 4), strict=True))
    n = len(counts)
    found = scored([1.0] * n, transactions, [1.0] * n, fitted([1] * n, transactions, [1.0] * n)).f_score
    assert found.to_pylist() == [1 if count == 1 else 1 + quarter[count] for count in transactions]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), st.integers(-5, 20)), min_size=1), st.randoms())
def test_the_order_of_rows_changes_no_score_and_ties_share_one(rows: list[tuple[int, int, int]], random) -> None:
    def cells(given_rows: list[tuple[int, int, int]]) -> list[str]:
        days, transactions, means = (list(column) for column in zip(*given_rows, strict=True))
        return scored(days, transactions, means, fitted(days, transactions, means)).rfm_cell.to_pylist()

    shuffled = list(rows)
    random.shuffle(shuffled)
    before = dict(zip(rows, cells(rows), strict=True))
    assert [before[row] for row in shuffled] == cells(shuffled)
    assert [before[row] for row in rows] == cells(rows)


@settings(deadline=None)
@given(few_values, few_values)
def test_grouped_counts_fit_as_the_plain_values_do(values: list[int], absent: list[int]) -> None:
    counts = rfm.count(np.array(values, float))
    nobody = rfm.Counts(np.array(absent) + 0.5, np.zeros(len(absent), np.int64))
    both = rfm.Counts(np.r_[nobody.values, counts.values], np.r_[nobody.customers, counts.customers])
    assert rfm.edges(both, 5) == rfm.edges(counts, 5)


def test_where_most_bought_once_frequency_tells_only_repeat_buyers_apart_and_the_others_differ_by_recency_and_value() -> (
    None
):
    once = 950
    days = [1 + n % 500 for n in range(1000)]
    transactions = [1] * once + [2 + n % 6 for n in range(50)]
    means = [float(5 + n * 7 % 300) for n in range(1000)]
    found = scored(days, transactions, means, fitted(days, transactions, means))
    f, r, m = (getattr(found, name).to_pylist() for name in ("f_score", "r_score", "m_score"))
    assert set(f[:once]) == {1} and set(f[once:]) == {2, 3, 4, 5}
    for scores in (r[:once], m[:once]):
        shares = [scores.count(score) / once for score in (1, 2, 3, 4, 5)]
        assert all(0.15 < share < 0.25 for share in shares), "one-time buyers spread over all fifths"
    names = found.rfm_segment.to_pylist()
    assert not {"Champions", "Loyal", "Can't Lose Them"} & set(names[:once]), "nobody is loyal who bought once"
    assert len(set(names[:once])) >= 4


def test_edges_of_whole_numbers_are_whole() -> None:
    edges = rfm.edges(rfm.count(np.array([1.0, 1, 1, 1, 7])), 5, integral=True)
    assert all(edge == int(edge) for edge in edges)


def test_excluded_customers_move_no_edge_and_are_scored() -> None:
    parameters = fitted([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1.0, 2, 3, 4, 5])
    excluded = scored([0], [1000], [1e9], parameters)
    assert excluded.rfm_cell.to_pylist() == ["555"]
    assert scored([5, 1], [1, 5], [1.0, 5], parameters).rfm_cell.to_pylist() == ["111", "555"]


def test_prospects_have_no_score_no_cell_and_no_name() -> None:
    parameters = fitted([1, 2], [1, 2], [1.0, 2])
    scores = scored([math.nan, 1], [0, 1], [math.nan, 1], parameters)
    for name in ("r_score", "f_score", "m_score", "rfm_cell", "rfm_segment"):
        assert getattr(scores, name).is_null().to_pylist() == [True, False]
    assert scores.r_score.type == pa.int32()


def test_a_base_of_excluded_customers_alone_still_gets_scores() -> None:
    parameters = fitted([], [], [])
    assert scored([3], [4], [5.0], parameters).f_score.to_pylist() == [2]


def test_equal_means_are_equal_floats() -> None:
    sales = pa.array([Decimal("0.3000"), Decimal("0.1000"), Decimal("-7.0000"), Decimal(0)], pa.decimal128(18, 4))
    means = rfm.mean_value(sales, np.array([3, 1, 2, 0]))
    assert means[0] == means[1] == 0.1
    assert means[2] == -3.5
    assert np.isnan(means[3])


def test_every_cell_has_exactly_one_name_and_every_name_a_cell() -> None:
    named = [{"".join(cell) for cell in _cells(scores)} for _, *scores in rfm._DEFAULT]
    assert sum(len(cells) for cells in named) == len(set().union(*named)) == 125
    assert set(rfm.complete_grid()) == set(rfm.CELLS)
    assert set(rfm.complete_grid().values()) == set(RFM_SEGMENTS)


def _cells(scores: list[str]) -> list[tuple[str, str, str]]:
    return [(r, f, m) for r in scores[0] for f in scores[1] for m in scores[2]]


@settings(deadline=None)
@given(st.sampled_from(rfm.CELLS))
def test_the_name_of_a_row_is_that_of_its_cell(cell: str) -> None:
    r, f, m = map(int, cell)
    parameters = rfm.Parameters((40, 30, 20, 10), (3, 4, 5), (2, 3, 4, 5))
    scores = scored([45 - 10 * (r - 1) - 1], [f], [m], parameters)
    assert scores.rfm_cell.to_pylist() == [cell]
    assert scores.rfm_segment.to_pylist() == [rfm.DEFAULT_GRID[cell]]


def test_a_grid_of_ones_own_is_taken_with_numbers_as_keys() -> None:
    grid = rfm.complete_grid({int(cell): "Loyal" for cell in rfm.CELLS})
    assert grid["543"] == "Loyal"


def test_an_incomplete_grid_is_refused_with_all_its_faults() -> None:
    grid: dict[object, str] = dict(rfm.DEFAULT_GRID)
    del grid["543"], grid["111"]
    grid["666"] = "Stars"
    with pytest.raises(ValueError, match=r"without a name: 111, 543; not a cell: 666; not a name .*: Stars"):
        rfm.complete_grid(grid)
