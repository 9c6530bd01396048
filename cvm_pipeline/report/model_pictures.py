"""Pictures of a model card: calibration, tracking, and the histogram of transforms, each a small PNG.

Belongs here: charts from plain numbers. Not here: where the numbers come from (domain/), where a picture is shown (defs/).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from cvm_pipeline.domain.lifetime_value.protocol import Floats
from cvm_pipeline.report.charts import ACTUAL, EXPECTED, png

PIT_BINS = 20


def calibration(deciles: Sequence[tuple[float, float]], model: str, cut: date, days: int) -> bytes:
    """Mean forecast and mean of what came, by tenth of customers: on the diagonal where the forecast is calibrated."""
    import altair as alt

    frame = pd.DataFrame(deciles, columns=["predicted", "actual"]).assign(decile=range(1, len(deciles) + 1))
    top = float(max(frame["predicted"].max(), frame["actual"].max(), 1e-9))
    line = alt.Chart(pd.DataFrame({"x": [0.0, top], "y": [0.0, top]})).mark_line(color="#bbb").encode(x="x", y="y")
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, size=70, color=ACTUAL)
        .encode(
            x=alt.X("predicted", title=f"forecast transactions in {days} days"),
            y=alt.Y("actual", title="transactions that came"),
        )
    )
    return png(line + points, f"Calibration of {model}, cut {cut}")


def tracking(days: Sequence[date], actual: Floats, expected: Floats, model: str, cut: date) -> bytes:
    """Cumulative repeat transactions, as they came and as the model fitted at the cut expects them."""
    import altair as alt

    frame = pd.DataFrame({"day": pd.to_datetime(list(days)), "actual": actual, "expected": expected})
    long = frame.melt("day", var_name="series", value_name="repeats")
    lines = (
        alt.Chart(long)
        .mark_line()
        .encode(
            x=alt.X("day:T", title=None),
            y=alt.Y("repeats:Q", title="cumulative repeat transactions"),
            color=alt.Color(
                "series:N", title=None,
                scale=alt.Scale(domain=["actual", "expected"], range=[ACTUAL, EXPECTED]),
            ),
        )
    )  # fmt: skip
    rule = alt.Chart(pd.DataFrame({"day": [pd.Timestamp(cut)]})).mark_rule(strokeDash=[4, 4]).encode(x="day:T")
    return png(lines + rule, f"Tracking of {model}: fitted left of the line")


def pit_histogram(pit: Floats, model: str) -> bytes:
    """Histogram of randomised transforms of what came: flat where the predictive is calibrated."""
    import altair as alt

    share, edges = np.histogram(pit, bins=PIT_BINS, range=(0.0, 1.0))
    frame = pd.DataFrame({"pit": (edges[:-1] + edges[1:]) / 2.0, "share": share / max(pit.size, 1) * PIT_BINS})
    bars = (
        alt.Chart(frame)
        .mark_bar(color=ACTUAL, width=18)
        .encode(
            x=alt.X("pit", title="transform of the value that came", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("share", title="density (1 = calibrated)"),
        )
    )
    rule = alt.Chart(pd.DataFrame({"y": [1.0]})).mark_rule(strokeDash=[4, 4]).encode(y="y")
    return png(bars + rule, f"PIT of {model}, all cuts")
