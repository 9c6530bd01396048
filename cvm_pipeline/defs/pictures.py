"""What the page shows of a value model: a calibration plot, a tracking plot, a table by decile, a PIT histogram."""

import base64

import dagster as dg
import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.tracking import track
from cvm_pipeline.domain.lifetime_value.value_model import ValueModel
from cvm_pipeline.report import model_pictures


def pictures_of(model: ValueModel, repeats: pa.Table, born: np.ndarray) -> dict[str, dg.MetadataValue]:
    """Nothing where nothing was judged. `repeats`: repeat transactions by day; `born`: tenure in days of the sample."""
    race = model.race
    if race is None:
        return {}
    name, newest = race.champion, race.cuts[0]
    deciles = metrics.deciles(newest.predicted[name], newest.outcome.transactions)
    timing = newest.entrants[name].timing
    tracked = track(timing, born, model.base.fits[timing.model.name].customers, repeats, race.plan.as_of)
    pit = np.concatenate([cut.corrected.pit for cut in race.cuts if cut.corrected])
    start, days = newest.window.start, newest.window.days
    return {
        "calibration": _picture(model_pictures.calibration(deciles, name, start, days)),
        "tracking": _picture(
            model_pictures.tracking(tracked.days, tracked.actual, tracked.expected, timing.model.name, start)
        ),
        "PIT": _picture(model_pictures.pit_histogram(pit, name)),
        "by decile": dg.MetadataValue.md(_table(deciles)),
    }


def _picture(png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def _table(deciles: list[tuple[float, float]]) -> str:
    rows = [f"| {n} | {forecast:.3f} | {came:.3f} |" for n, (forecast, came) in enumerate(deciles, 1)]
    return "\n".join(["| decile of forecast | forecast | came |", "|---|---|---|", *rows])
