"""What the page shows of a value model (calibration, tracking, deciles, PIT) and of a base (moves, cohorts, Pareto curve)."""

import base64
import datetime as dt

import dagster as dg
import duckdb
import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.contracts import STAGES, TIERS
from cvm_pipeline.domain.lifetime_value.race import metrics
from cvm_pipeline.domain.lifetime_value.race.tracking import track
from cvm_pipeline.domain.lifetime_value.value_model import ValueModel
from cvm_pipeline.report import model_pictures, segment_pictures


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


def pictures_of_base(con: duckdb.DuckDBPyConnection, as_of: dt.date) -> dict[str, dict[str, dg.MetadataValue]]:
    """By candidate table. Nothing of a table without rows: there was no snapshot before, or nobody bought twice."""
    found: dict[str, dict[str, dg.MetadataValue]] = {}
    for table, states, of in (("stage_transitions", STAGES, "stage"), ("tier_transitions", TIERS, "tier")):
        rows = con.execute(f'select "from", "to", customers, probability from candidate.{table}').fetchall()
        if rows:
            found[table] = {"moves": _picture(segment_pictures.transitions(rows, states, of, as_of))}
    # A period that is not over would look like a fall.
    periods = con.execute(
        "select cohort, period, customers, retention from candidate.cohort_retention where period > 0 and is_complete"
    ).fetchall()
    if periods:
        found["cohort_retention"] = {"retention": _picture(segment_pictures.cohort_retention(periods, as_of))}
    curve = con.execute("select cumulative_value_share from candidate.pareto_curve order by customer_percentile")
    shares = np.array([row[0] for row in curve.fetchall()])
    found["pareto_curve"] = {"Pareto curve": _picture(segment_pictures.pareto(shares, as_of))}
    return found


def _picture(png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def _table(deciles: list[tuple[float, float]]) -> str:
    rows = [f"| {n} | {forecast:.3f} | {came:.3f} |" for n, (forecast, came) in enumerate(deciles, 1)]
    return "\n".join(["| decile of forecast | forecast | came |", "|---|---|---|", *rows])
