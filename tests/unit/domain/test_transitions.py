"""Transitions between snapshots, and the Markov chain of them: against plain powers, simulation and published papers."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cvm_pipeline.domain import transitions
from cvm_pipeline.domain.contracts import ENTRY, STAGE_TRANSITIONS, STAGES, TIER_TRANSITIONS, TIERS
from cvm_pipeline.domain.lifetime_value.decimals import MONEY

AS_OF = date(2024, 6, 30)
counts = arrays.arrays(np.float64, (4, 4), elements=st.integers(0, 500).map(float))


def counted(rows: list[tuple[str, str, int, str]]) -> pa.Table:
    came, went, customers, value = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {"from": pa.array(came, pa.string()), "to": pa.array(went, pa.string()), "customers": pa.array(customers, pa.int64()),
         "value_moved": pa.array([Decimal(each) for each in value], MONEY)}
    )  # fmt: skip


def test_probabilities_are_shares_of_those_who_come_from_the_same_state() -> None:
    moves = [("entry", "new", 4, "8"), ("new", "lost", 1, "0.5"), ("new", "mature", 3, "9"), ("lost", "lost", 7, "0")]
    found = transitions.table(AS_OF, counted(moves), STAGE_TRANSITIONS)
    assert (*found.column_names, "publication_id") == STAGE_TRANSITIONS.names
    told = {
        (row["from"], row["to"]): (row["customers"], row["probability"], row["value_moved"])
        for row in found.to_pylist()
    }
    assert told == {
        ("entry", "new"): (4, 1.0, Decimal(8)),
        ("new", "lost"): (1, 0.25, Decimal("0.5")),
        ("new", "mature"): (3, 0.75, Decimal(9)),
        ("lost", "lost"): (7, 1.0, Decimal(0)),
    }
    assert found["from"].to_pylist() == ["new", "new", "lost", "entry"], "as the stages are told, who entered last"


@given(st.dictionaries(st.tuples(st.sampled_from((*TIERS, ENTRY)), st.sampled_from(TIERS)), st.integers(1, 10**6)))
def test_every_published_row_is_stochastic_and_counts_everybody(moves: dict[tuple[str, str], int]) -> None:
    table = transitions.table(AS_OF, counted([(*move, n, "1") for move, n in moves.items()]), TIER_TRANSITIONS)
    total: Counter[str] = Counter()
    for row in table.to_pylist():
        total[row["from"]] += row["probability"]
    assert all(abs(each - 1) < 1e-12 for each in total.values())
    assert sum(table["customers"].to_pylist()) == sum(moves.values())


def test_without_memory_there_is_no_row() -> None:
    assert transitions.table(AS_OF, counted([]), STAGE_TRANSITIONS).num_rows == 0


def test_who_entered_is_no_move_of_the_chain() -> None:
    moves = [{"from": "entry", "to": "A", "customers": 9}, {"from": "A", "to": "B", "customers": 2},
             {"from": "A", "to": "B", "customers": 3}]  # fmt: skip
    found = transitions.matrix(moves, TIERS)
    assert found.tolist() == [[0, 5, 0, 0], [0] * 4, [0] * 4, [0] * 4]


@given(counts)
def test_the_fitted_matrix_is_stochastic_and_a_state_never_met_stays(seen: np.ndarray) -> None:
    fitted = transitions.fit(seen)
    assert np.allclose(fitted.sum(axis=1), 1, atol=1e-12) and (fitted >= 0).all()
    for i in np.flatnonzero(seen.sum(axis=1) == 0):
        assert fitted[i, i] == 1
    total = seen.sum(axis=1, keepdims=True)
    # One customer more moves no share by more than 1 / (n + 1).
    assert (np.abs(fitted - seen / np.maximum(total, 1)) <= 1 / (total + 1) + 1e-12)[total[:, 0] > 0].all()


@given(counts, st.sampled_from(transitions.HORIZONS))
def test_the_expected_composition_is_that_of_so_many_single_steps(seen: np.ndarray, periods: int) -> None:
    fitted = transitions.fit(seen)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    stepped = shares.tolist()
    for _ in range(periods):
        stepped = [sum(stepped[i] * fitted[i, j] for i in range(4)) for j in range(4)]
    expected = transitions.expected_composition(shares, fitted, periods)
    assert expected == pytest.approx(stepped, abs=1e-12)
    assert expected.sum() == pytest.approx(1, abs=1e-12)


def test_a_chain_of_two_states_has_its_textbook_composition() -> None:
    """P^n of [[1-a, a], [b, 1-b]] has (b + a (1-a-b)^n) / (a+b) in its first cell (Ross, Introduction to Probability Models)."""
    a, b, n = 0.3, 0.1, 6
    fitted = np.array([[1 - a, a], [b, 1 - b]])
    found = transitions.expected_composition(np.array([1.0, 0.0]), fitted, n)
    assert found[0] == pytest.approx((b + a * (1 - a - b) ** n) / (a + b), rel=1e-12)
    assert transitions.mean_stay(fitted) == pytest.approx([1 / a, 1 / b])


def test_fitted_composition_and_stays_are_those_of_simulated_customers() -> None:
    true = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.02, 0.0, 0.98]])
    rng = np.random.default_rng(5)
    n, states = 40_000, ("A", "B", "C")
    path = [rng.integers(0, 3, n)]
    draws = rng.random((24, n))
    for step in draws:
        path.append((step[:, None] > true[path[-1]].cumsum(axis=1)).sum(axis=1))
    seen = sum(
        (transitions.matrix(_moves(path[t], path[t + 1], states), states) for t in range(12)), start=np.zeros((3, 3))
    )
    told = transitions.forecast(seen, np.bincount(path[12], minlength=3).astype(float), states)
    came = np.bincount(path[24], minlength=3) / n
    # Share of 40,000: standard error at most .0025; the fit's own is smaller, on 12 times as many.
    for state, share in zip(states, came, strict=True):
        assert told[f"expected_share_{state}_in_12_periods"] == pytest.approx(share, abs=0.01)
    assert told["mean_stay_A_periods"] == pytest.approx(5, rel=0.02)
    assert told["mean_stay_B_periods"] == pytest.approx(2.5, rel=0.02)
    assert told["transitions_pooled_count"] == 12 * n


def _moves(then: np.ndarray, now: np.ndarray, states: tuple[str, ...]) -> list[dict[str, object]]:
    pairs = Counter(zip(then.tolist(), now.tolist(), strict=True))
    return [{"from": states[i], "to": states[j], "customers": n} for (i, j), n in pairs.items()]


def test_nothing_is_forecast_from_nothing_and_no_stay_is_told_that_nobody_ended() -> None:
    assert transitions.forecast(np.zeros((4, 4)), np.ones(4), TIERS) == {}
    assert transitions.forecast(np.eye(4), np.zeros(4), TIERS) == {}
    told = transitions.forecast(np.eye(4) * 10, np.array([1.0, 1, 2, 0]), TIERS)
    assert not any(name.startswith("mean_stay") for name in told)
    assert told["expected_share_C_in_12_periods"] == 0.5
    assert {transitions.share_name(state, n) for state in TIERS for n in (3, 6, 12)} <= told.keys()


def test_a_forecast_is_judged_by_who_was_there_beside_nothing_changes() -> None:
    states = ("A", "B")
    published = {"expected_share_A_in_3_periods": 0.5, "expected_share_B_in_3_periods": 0.5, "a_cut_position": 0.8}
    # 8 in A and 2 in B then; 6 and 4 now.
    seen = np.array([[6.0, 2.0], [0.0, 2.0]])
    assert transitions.errors(published, seen, states, 3) == {
        "forecast_error_3_periods": pytest.approx(0.1),
        "naive_error_3_periods": pytest.approx(0.2),
    }
    assert transitions.errors(published, seen, states, 6) == {}
    assert transitions.errors(published, np.zeros((2, 2)), states, 3) == {}


@given(counts)
def test_a_distance_is_none_to_oneself_and_one_at_most(seen: np.ndarray) -> None:
    shares = (seen + 1) / (seen + 1).sum(axis=1, keepdims=True)
    for one in shares:
        assert transitions.distance(one, one) == 0
        for other in shares:
            assert 0 <= transitions.distance(one, other) == transitions.distance(other, one) < 1
    assert transitions.distance(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_the_states_of_the_contract_are_those_of_their_columns() -> None:
    for table, states in ((STAGE_TRANSITIONS, STAGES), (TIER_TRANSITIONS, TIERS)):
        assert table.column("from").vocabulary == (*states, ENTRY)
        assert table.column("to").vocabulary == states
