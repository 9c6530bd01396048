"""Are the answers the same? Times of programs that disagree are worth nothing.

Belongs here: one function per kind of work, from the sides' reports to verdicts. Not here: whether the answers are right
(`tests/` hold ours to high-precision computation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.engine.child import arrays
from benchmarks.engine.inputs import GROUPED
from cvm_pipeline.domain.lifetime_value.protocol import PurchaseHistories
from cvm_pipeline.domain.lifetime_value.registry import transaction_model

if TYPE_CHECKING:
    from benchmarks.engine.comparisons import Comparison

# The newest report of each side that finished, by the side's name.
Reports = Mapping[str, Mapping[str, Any]]

_WEEK = 7.0
_SAME_FORMULA = 1e-8
_SAME_SCORE = 1e-6
_FLAT_MIB = 128.0


@dataclass(frozen=True)
class Verdict:
    """One sentence, and whether it stands against us."""

    words: str
    failed: bool = False


def fits_agree(reports: Reports, folder: Path, comparison: Comparison) -> list[Verdict]:
    """Our likelihood at the peer's parameters is the peer's own, and our maximum is not below theirs.

    A peer whose search stopped early, or whose priors pull, ends lower: told, and no failure.
    """
    ours = [report["answer"] for name, report in reports.items() if name.startswith("ours")]
    if not ours:
        return []
    model = transaction_model(comparison.model)
    x, t_x, T, count = arrays(folder / GROUPED, "x", "t_x", "T", "count")
    histories = PurchaseHistories(x, t_x, T, count, _WEEK)
    verdicts = [Verdict(f"ours did not converge: {each['note']}", True) for each in ours if not each["converged"]]
    best = min(model.log_likelihood(each["parameters"], histories) for each in ours)
    told = ", ".join(f"{name} {value:.5g}" for name, value in ours[0]["parameters"].items())
    true = ", ".join(f"{name} {value:.5g}" for name, value in comparison.population.timing[comparison.model].items())
    verdicts.append(Verdict(f"ours: {told}, log-likelihood {best:,.3f} (drawn from {true}; days merge purchases)"))
    # A sum of many millions carries no more digits.
    slack = max(1e-3, 1e-11 * abs(best))
    for name, report in reports.items():
        if name.startswith("ours"):
            continue
        answer = report["answer"]
        reached = model.log_likelihood(answer["parameters"], histories)
        if answer["log_likelihood"] is not None:
            off = abs(reached / answer["log_likelihood"] - 1.0)
            if not off <= _SAME_FORMULA:
                verdicts.append(
                    Verdict(f"{name}: its log-likelihood differs from ours at its parameters by {off:.1e}", True)
                )
        apart = max(abs(value / ours[0]["parameters"][key] - 1.0) for key, value in answer["parameters"].items())
        below = best - reached
        how = f"{abs(below):.3g} {'above' if below < 0 else 'below'} ours" if abs(below) > slack else "the same as ours"
        words = f"{name}: log-likelihood {how}, parameters within {apart:.1e}"
        verdicts.append(Verdict(words, not below >= -slack))
    return verdicts


def scores_agree(reports: Reports, folder: Path, comparison: Comparison) -> list[Verdict]:
    """Every finite value of a peer's sample is ours to 1e-6, and ours are all finite."""
    reference = reports.get("ours, rows")
    if reference is None:
        return []
    verdicts = []
    for name, report in reports.items():
        for quantity, found in report["answer"].items():
            mine, theirs = (np.array(each["sample"]) for each in (reference["answer"][quantity], found))
            finite = np.isfinite(theirs)
            apart = float(np.max(np.abs(theirs[finite] / mine[finite] - 1.0), initial=0.0))
            not_finite = found["not_finite"]
            bad = not apart <= _SAME_SCORE or (name.startswith("ours") and not_finite > 0)
            lost = f", {not_finite:,} rows not finite" if not_finite else ""
            if report is not reference or bad:
                verdicts.append(Verdict(f"{name}: {quantity} within {apart:.1e} of ours{lost}", bad))
    return verdicts


def summaries_agree(reports: Reports, folder: Path, comparison: Comparison) -> list[Verdict]:
    """Customers and the sums of x, t_x, T and of their products: whole numbers that must be equal."""
    found = {name: report["answer"] for name, report in reports.items() if report["answer"]}
    mine = found.get("ours, rows")
    if mine is None:
        return []
    verdicts = [Verdict(f"{name} gives {sums}, ours {mine}", True) for name, sums in found.items() if sums != mine]
    return verdicts or [Verdict(f"all equal: {mine['customers']:,} customers, {mine['x']:,} repeat transactions")]


def memory_is_flat(reports: Reports, folder: Path, comparison: Comparison) -> list[Verdict]:
    """Scoring twice the customers takes no more memory than scoring them once, to a few buffers."""
    verdicts = []
    for name, report in reports.items():
        answer = report["answer"]
        fitted = f", {answer['fit_peak_mib']:,.0f} MiB by the end of the fit" if answer.get("fit_peak_mib") else ""
        fallback = answer["fallback"]
        words = f"{name}: {answer['rows']:,} rows by {answer['model']}{fitted}{f', fallback: {fallback}' if fallback else ''}"
        verdicts.append(Verdict(words, bool(fallback)))
    once, twice = (reports.get(name) for name in ("score alone", "score alone, twice the customers"))
    if once and twice and once["peak_mib"] and twice["peak_mib"]:
        grown = twice["peak_mib"] - once["peak_mib"]
        verdicts.append(Verdict(f"scoring twice the customers takes {grown:+,.0f} MiB", grown > _FLAT_MIB))
        doubled = twice["answer"]["rows"] == 2 * once["answer"]["rows"]
        verdicts.append(Verdict("twice the rows came out" if doubled else "rows were lost", not doubled))
    return verdicts
