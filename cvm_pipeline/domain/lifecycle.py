"""The lifecycle stage: exactly one a customer and snapshot, the first row of the table that holds, with its
reason in words.

Belongs here: the rules of the stages in their order, the parameters that they rest on, reasons, forbidden
transitions.
Not here: gaps and limits (`fct_customer_snapshot`), P(alive) (`lifetime_value/`), momentum's mathematics
(`momentum.py`), which snapshot came before (`customer_value.py`).

潜在 prospect, 流失 lost, 挽回 reactivated, 初次 new, 衰退 declining, 成长 growing, 成熟 mature.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain.contracts import STAGES
from cvm_pipeline.domain.momentum import Prior, Window, probability_of_rise

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PROSPECT, NEW, GROWING, MATURE, DECLINING, LOST, REACTIVATED = range(len(STAGES))
RISE_AT_LEAST = 0.8
# Levels of a standing warning that make the stage.
DECLINING_LEVELS = ("warning", "critical")


@dataclass(frozen=True)
class Settings:
    """`lifecycle` of the configuration: two probabilities, a share, and two durations in days with their
    defaults as None.
    """

    lost_below: float = 0.2
    at_risk_below: float = 0.5
    growth: float = 0.2
    recent: float | None = None
    new_for: float | None = None


@dataclass(frozen=True)
class BaseFacts:
    """What the base says, excluded customers left out: `fct_snapshot_base` and two sums (project currency).

    `margin_12m` and `margin_prior_12m` are summed over customers whose first transaction is at least 24
    months old.
    """

    as_of_date: date
    base_gap_median: float
    gap_k: float
    margin_12m: float
    margin_prior_12m: float


@dataclass(frozen=True)
class Parameters:
    """All that scoring a row needs. Durations in days.

    `recent` None = the customer's own gap_limit. `base_change`: the base's margin of the last 12 months over
    the 12 before; 1 where either is not above 0. `last_year`, `year_before`: lengths of the two calendar
    windows. `prior` None: no momentum, nobody grows.
    """

    base_gap_median: float
    gap_k: float
    lost_below: float
    at_risk_below: float
    growth: float
    recent: float | None
    new_for: float
    base_change: float
    last_year: int
    year_before: int
    prior: Prior | None


@dataclass(frozen=True)
class Stages:
    """Stage and reason of each row, string arrays (n,), never null."""

    lifecycle_stage: pa.Array
    stage_reason: pa.Array


def fit(facts: BaseFacts, prior: Prior | None, settings: Settings | None = None) -> Parameters:
    """Parameters from the base's facts, the population's priors (alpha in days) and the configuration."""
    settings = settings or Settings()
    day = pd.Timestamp(facts.as_of_date)
    a_year_ago, two_years_ago = day - pd.DateOffset(months=12), day - pd.DateOffset(months=24)
    comparable = facts.margin_12m > 0 and facts.margin_prior_12m > 0
    default_new = min(max(2 * facts.base_gap_median, 14.0), 365.0)
    return Parameters(
        base_gap_median=facts.base_gap_median,
        gap_k=facts.gap_k,
        lost_below=settings.lost_below,
        at_risk_below=settings.at_risk_below,
        growth=settings.growth,
        recent=settings.recent,
        new_for=default_new if settings.new_for is None else settings.new_for,
        base_change=facts.margin_12m / facts.margin_prior_12m if comparable else 1.0,
        last_year=(day - a_year_ago).days,
        year_before=(a_year_ago - two_years_ago).days,
        prior=prior,
    )


def score(
    snapshot: pa.RecordBatch,
    p_alive: Floats,
    parameters: Parameters,
    previous_stage: pa.Array | None = None,
    has_new_transaction: Mask | None = None,
    warning_level: pa.Array | None = None,
) -> Stages:
    """Stage and reason of each row of `fct_customer_snapshot`; p_alive (n,), NaN where there is none.

    With the previous snapshot's stages (null = not known) the two laws of behaviour hold over moving base
    figures: without a new transaction (`has_new_transaction`, (n,)) the lost stay lost, and nobody becomes
    new again. `warning_level`: of the warning that stands, null where none does.
    """
    facts = _Facts.of(snapshot, np.asarray(p_alive, np.float64), parameters)
    n = snapshot.num_rows
    stays_lost = was_known = np.zeros(n, bool)
    if previous_stage is not None and has_new_transaction is not None:
        before = pc.index_in(previous_stage, pa.array(STAGES)).fill_null(-1).to_numpy()
        stays_lost = (before == LOST) & ~has_new_transaction
        was_known = ~np.isin(before, (-1, PROSPECT, NEW))
    warned = pa.nulls(n, pa.string()) if warning_level is None else warning_level.cast(pa.string())
    alarmed = pc.is_in(warned, value_set=pa.array(DECLINING_LEVELS)).to_numpy(zero_copy_only=False)
    silent = facts.silence > facts.limit
    # Comparisons with NaN are false: a customer without p_alive is judged by silence alone.
    out = silent & ((facts.p_alive < parameters.lost_below) | (facts.silence > 2 * facts.limit))
    returned = facts.since_return <= (facts.limit if parameters.recent is None else parameters.recent)
    young = parameters.new_for >= facts.T
    fresh = young | ((facts.transactions == 1) & (facts.silence <= facts.limit))
    stage = np.full(n, MATURE)
    open_rows = np.ones(n, bool)
    for code, holds in (
        (PROSPECT, facts.transactions < 1),
        (LOST, out | stays_lost),
        (REACTIVATED, returned),
        (NEW, fresh & ~was_known),
        (DECLINING, alarmed | silent | (facts.p_alive < parameters.at_risk_below)),
    ):
        stage[open_rows & holds] = code
        open_rows &= ~holds
    rise = np.full(n, np.nan)
    candidates = np.flatnonzero(open_rows & facts.may_grow)
    if parameters.prior is not None and len(candidates):
        # The costly measure, so only for the few whose stage turns on it.
        rise[candidates] = probability_of_rise(*facts.windows(candidates), parameters.prior)
    stage[rise >= RISE_AT_LEAST] = GROWING
    return Stages(
        pa.array(STAGES).take(pa.array(stage)),
        _reasons(stage, facts, parameters, young, out, rise, alarmed, warned),
    )


def check_transitions(previous_stage: pa.Array, stage: pa.Array, has_new_transaction: Mask) -> pa.Array:
    """What forbids the move from the previous snapshot's stage, string (n,), null where nothing does or
    nothing is known.

    The caller sets aside moves with the cause rule change, identity merge or corrected data.
    """
    before = pc.index_in(previous_stage, pa.array(STAGES)).fill_null(-1).to_numpy()
    now = pc.index_in(stage, pa.array(STAGES)).to_numpy(zero_copy_only=False)
    quiet = ~np.asarray(has_new_transaction)
    words = pa.array(
        [
            "left lost without a transaction",
            "left prospect without a transaction",
            "returned to prospect",
            "returned to new",
        ]
    )
    broken = np.full(len(now), -1)
    for code, holds in (
        (0, (before == LOST) & (now != LOST) & quiet),
        (1, (before == PROSPECT) & (now != PROSPECT) & quiet),
        (2, (before > PROSPECT) & (now == PROSPECT)),
        (3, (before > NEW) & (now == NEW)),
    ):
        broken[holds] = code
    return words.take(pa.array(broken, mask=broken < 0))


@dataclass(frozen=True)
class _Facts:
    """The columns that the rules read, as floats (n,); NaN where null, so that no rule holds by a missing
    value.
    """

    transactions: Floats
    T: Floats
    silence: Floats
    limit: Floats
    p_alive: Floats
    since_return: Floats
    margin: Floats
    margin_before: Floats
    is_grown: Mask
    may_grow: Mask
    earlier: Window
    later: Window

    @classmethod
    def of(cls, snapshot: pa.RecordBatch, p_alive: Floats, parameters: Parameters) -> _Facts:
        def column(name: str) -> Floats:
            return snapshot[name].cast(pa.float64()).to_numpy(zero_copy_only=False)

        def days(name: str) -> Floats:
            return snapshot[name].cast(pa.int32()).cast(pa.float64()).to_numpy(zero_copy_only=False)

        transactions, T = column("transactions"), column("T")
        margin, before = column("margin_12m"), column("margin_prior_12m")
        is_grown = parameters.last_year + parameters.year_before <= T
        # 1000 x 1.1 is above 1100 in floating point: a growth of exactly the share counts.
        least = before * (1 + parameters.growth) * parameters.base_change * (1 - 1e-12)
        second = column("second_half_transactions")

        def by_age(grown: Floats | float, younger: Floats) -> Floats:
            return np.where(is_grown, grown, younger)

        return cls(
            transactions=transactions,
            T=T,
            silence=column("days_since_last"),
            limit=column("gap_limit"),
            p_alive=p_alive,
            since_return=days("as_of_date") - days("reactivated_date"),
            margin=margin,
            margin_before=before,
            is_grown=is_grown,
            may_grow=np.where(is_grown, (before > 0) & (margin >= least), transactions >= 3),
            earlier=Window(
                by_age(column("transactions_prior_12m"), column("frequency") - second),
                by_age(column("net_sales_prior_12m"), column("first_half_sales")),
                by_age(parameters.year_before, T / 2),
            ),
            later=Window(
                by_age(column("transactions_12m"), second),
                by_age(column("net_sales_12m"), column("second_half_sales")),
                by_age(parameters.last_year, T / 2),
            ),
        )

    def windows(self, rows: npt.NDArray[np.int64]) -> tuple[Window, Window]:
        """The two windows of the given rows."""
        earlier, later = (
            Window(window.transactions[rows], window.sales[rows], window.days[rows])
            for window in (self.earlier, self.later)
        )
        return earlier, later


def _reasons(
    stage: npt.NDArray[np.int64],
    facts: _Facts,
    parameters: Parameters,
    young: Mask,
    out: Mask,
    rise: Floats,
    alarmed: Mask,
    warned: pa.Array,
) -> pa.Array:
    # Cut, not rounded: 'silent 188 days, limit 187' and 'P(alive) 0.19 below 0.2' can't contradict the rule that held.
    silence, limit, T, count = facts.silence, np.floor(facts.limit), facts.T, facts.transactions
    alive, risen = np.floor(facts.p_alive * 100 + 1e-9) / 100, np.floor(rise * 100 + 1e-9) / 100
    known = ~np.isnan(alive)
    window = np.floor(facts.limit if parameters.recent is None else np.full(len(T), parameters.recent))
    levels = warned.to_numpy(zero_copy_only=False)
    is_new, falls = stage == NEW, (stage == DECLINING) & ~alarmed
    quiet, grows, steady = silence > facts.limit, stage == GROWING, stage == MATURE
    text = np.full(len(stage), "no transaction yet", dtype=object)
    once = "one transaction, silent %d days, limit %d days"
    base = f"(base x {parameters.base_change:.2f}), P(rate x spend rose) %.2f"
    for rows, words, values in (
        ((stage == LOST) & out & known, "silent %d days, limit %d days, P(alive) %.2f", (silence, limit, alive)),
        ((stage == LOST) & out & ~known, "silent %d days, limit %d days", (silence, limit)),
        ((stage == LOST) & ~out, "no transaction since it was lost, silent %d days", (silence,)),
        (stage == REACTIVATED, "back %d days ago after a silence beyond its limit, counts for %d days",
         (facts.since_return, window)),
        (is_new & young, f"first transaction %d days ago, new for {int(parameters.new_for)} days", (T,)),
        (is_new & ~young, once, (silence, limit)),
        (falls & quiet & known, "silent %d days, limit %d days, P(alive) %.2f", (silence, limit, alive)),
        (falls & quiet & ~known, "silent %d days, limit %d days", (silence, limit)),
        (falls & ~quiet, f"P(alive) %.2f below {parameters.at_risk_below:g}, silent %d days, limit %d days",
         (alive, silence, limit)),
        ((stage == DECLINING) & alarmed & known,
         "an early warning (%s) stands, silent %d days, limit %d days, P(alive) %.2f", (levels, silence, limit, alive)),
        ((stage == DECLINING) & alarmed & ~known, "an early warning (%s) stands, silent %d days, limit %d days",
         (levels, silence, limit)),
        (grows & facts.is_grown, f"margin of 12 months %.2f after %.2f {base}",
         (facts.margin, facts.margin_before, risen)),
        (grows & ~facts.is_grown, "%d transactions, second half of tenure against the first: P(rate x spend rose) %.2f",
         (count, risen)),
        (steady & known, "%d transactions, silent %d days, limit %d days, P(alive) %.2f",
         (count, silence, limit, alive)),
        (steady & ~known, "%d transactions, silent %d days, limit %d days", (count, silence, limit)),
    ):  # fmt: skip
        at = np.flatnonzero(rows)
        text[at] = [words % row for row in zip(*(column[at].tolist() for column in values), strict=True)]
    return pa.array(text, pa.string())
