"""Pictures of moves, cohorts and concentration: PNGs, small enough to travel with an event, however large the base."""

from __future__ import annotations

import struct
from datetime import date

import numpy as np
import pytest

from cvm_pipeline.domain.contracts import STAGES, TIERS
from cvm_pipeline.report import segment_pictures

PNG = b"\x89PNG\r\n\x1a\n"
AS_OF = date(2024, 12, 31)


def size(png: bytes) -> tuple[int, int]:
    """Width and height, pixels."""
    assert png.startswith(PNG)
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def cohorts(count: int) -> list[tuple[date, int, int, float]]:
    first = 2024 * 12 + 11 - count + 1
    months = [date((first + n) // 12, (first + n) % 12 + 1, 1) for n in range(count)]
    return [(month, p, 100 + n, 1 / (1 + p)) for n, month in enumerate(months) for p in range(count - n)]


@pytest.mark.parametrize(("states", "of"), [(STAGES, "stage"), (TIERS, "tier")])
def test_moves_are_drawn_with_a_row_for_each_state_that_somebody_came_from(states, of) -> None:
    one = [(states[0], states[1], 5, 1.0)]
    everywhere = [(came, went, 10, 1 / len(states)) for came in (*states, "entry") for went in states]
    small, large = (segment_pictures.transitions(rows, states, of, AS_OF) for rows in (one, everywhere))
    assert size(large)[1] > max(30 * (len(states) + 1), size(small)[1])
    assert 2_000 < len(small) < len(large) < 100_000


def test_cohorts_are_drawn_up_to_the_newest_that_a_picture_can_hold() -> None:
    few, many, more = (segment_pictures.cohort_retention(cohorts(count), AS_OF) for count in (3, 25, 120))
    assert size(few)[1] < size(many)[1] == size(more)[1]
    assert size(few)[0] < size(more)[0] <= size(many)[0] + 10
    assert len(more) < 250_000


def test_the_curve_of_a_base_is_drawn_and_so_is_that_of_one_without_value() -> None:
    for curve in (np.linspace(0, 1, 101) ** 0.3, np.zeros(101)):
        assert 3_000 < len(segment_pictures.pareto(curve, AS_OF)) < 100_000
