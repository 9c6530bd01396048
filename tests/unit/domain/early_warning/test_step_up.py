"""Step-up procedures against textbook figures, and the discrete one against its definition, slowly."""

from __future__ import annotations

import numpy as np
import pytest

from cvm_pipeline.domain.early_warning import step_up
from cvm_pipeline.domain.early_warning.step_up import GRID

# Benjamini & Hochberg (1995), section 3.2: 15 p-values, 4 rejected at 5 %.
PAPER = np.array([.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1.0])  # fmt: skip


def test_benjamini_and_hochbergs_own_example_rejects_four() -> None:
    assert step_up.benjamini_hochberg(PAPER, 0.05) == 0.0095
    assert step_up.benjamini_hochberg(PAPER[::-1], 0.05) == 0.0095


def test_it_steps_up_a_large_p_carries_smaller_ones_that_fail_by_themselves() -> None:
    assert step_up.benjamini_hochberg(np.array([0.03, 0.04, 0.05]), 0.05) == 0.05
    assert step_up.benjamini_hochberg(np.array([0.06, 0.5]), 0.05) == 0.0
    assert step_up.benjamini_hochberg(np.zeros(0), 0.05) == 0.0


def test_benjamini_and_yekutieli_divide_by_the_harmonic_number() -> None:
    harmonic = sum(1 / k for k in range(1, 16))
    assert step_up.benjamini_yekutieli(PAPER, 0.05) == step_up.benjamini_hochberg(PAPER, 0.05 / harmonic) == 0.0019
    assert step_up.benjamini_yekutieli(np.zeros(0), 0.05) == 0.0


def discrete_by_definition(p: np.ndarray, sums: np.ndarray, q: float) -> float:
    """Critical values tau_k one after the other, then the step up."""
    m = p.size
    last = max((t for t, s in zip(GRID, sums, strict=True) if s / (1 - t) <= q * m), default=0.0)
    rejected = 0
    critical = [0.0] * (m + 1)
    for k in range(1, m + 1):
        fits = [t for t, s in zip(GRID, sums, strict=True) if t <= last and s / (1 - last) <= q * k]
        critical[k] = max(fits, default=0.0)
    for k, one in enumerate(np.sort(p), 1):
        if critical[k] > 0 and one <= critical[k]:
            rejected = k
    return critical[rejected]


@pytest.mark.parametrize("seed", range(20))
def test_the_discrete_step_up_rejects_whom_its_definition_rejects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.random(40), 10 ** -rng.uniform(2, 5, 8)])
    sums = np.cumsum(rng.random(GRID.size) * np.gradient(GRID)) * 48
    found = step_up.discrete(p, sums, 0.1)
    assert set(p[p <= found]) == set(p[p <= discrete_by_definition(p, sums, 0.1)])


def test_the_discrete_step_up_with_uniform_p_finds_nearly_what_benjamini_and_hochberg_find() -> None:
    p = np.concatenate([np.linspace(0.01, 1, 90), np.full(10, 1e-4)])
    found = step_up.discrete(p, GRID * p.size, 0.1)
    # A tenth below at most by its grid, and 1 / (1 - tau) by its bound.
    assert 1e-4 <= found <= step_up.benjamini_hochberg(p, 0.1)
    assert (p <= found).sum() >= 10


def test_where_silence_can_show_nothing_below_a_p_such_customers_cost_nothing() -> None:
    p = np.array([0.004, 0.006, *np.ones(500)])
    few = np.where(GRID < 0.02, GRID * 2, GRID * p.size)
    assert step_up.benjamini_hochberg(p, 0.1) == 0.0
    assert (p <= step_up.discrete(p, few, 0.1)).sum() == 2


def test_nobody_is_raised_of_nobody() -> None:
    assert step_up.discrete(np.zeros(0), np.zeros(GRID.size), 0.1) == 0.0
    assert step_up.discrete(np.ones(5), GRID * 5, 0.1) == 0.0
