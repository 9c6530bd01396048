"""What must hold of BG/BB whatever the numbers, and what it does with bases that no model can learn much from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain.lifetime_value.bg_bb import MODEL
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories

TRUE = {"alpha": 0.7, "beta": 30.0, "gamma": 0.5, "delta": 60.0}
YEAR = np.array([365.25])
shape = st.floats(1e-3, 1e3)
point = st.fixed_dictionaries(dict.fromkeys(MODEL.parameter_names, shape))


def base(n: int = 20_000, seed: int = 6, parameters=TRUE, longest: int = 700) -> tuple[np.ndarray, ...]:
    """x, t_x, T and the transactions of the next 200 opportunities, drawn from the model."""
    rng = np.random.default_rng(seed)
    T = rng.integers(100, longest, n).astype(float)
    x, t_x, later = MODEL.simulate(parameters, T, 200.0, rng)
    return x, t_x, T, later


def histories(x, t_x, T, count=None) -> PurchaseHistories:
    return PurchaseHistories(x, t_x, T, np.ones(len(x)) if count is None else count, 1.0)


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, ...]:
    return base(400, longest=200)[:3]


def test_shuffled_rows_give_the_same_fit_to_the_last_digit(small) -> None:
    order = np.random.default_rng(1).permutation(small[0].size)
    assert MODEL.fit(histories(*(column[order] for column in small))) == MODEL.fit(histories(*small))


def test_merged_and_split_groups_give_the_same_fit(small) -> None:
    whole = MODEL.fit(histories(*small))
    assert MODEL.fit(histories(*small).grouped()) == whole
    halves = tuple(np.concatenate([column, column]) for column in small)
    split = MODEL.fit(histories(*halves, np.full(halves[0].size, 0.5)))
    assert split.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    assert dict(split.parameters) == pytest.approx(dict(whole.parameters), rel=1e-8)


def test_splitting_a_batch_changes_no_digit() -> None:
    x, t_x, T, _ = base(400)
    horizons = np.array([1 / 24, 30.4375, 365.25])

    def scored(rows: slice) -> list[np.ndarray]:
        r = x[rows], t_x[rows], T[rows]
        ends = r[0], r[2]
        return [
            MODEL.log_likelihood_rows(TRUE, *r),
            MODEL.gradient_rows(TRUE, *r),
            MODEL.log_p_alive(TRUE, *r),
            MODEL.expected_while_alive(TRUE, horizons, *ends),
            MODEL.pmf_while_alive(TRUE, np.array([3.0, 0.0, 1.0]), 30.0, *ends),
            MODEL.residual_while_alive(TRUE, 3e-4, *ends),
        ]

    whole = scored(slice(None))
    parts = [scored(slice(start, start + 7)) for start in range(0, 400, 7)]
    for i, together in enumerate(whole):
        assert np.array_equal(together, np.concatenate([part[i] for part in parts]))


def test_rows_may_have_parameters_of_their_own(small) -> None:
    rows = tuple(column[:50] for column in small)
    other = {**TRUE, "alpha": 2.0, "delta": 5.0}
    odd = np.arange(50) % 2 == 1
    mixed = {name: np.where(odd, other[name], TRUE[name]) for name in TRUE}
    for score in (MODEL.log_likelihood_rows, MODEL.gradient_rows, MODEL.log_p_alive):
        found = score(mixed, *rows)
        assert np.array_equal(found[odd], score(other, *(column[odd] for column in rows)))
        assert np.array_equal(found[~odd], score(TRUE, *(column[~odd] for column in rows)))


@settings(max_examples=40, deadline=None)
@given(parameters=point, x=st.integers(0, 300), extra=st.integers(0, 300))
def test_p_alive_never_rises_with_silence(parameters, x, extra) -> None:
    t_x = x + extra if x else 0
    T = t_x + np.r_[np.arange(0, 60), np.geomspace(60, 10_000, 40).astype(int)].astype(float)
    n = np.ones_like(T)
    log_alive = MODEL.log_p_alive(parameters, x * n, t_x * n, T)
    assert (np.diff(log_alive) <= 0).all() and (log_alive <= 0).all()


@settings(max_examples=40, deadline=None)
@given(parameters=point, x=st.integers(0, 50), extra=st.integers(0, 1_000), h=st.integers(1, 120))
def test_probabilities_of_counts_sum_to_1_and_their_mean_is_the_expectation(parameters, x, extra, h) -> None:
    columns = np.array([float(x)]), np.array([float(x)]), np.array([float(x + extra)])
    counts = np.arange(h + 1.0)
    chances = MODEL.pmf(parameters, counts, float(h), *columns)[0]
    assert (chances >= 0).all()
    assert chances.sum() == pytest.approx(1.0, rel=1e-12)
    expected = MODEL.expected_transactions(parameters, np.array([float(h)]), *columns)[0, 0]
    assert (chances * counts).sum() == pytest.approx(expected, rel=1e-10)


def test_probabilities_of_counts_keep_the_order_they_are_asked_in() -> None:
    x, T = np.array([2.0, 0.0]), np.array([30.0, 5.0])
    ordered = MODEL.pmf_while_alive(TRUE, np.arange(12.0), 10.0, x, T)
    asked = np.array([11.0, 3.0, 0.0, 3.0, -1.0])
    found = MODEL.pmf_while_alive(TRUE, asked, 10.9, x, T)
    assert np.array_equal(found[:, :4], ordered[:, [11, 3, 0, 3]])
    assert (found[:, 0] == 0).all() and (found[:, 4] == 0).all()
    assert MODEL.pmf_while_alive(TRUE, asked, 0.5, x, T).tolist() == [[0, 0, 1, 0, 0]] * 2


def test_the_likelihood_of_all_histories_of_a_length_sums_to_1() -> None:
    n = 9
    rows = [(x, t) for t in range(1, n + 1) for x in range(1, t + 1)] + [(0, 0)]
    x, t = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    # C(t-1, x-1) orders of the transactions before the last.
    orders = np.array(
        [1.0 if b == 0 else float(np.prod([(b - 1 - i) / (i + 1) for i in range(int(a) - 1)])) for a, b in rows]
    )
    for parameters in (TRUE, {"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.8}):
        chances = np.exp(MODEL.log_likelihood_rows(parameters, x, t, np.full(x.size, float(n))))
        assert (orders * chances).sum() == pytest.approx(1.0, rel=1e-13)
        of_counts = MODEL.unconditional_pmf(parameters, np.arange(n + 1.0), float(n))
        by_count = np.bincount(x.astype(int), weights=orders * chances)
        assert by_count == pytest.approx(of_counts, rel=1e-12)


def test_expectation_grows_with_the_horizon_and_equals_the_sum_of_its_parts() -> None:
    x, t_x, T = np.array([0.0, 3.0, 40.0]), np.array([0.0, 10.0, 70.0]), np.array([0.0, 30.0, 71.0])
    path = MODEL.expected_transactions(TRUE, np.arange(0.0, 200.0, 0.125), x, t_x, T)
    assert (path[:, 0] == 0).all() and (np.diff(path, axis=1) > 0).all()
    # Between whole horizons it is a straight line.
    pieces = np.diff(path[:, : 199 * 8 + 1], axis=1).reshape(3, 199, 8)
    assert pieces == pytest.approx(np.broadcast_to(pieces[:, :, :1], pieces.shape), rel=1e-9)
    # Opportunity by opportunity: the chance to be alive for it and to buy, from the unconditional expectation's start on.
    new = MODEL.unconditional_expectation(TRUE, np.arange(1.0, 4.0))
    survive = [60.0 / 60.5, 60.0 / 60.5 * 61.0 / 61.5, 60.0 / 60.5 * 61.0 / 61.5 * 62.0 / 62.5]
    assert new == pytest.approx(0.7 / 30.7 * np.cumsum(survive), rel=1e-14)


def test_residual_transactions_are_the_discounted_sum_of_the_expectations() -> None:
    x, t_x, T = np.array([0.0, 3.0]), np.array([0.0, 10.0]), np.array([5.0, 30.0])
    rate = 0.05
    ends = np.arange(1.0, 1_000.0)
    steps = np.diff(MODEL.expected_transactions(TRUE, ends, x, t_x, T), axis=1, prepend=0.0)
    residual = MODEL.residual_transactions(TRUE, rate, x, t_x, T)
    assert residual == pytest.approx((steps * np.exp(-rate * ends)).sum(axis=1), rel=1e-12)


@pytest.mark.parametrize("rate", [0.0, -0.1, np.nan])
def test_without_a_discount_rate_there_are_no_residual_transactions(rate) -> None:
    with pytest.raises(ValueError, match="rate"):
        MODEL.residual_while_alive(TRUE, rate, np.zeros(1), np.zeros(1))


def test_parameters_are_recovered_within_their_standard_errors() -> None:
    # More than 5,000 distinct rows: the starts compete on a part of them.
    x, t_x, T, _ = base(8_000, longest=500)
    grouped = histories(x, t_x, T).grouped()
    assert grouped.frequency.size > 5_000
    fit = MODEL.fit(grouped)
    assert fit.converged and fit.note == ""
    for name, value in TRUE.items():
        assert abs(fit.parameters[name] - value) < 3.5 * fit.standard_errors[name]


def test_simulated_customers_behave_as_the_model_says() -> None:
    x, t_x, T, later = base(60_000, seed=8)
    assert ((x <= t_x) & (t_x <= T) & ((x == 0) == (t_x == 0))).all()
    of_one_age = MODEL.simulate(TRUE, np.full(60_000, 300.0), 0.0, np.random.default_rng(9))[0]
    chances = MODEL.unconditional_pmf(TRUE, np.arange(6.0), 300.0)
    seen = np.bincount(of_one_age.astype(int), minlength=6)[:6] / 60_000
    assert (np.abs(seen - chances) < 4.5 * np.sqrt(chances * (1 - chances) / 60_000)).all()
    expected = MODEL.expected_transactions(TRUE, np.array([200.0]), x, t_x, T)[:, 0]
    for group in (x == 0, (x > 0) & (T - t_x > 60), (x > 0) & (T - t_x <= 60)):
        difference = later[group] - expected[group]
        assert abs(difference.mean()) < 4.5 * difference.std() / np.sqrt(group.sum())


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((2, 3, 5.5), "T must be a whole number"),
        ((2, 3.5, 5), "recency must be a whole number"),
        ((1.5, 3, 5), "frequency must be a whole number"),
        ((4, 3, 5), "frequency is at most recency"),
        ((2, 6, 5), "recency is at most T"),
        ((0, 2, 5), "recency is 0 where frequency is 0"),
        ((1, 1, np.nan), "T must be a whole number"),
    ],
)
def test_a_history_that_no_opportunities_can_have_is_refused_with_its_row(row, rule) -> None:
    columns = [np.array([good, bad], dtype=float) for good, bad in zip((1, 2, 5), row, strict=True)]
    with pytest.raises(ValueError, match=rule) as caught:
        MODEL.log_p_alive(TRUE, *columns)
    assert "row 1" in str(caught.value)


def test_more_transactions_than_opportunities_are_refused_without_recency_too() -> None:
    with pytest.raises(ValueError, match="frequency is at most T"):
        MODEL.expected_while_alive(TRUE, YEAR, np.array([6.0]), np.array([5.0]))


def test_a_fit_refuses_days_that_are_no_opportunities() -> None:
    with pytest.raises(ValueError, match="whole number of opportunities"):
        MODEL.fit(PurchaseHistories.from_days([1], [10], [30], [1], 7.0))


def test_a_base_of_one_time_buyers_cannot_be_fitted_and_says_why() -> None:
    fit = MODEL.fit(histories(np.zeros(3), np.zeros(3), np.array([10.0, 50.0, 300.0])))
    assert not fit.converged and fit.parameters == {} and "nobody bought again" in fit.note


def test_a_base_without_opportunities_cannot_be_fitted_and_says_why() -> None:
    fit = MODEL.fit(histories(np.zeros(2), np.zeros(2), np.zeros(2)))
    assert not fit.converged and "opportunity" in fit.note


def test_identical_customers_are_all_alike_and_the_note_names_the_bounds() -> None:
    h = PurchaseHistories([3], [20], [50], [1_000], 1.0)
    fit = MODEL.fit(h)
    assert fit.converged and "beta ended at its bound" in fit.note and "delta" not in fit.standard_errors
    # Of all that the likelihood tells, 3 transactions in 50 opportunities at most.
    expected = MODEL.expected_transactions(fit.parameters, np.array([50.0]), h.frequency, h.recency, h.T)[0, 0]
    assert 0 < expected < 3


def test_ten_customers_are_fitted_with_their_uncertainty() -> None:
    x = np.array([0, 0, 1, 0, 2, 0, 0, 5, 0, 1.0])
    t_x = np.array([0, 0, 30, 0, 80, 0, 0, 90, 0, 2.0])
    T = np.array([100, 90, 80, 70, 100, 60, 20, 95, 30, 40.0])
    fit = MODEL.fit(histories(x, t_x, T))
    assert fit.converged
    assert all(fit.standard_errors[name] > 0.3 * fit.parameters[name] for name in fit.parameters)


def test_where_nobody_dies_everybody_counts_as_alive_and_the_note_says_so() -> None:
    rng = np.random.default_rng(1)
    T = np.full(2_000, 100.0)
    # The last opportunity was always taken: no silence that death could explain.
    x = rng.binomial(99, rng.beta(2.0, 20.0, 2_000)) + 1.0
    fit = MODEL.fit(histories(x, T, T))
    assert fit.converged and "no death is seen" in fit.note
    assert "gamma" not in fit.standard_errors and fit.standard_errors["alpha"] > 0
    assert (MODEL.p_alive(fit.parameters, x, T, T) > 0.999_999).all()


def test_where_all_die_at_once_nobody_is_expected_back() -> None:
    x, T = np.full(5, 5.0), np.array([6.0, 20, 50, 100, 300])
    fit = MODEL.fit(histories(x, x, T, np.full(5, 10.0)))
    assert fit.converged and "bound" in fit.note
    assert (MODEL.expected_transactions(fit.parameters, YEAR, x, x, T) < 1e-6).all()
