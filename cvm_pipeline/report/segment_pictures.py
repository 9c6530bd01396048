"""Pictures of a base: who moved from where to where, which cohorts came back, and how concentrated value is; small PNGs.

Belongs here: charts from plain numbers. Not here: where the numbers come from (domain/), where a picture is shown (defs/).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pandas as pd

from cvm_pipeline.domain.contracts import ENTRY
from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.report.charts import ACTUAL, png

# A cell must hold its number in a legible size, and the picture stay below 250 kB (36 x 24 took 390): so many of the newest cohorts and first periods are drawn.
MOST_COHORTS, MOST_PERIODS = 24, 18
_CELL = 30


def transitions(rows: Sequence[tuple[str, str, int, float]], states: Sequence[str], of: str, as_of: date) -> bytes:
    """Heat-map of (from, to, customers, probability): rows sum to 1. Where nobody went is blank."""
    frame = pd.DataFrame(rows, columns=["from", "to", "customers", "probability"])
    came = [state for state in (*states, ENTRY) if (frame["from"] == state).any()]
    chart = _heat_map(
        frame,
        x=("to", f"{of} now", list(states), 0),
        y=("from", f"{of} at the snapshot before", came),
        value=("probability", ".0%", 1.0),
    )
    return png(chart, f"Where customers went, {of}s to {as_of}", width=70 * len(states), height=_CELL * len(came))


def cohort_retention(rows: Sequence[tuple[date, int, int, float]], as_of: date) -> bytes:
    """Heat-map of (cohort, period, customers, retention); period 0, where everybody bought, is left out."""
    frame = pd.DataFrame(rows, columns=["cohort", "period", "customers", "retention"])
    frame = frame[(frame["period"] > 0) & (frame["period"] <= MOST_PERIODS)]
    newest = sorted(frame["cohort"].unique())[-MOST_COHORTS:]
    frame = frame[frame["cohort"].isin(newest)]
    frame["cohort"] = [f"{cohort:%Y-%m} ({n:,})" for cohort, n in zip(frame["cohort"], frame["customers"], strict=True)]
    periods = sorted(frame["period"].unique().tolist())
    chart = _heat_map(
        frame,
        x=("period", "periods since the first transaction", periods, 0),
        y=("cohort", "cohort (customers)", sorted(frame["cohort"].unique())),
        value=("retention", ".0%", float(max(frame["retention"].max(), 1e-9)) if len(frame) else 1.0),
    )
    return png(
        chart,
        f"Share of each cohort that bought in a period, to {as_of}",
        width=_CELL * max(len(periods), 8),
        height=20 * max(len(newest), 1),
    )


def pareto(curve: Floats, as_of: date) -> bytes:
    """The share of value (101,) that the best 0..100 per cent of customers hold, beside equal shares."""
    import altair as alt

    frame = pd.DataFrame(
        {"percentile": range(len(curve)), "share": curve, "equal": [p / 100 for p in range(len(curve))]}
    )
    x = alt.X("percentile:Q", title="best customers, per cent")
    held = alt.Chart(frame).mark_line(color=ACTUAL).encode(
        x=x, y=alt.Y("share:Q", title="share of positive value", axis=alt.Axis(format=".0%"))
    )  # fmt: skip
    equal = alt.Chart(frame).mark_line(color="#bbb", strokeDash=[4, 4]).encode(x=x, y="equal:Q")
    return png(equal + held, f"Who holds the value, {as_of}")


def _heat_map(
    frame: pd.DataFrame,
    x: tuple[str, str, list[Any], int],
    y: tuple[str, str, list[Any]],
    value: tuple[str, str, float],
) -> Any:
    """`x` and `y`: column, title, order (and the angle of x's labels); `value`: column, format, what is darkest."""
    import altair as alt

    name, spelled, top = value
    base = alt.Chart(frame).encode(
        x=alt.X(f"{x[0]}:O", title=x[1], sort=x[2], scale=alt.Scale(domain=x[2]), axis=alt.Axis(labelAngle=x[3])),
        y=alt.Y(f"{y[0]}:O", title=y[1], sort=y[2], scale=alt.Scale(domain=y[2])),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(f"{name}:Q", scale=alt.Scale(scheme="blues", domain=[0, top]), legend=None)
    )
    dark = alt.datum[name] > 0.6 * top
    words = base.mark_text(fontSize=9).encode(
        text=alt.Text(f"{name}:Q", format=spelled), color=alt.condition(dark, alt.value("white"), alt.value("#333"))
    )
    return cells + words
