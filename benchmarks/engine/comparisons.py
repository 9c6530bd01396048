"""What is measured: each work, who does it, which ratios of it are asked for, and how its answers are compared.

Belongs here: the plan as data. Not here: how it is run (__main__.py), the works themselves (ours.py, peer_*.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine import answers
from benchmarks.engine.answers import Reports, Verdict
from benchmarks.engine.populations import BG_NBD, CDNOW, PARETO_NBD, RETAIL, Population

OURS, OUTPUTS, LIFETIMES, PYMC = "ours", "outputs", "lifetimes", "pymc-marketing"


@dataclass(frozen=True)
class Side:
    """One program doing one work; `name` as the tables say it; `copies` of the inputs, one after the other."""

    name: str
    program: str
    work: str
    copies: int = 1

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's program."""
        return self.program in (LIFETIMES, PYMC)


@dataclass(frozen=True)
class Ratio:
    """Seconds (or MiB) of `slower` over those of `faster`, which should be at least `target` (at most, where `ceiling`)."""

    what: str
    slower: str
    faster: str
    target: float | None = None
    ceiling: bool = False


@dataclass(frozen=True)
class Comparison:
    """One work on one population. `most_mib`: target of our own peak memory."""

    key: str
    title: str
    population: Population
    model: str
    inputs: str  # customers or orders
    size: int
    quick: int
    sides: tuple[Side, ...]
    ratios: tuple[Ratio, ...]
    agree: Callable[[Reports, Path, Comparison], list[Verdict]]
    most_mib: Mapping[str, float]


_SHIPPED, _GROUPED = "one row per customer", "same grouping"
_FIT = (
    Side("ours, from Parquet", OURS, "fit_loaded"),
    Side("ours, grouped", OURS, "fit_grouped"),
    Side("lifetimes, rows", LIFETIMES, "fit_rows"),
    Side("lifetimes, grouped", LIFETIMES, "fit_grouped"),
    Side("pymc-marketing MAP, rows", PYMC, "fit_rows"),
)


def _fit(
    population: Population, model: str, size: int, quick: int, shipped: float | None, grouped: float
) -> Comparison:
    name = {BG_NBD: "BG/NBD", PARETO_NBD: "Pareto/NBD"}[model]
    return Comparison(
        f"fit-{model}-{population.key}", f"{name} fit, {population.name}", population, model, "customers", size, quick,
        _FIT,
        (
            Ratio("lifetimes as shipped / ours from Parquet", "lifetimes, rows", "ours, from Parquet", shipped),
            Ratio("lifetimes as shipped / ours grouped", "lifetimes, rows", "ours, grouped"),
            Ratio("lifetimes grouped / ours grouped", "lifetimes, grouped", "ours, grouped", grouped),
            Ratio("pymc-marketing as shipped / ours from Parquet", "pymc-marketing MAP, rows", "ours, from Parquet"),
        ),
        answers.fits_agree, {},
    )  # fmt: skip


def _scoring(population: Population, work: str, title: str, shipped: float | None, grouped: float | None) -> Comparison:
    sides = tuple(
        Side(f"{peer}, {rows}", peer, f"{work}_{rows}")
        for peer in (OURS, LIFETIMES, PYMC)
        for rows in ("rows", "grouped")
    )
    ratios = tuple(
        Ratio(f"{peer} {how} / ours {rows}", f"{peer}, {rows}", f"ours, {rows}", target if peer == LIFETIMES else None)
        for peer in (LIFETIMES, PYMC)
        for how, rows, target in (("as shipped", "rows", shipped), ("grouped", "grouped", grouped))
    )
    return Comparison(
        f"{work}-{population.key}", f"{title}, {population.name}", population, BG_NBD, "customers", 1_000_000, 20_000,
        sides, ratios, answers.scores_agree, {},
    )  # fmt: skip


COMPARISONS: tuple[Comparison, ...] = (
    _fit(CDNOW, BG_NBD, 10_000_000, 50_000, 150.0, 5.0),
    _fit(RETAIL, BG_NBD, 10_000_000, 20_000, 75.0, 5.0),
    _fit(CDNOW, PARETO_NBD, 100_000, 3_000, None, 5.0),
    _fit(RETAIL, PARETO_NBD, 100_000, 2_000, None, 5.0),
    *(_scoring(each, "clv", "12-month discounted CLV", 250.0, 3.0) for each in (CDNOW, RETAIL)),
    *(_scoring(each, "year", "P(alive) and 52 weeks", None, None) for each in (CDNOW, RETAIL)),
    Comparison(
        "summary", "purchase-history summary from orders", RETAIL, BG_NBD, "orders", 10_000_000, 100_000,
        (
            Side("scan of the columns", OURS, "scan"),
            Side("ours, rows", OURS, "summary_rows"),
            Side("ours, grouped", OURS, "summary_grouped"),
            Side("pandas by hand", LIFETIMES, "summary_pandas"),
            Side("lifetimes", LIFETIMES, "summary_rows"),
            Side("pymc-marketing", PYMC, "summary_rows"),
        ),
        (
            Ratio("ours rows / scan", "ours, rows", "scan of the columns", 12.0, ceiling=True),
            Ratio("ours grouped / scan", "ours, grouped", "scan of the columns", 12.0, ceiling=True),
            Ratio("pandas by hand / ours rows", "pandas by hand", "ours, rows"),
            Ratio("lifetimes / ours rows", "lifetimes", "ours, rows"),
            Ratio("pymc-marketing / ours rows", "pymc-marketing", "ours, rows"),
        ),
        answers.summaries_agree, {"ours, rows": 1024.0, "ours, grouped": 1024.0},
    ),
    Comparison(
        "memory", "every output, fitted and scored in Arrow batches", RETAIL, BG_NBD, "customers", 10_000_000, 120_000,
        (
            Side("fit and score", OUTPUTS, "outputs"),
            Side("score alone", OUTPUTS, "scores"),
            Side("score alone, twice the customers", OUTPUTS, "scores", copies=2),
        ),
        (Ratio("twice the customers / once, s", "score alone, twice the customers", "score alone"),),
        answers.memory_is_flat, {"fit and score": 3072.0},
    ),
)  # fmt: skip
