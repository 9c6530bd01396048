"""Known parameters are found again: 95 % intervals on the log scale hold them about as often as they say."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from cvm_pipeline.domain.lifetime_value.estimation.parameter_intervals import intervals
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

# CDNOW's, in weeks.
TRUE = {
    "nbd": {"r": 0.385, "alpha": 12.07},
    "bg_nbd": {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    "mbg_nbd": {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    "pareto_nbd": {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669},
}
NAMES = sorted(TRUE)


@dataclass
class Coverage:
    """How many fits' intervals held the true value, of how many that had one; by parameter."""

    held: dict[str, int] = field(default_factory=dict)
    had: dict[str, int] = field(default_factory=dict)
    converged: int = 0

    def note(self, name: str, low: float, true: float, high: float) -> None:
        self.held[name] = self.held.get(name, 0) + (low <= true <= high)
        self.had[name] = self.had.get(name, 0) + 1

    @property
    def share(self) -> dict[str, float]:
        return {name: self.held[name] / self.had[name] for name in self.held}


def recovered(name: str, customers: int, fits: int, seeds: int = 0) -> tuple[Coverage, Coverage]:
    """Of the intervals, and of the normal approximation, which is the same from 20,000 customers on."""
    model, true = transaction_model(name), TRUE[name]
    found, normal = Coverage(), Coverage()
    for seed in range(seeds, seeds + fits):
        rng = np.random.default_rng((20_000, seed))
        T = rng.integers(27 * 7, 39 * 7 + 1, customers) / 7.0
        x, t_x, _ = model.simulate(true, T, 1.0, rng)
        histories = PurchaseHistories(x, t_x, T, np.ones(customers), 7.0)
        fit = model.fit(histories)
        found.converged += fit.converged
        honest = intervals(model, fit, histories)
        for parameter, value in true.items():
            if parameter in honest.low:
                found.note(parameter, honest.low[parameter], value, honest.high[parameter])
            error = fit.standard_errors.get(parameter)
            if error is not None:
                at, half = fit.parameters[parameter], 1.96 * error / fit.parameters[parameter]
                normal.note(parameter, at * np.exp(-half), value, at * np.exp(half))
    print(name, customers, "customers,", fits, "fits: intervals", found.share, "normal", normal.share)
    return found, normal


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_the_truth_in_a_few_fits(name: str) -> None:
    fits = {"pareto_nbd": 8}.get(name, 20)
    found, _ = recovered(name, 20_000, fits)
    assert found.converged == fits
    # At 95 % fewer would be seen once in 3,000 times.
    least = {20: 15, 8: 5}[fits]
    assert all(count == fits for count in found.had.values())
    assert all(count >= least for count in found.held.values()), found.held


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_the_truth_in_90_to_98_of_100_fits(name: str) -> None:
    found, _ = recovered(name, 20_000, 200)
    assert found.converged == 200 and all(count == 200 for count in found.had.values())
    assert all(0.90 <= share <= 0.98 for share in found.share.values()), found.share


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_small_bases_have_intervals_that_hold_the_truth_as_often_as_they_say(name: str) -> None:
    fits = 200
    # Other bases than those on which the prior was chosen.
    found, normal = recovered(name, 2_000, fits, seeds=10_000)
    assert found.converged == fits
    assert all(0.90 <= share <= 0.995 for share in found.share.values()), found.share
    # Where the normal approximation misses, as on MBG/NBD, the intervals don't.
    assert min(found.share.values()) >= min(normal.share.values()) - 0.02
