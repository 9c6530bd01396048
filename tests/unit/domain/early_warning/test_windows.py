"""The walk over the starts: its order, who is eligible, and the law of a stopping time."""

from __future__ import annotations

import numpy as np
import pytest
from populations import Base, run

from cvm_pipeline.domain.early_warning.lengths import WINDOW_DAYS
from cvm_pipeline.domain.early_warning.windows import Known, SpendNode, Start, choose, silent, spend_nodes
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

NEVER = np.array([np.inf])


def starts(*, without: tuple[int, ...] = ()) -> list[Start]:
    fit = Fit({"r": 1.0, "alpha": 30.0, "s": 0.5, "beta": 300.0}, {}, None, 100.0, True, 0.0, time_unit_days=1.0)
    timing = Timing(transaction_model("pareto_nbd"), fit)
    return [Start(days, None if days in without else timing) for days in WINDOW_DAYS]


def buyer(gap: float, since: float, until: float = 0.0) -> list[Known]:
    """Who bought every `gap` days from `since` days before the snapshot to `until` days before it, as known at each start."""
    bought = np.arange(since, until - 1e-9, -gap)
    found = []
    for days in WINDOW_DAYS:
        then = bought[bought >= days]
        if not then.size:
            found.append(Known(*(np.array([v]) for v in (-1.0, 0.0, 0.0, 0.0))))
        else:
            numbers = (then.size - 1.0, then[0] - then[-1], then[0] - days, 10.0 * (then.size - 1))
            found.append(Known(*(np.array([v]) for v in numbers)))
    return found


def window(known: list[Known], since_alarm: np.ndarray = NEVER, of: list[Start] | None = None) -> int | None:
    at = choose(of or starts(), known, since_alarm)[0]
    return None if at < 0 else WINDOW_DAYS[at]


@pytest.mark.parametrize(("gap", "days"), [(2.0, 28), (7.0, 91), (25.0, 182), (45.0, 364), (120.0, 728)])
def test_the_window_follows_the_customers_own_rhythm(gap: float, days: int) -> None:
    assert window(buyer(gap, 2500.0)) == days


def test_the_window_is_the_shortest_in_which_silence_would_be_beyond_chance_as_judged_at_its_start() -> None:
    known = buyer(25.0, 2500.0)
    at = WINDOW_DAYS.index(182)
    r, alpha = 1.0, 30.0
    R, A = r + known[at].x, alpha + known[at].T
    assert silent(R, A, 182.0)[0] <= 0.01 < silent(R, A, 91.0)[0]


def test_a_customer_whom_no_window_but_the_longest_would_show_is_given_that() -> None:
    assert window(buyer(300.0, 3000.0)) == 728


def test_a_newcomer_goes_on_to_the_first_start_at_which_it_has_three_transactions() -> None:
    assert window(buyer(20.0, 91 + 41.0)) == 91
    assert window(buyer(20.0, 91 + 39.0)) == 28
    assert window(buyer(20.0, 28 + 39.0)) is None


def test_who_has_probably_gone_by_a_start_is_not_tested_from_it() -> None:
    # Weekly until 300 days ago: alive at -364, where a shorter window would do, and gone at each later start.
    assert window(buyer(7.0, 2000.0, 300.0)) is None


def test_an_alarm_lets_only_windows_begin_on_its_day_or_after_it() -> None:
    known = buyer(25.0, 2500.0)
    assert window(known, np.array([182.0])) == 182
    # At 91 days a shorter window would not do either, and it is the first start that is left.
    assert window(known, np.array([181.0])) == 91
    assert window(known, np.array([27.0])) is None


def test_a_start_without_a_model_is_passed_over() -> None:
    assert window(buyer(25.0, 2500.0), of=starts(without=(182,))) == 91
    assert window(buyer(25.0, 2500.0), of=starts(without=WINDOW_DAYS)) is None


def test_the_choice_of_a_window_is_the_same_whatever_happens_after_its_start() -> None:
    """The law of a stopping time: {stops at S - L} is told by what was known at S - L."""
    known = _many()
    n = known[0].x.size
    chosen = choose(starts(), known, np.full(n, np.inf))
    rng = np.random.default_rng(5)
    for at in range(len(WINDOW_DAYS)):
        # Another future: at every later start the customers know what others of the base knew there.
        shuffle = rng.permutation(n)
        other = [then if k <= at else then.take(shuffle) for k, then in enumerate(known)]
        again = choose(starts(), other, np.full(n, np.inf))
        assert ((chosen == at) == (again == at)).all()
    assert len(set(chosen.tolist())) >= 5


def test_the_choice_does_not_depend_on_the_rows_beside_it() -> None:
    known = _many()
    n = known[0].x.size
    whole = choose(starts(), known, np.full(n, np.inf))
    parts = [
        choose(starts(), [then.take(rows) for then in known], np.full(rows.size, np.inf))
        for rows in np.array_split(np.arange(n), 7)
    ]
    assert np.concatenate(parts).tolist() == whole.tolist()


def _many() -> list[Known]:
    gaps = np.geomspace(1.0, 400.0, 60)
    each = [buyer(gap, since, until) for gap in gaps for since in (3000.0, 800.0, 200.0) for until in (0.0, 150.0)]
    return [
        Known(*(np.concatenate([getattr(one[k], name) for one in each]) for name in Known.__dataclass_fields__))
        for k in range(len(WINDOW_DAYS))
    ]


def test_what_the_likelihood_leaves_open_of_spend_has_its_mean_and_spread() -> None:
    covariance = ((0.04, -0.01, 0.02), (-0.01, 0.02, 0.005), (0.02, 0.005, 0.03))
    fit = Fit({"p": 3.0, "q": 5.0, "v": 60.0}, {}, None, 500.0, True, 0.0, log_covariance=covariance)
    nodes = spend_nodes(fit)
    assert nodes[0].parameters == pytest.approx(fit.parameters)
    weight = np.array([node.weight for node in nodes])
    logs = np.array([[np.log(node.parameters[name]) for name in ("p", "q", "v")] for node in nodes])
    assert weight.sum() == pytest.approx(1.0)
    assert weight @ logs == pytest.approx(np.log([3.0, 5.0, 60.0]))
    centred = logs - weight @ logs
    variances, axes = np.linalg.eigh(np.array(covariance))
    two_widest = sum(variances[k] * np.outer(axes[:, k], axes[:, k]) for k in (1, 2))
    assert (weight[:, None] * centred).T @ centred == pytest.approx(two_widest, abs=1e-12)


def test_spend_whose_likelihood_does_not_curve_gives_no_signal() -> None:
    assert spend_nodes(Fit({"p": 3.0, "q": 5.0, "v": 60.0}, {}, None, 500.0, True, 0.0)) == ()


def test_models_are_fitted_at_each_start_on_what_was_known_there() -> None:
    found = run(Base(customers=400, gap=20.0), 3)
    alphas = [start.timing.parameters["alpha"] for start in found.starts if start.timing is not None]
    assert len(set(alphas)) == len(alphas) == len(WINDOW_DAYS)
    assert all(isinstance(node, SpendNode) for start in found.starts for node in start.spends)
