"""The segment tables that follow from `customer_value`: membership, summary and the parameters that explain
them.

Belongs here: which column is which scheme, how a segment is summed, which cuts are published under which
name.
Not here: the rules of a scheme, the Pareto curve's mathematics (`tiers.py`), how far totals are off
(`lifetime_value/race/intervals.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain import customer_value, tiers
from cvm_pipeline.domain.contracts import (
    CUSTOMER_TYPES,
    PARETO_CURVE,
    RFM_SEGMENTS,
    SEGMENT_MEMBERSHIP,
    SEGMENT_PARAMETER,
    SEGMENT_SUMMARY,
    STAGES,
    TIERS,
    VALUE_MATRIX,
    WARNING_LEVELS,
)
from cvm_pipeline.domain.customer_value import arrow_schema
from cvm_pipeline.domain.lifetime_value.race.intervals import TotalSpread

# Scheme -> the column of customer_value that holds the segment, and the segments in the order in which they are told.
SCHEME_COLUMNS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tier": ("value_tier", TIERS),
    "stage": ("lifecycle_stage", STAGES),
    "rfm": ("rfm_segment", RFM_SEGMENTS),
    "type": ("customer_type", CUSTOMER_TYPES),
    "value_matrix": ("value_matrix", VALUE_MATRIX),
    "warning": ("warning_level", WARNING_LEVELS),
}
SUMMED = ("revenue_12m", "margin_12m", "clv", "total_value")
# What `summary` reads of customer_value, for callers that fetch no more than they need.
SUMMARY_COLUMNS = (
    "as_of_date", "is_excluded", "p_alive", *SUMMED, *(column for column, _ in SCHEME_COLUMNS.values()),
)  # fmt: skip
# And beside them, of the value scores: the variance of the customer's own future.
VARIANCE = "clv_variance"
# And of the standing warnings: null where there is none.
AT_RISK = "at_risk_value"


def membership(rows: pa.RecordBatch) -> pa.Table:
    """segment_membership of a batch of `customer_value`, long; a null segment gives no row; excluded
    customers are members.
    """
    schema = arrow_schema(SEGMENT_MEMBERSHIP)
    parts = []
    for scheme, (column, _) in SCHEME_COLUMNS.items():
        segment = rows[column].cast(pa.string())
        part = pa.table(
            [rows["as_of_date"], pa.repeat(scheme, rows.num_rows), rows["customer_id"], segment], schema=schema
        )
        parts.append(part.filter(pc.is_valid(segment)))
    return pa.concat_tables(parts)


def summary(rows: pa.Table, spread: TotalSpread) -> pa.Table:
    """segment_summary of one snapshot of `customer_value` (`SUMMARY_COLUMNS`, `VARIANCE` and `AT_RISK`), excluded
    customers left out.

    Money is summed in decimals, p_alive and variances by `math.fsum`: the same to the last digit in whatever
    order rows come. `share` is of the scheme's customers who have a segment. The interval of a total comes from
    its customers' own chances and from how far totals were off before (`spread`), never from the sum of lows and
    highs. Raises ValueError on a table of several snapshots.
    """
    schema = arrow_schema(SEGMENT_SUMMARY)
    days = pc.unique(rows["as_of_date"]).to_pylist()
    if len(days) > 1:
        raise ValueError(f"one snapshot at a time, not {len(days)}")
    kept = rows.filter(pc.invert(rows["is_excluded"]))
    found = [
        {"as_of_date": days[0], "scheme": scheme, "segment": segment, **measures}
        for scheme, (column, order) in SCHEME_COLUMNS.items()
        for segment, measures in _segments(kept, column, order, spread)
    ]
    return pa.Table.from_pylist(found, schema=schema)


def parameters(
    as_of_date: date,
    fitted: customer_value.Parameters,
    settings: tiers.Settings,
    concentration: tiers.Concentration,
) -> pa.Table:
    """segment_parameter: every cut, limit and share that explains a tier, score or stage; what is out of
    reach has no row.

    Names end in their unit or say it: `_days`, `_count`, `_value` (project currency), `_share`, `_position`
    (0..1).
    """
    rows = [
        (scheme, name, float(value))
        for scheme, named in (
            ("tier", _tier_parameters(fitted.tiers, settings, concentration)),
            ("rfm", _rfm_parameters(fitted)),
            ("stage", _stage_parameters(fitted)),
            ("value_matrix", _matrix_parameters(fitted)),
        )
        for name, value in named.items()
        if value is not None and math.isfinite(value)
    ]
    scheme, name, value = zip(*rows, strict=True)
    return pa.table(
        [pa.repeat(pa.scalar(as_of_date, pa.date32()), len(rows)), list(scheme), list(name), list(value)],
        schema=arrow_schema(SEGMENT_PARAMETER),
    )


def pareto_curve(as_of_date: date, concentration: tiers.Concentration) -> pa.Table:
    """pareto_curve: 101 rows, percentiles 0..100 of customers, best first."""
    percentiles = np.arange(len(concentration.curve), dtype=np.int32)
    return pa.table(
        [pa.repeat(pa.scalar(as_of_date, pa.date32()), len(percentiles)), percentiles, concentration.curve],
        schema=arrow_schema(PARETO_CURVE),
    )


def _segments(
    rows: pa.Table, column: str, order: tuple[str, ...], spread: TotalSpread
) -> Iterator[tuple[str, dict[str, int | float | Decimal | str | None]]]:
    segment = rows[column].cast(pa.string())
    placed = len(segment) - segment.null_count
    # 38 digits hold the sum of any number of rows of 18.
    money = {name: pc.fill_null(rows[name].cast(pa.decimal128(38, 4)), Decimal(0)) for name in (*SUMMED, AT_RISK)}
    grouped = pa.table({"segment": segment, **money}).group_by("segment")
    found = {
        row["segment"]: row
        for row in grouped.aggregate(
            [("segment", "count"), *((name, "sum") for name in (*SUMMED, AT_RISK))]
        ).to_pylist()
    }
    # Segments outside the told order (a scheme may grow) come after it, by name: none is lost.
    for name in (*order, *sorted(found.keys() - {*order, None})):
        if name not in found:
            continue
        here = pc.equal(segment, name)
        alive, variances = (rows[each].filter(here).drop_null().to_pylist() for each in ("p_alive", VARIANCE))
        customers = found[name]["segment_count"]
        yield (
            name,
            {
                "customers": customers,
                "share": customers / placed,
                "avg_p_alive": math.fsum(alive) / len(alive) if alive else None,
                **{each: found[name][f"{each}_sum"] for each in (*SUMMED, AT_RISK)},
                **_total_interval(found[name]["clv_sum"], variances, spread),
            },
        )


def _total_interval(total: Decimal, variances: list[float], spread: TotalSpread) -> dict[str, Decimal | str | None]:
    """clv_low, clv_high and interval_basis of a segment's total; nulls where nobody in it has a value."""
    if not variances:
        return {"clv_low": None, "clv_high": None, "interval_basis": None}
    low, high = spread.interval(np.array([float(total)]), np.array([math.fsum(variances)]))
    ends = (Decimal(f"{end[0]:.4f}") for end in (low, high))
    return dict(zip(("clv_low", "clv_high"), ends, strict=True)) | {
        "interval_basis": "proven" if spread.is_proven else "unproven"
    }


def _tier_parameters(
    fitted: tiers.Parameters, settings: tiers.Settings, concentration: tiers.Concentration
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, cut, at in zip("ab", (fitted.below_a, fitted.below_b), settings.cuts, strict=True):
        found[f"{name}_least_value"] = None if cut.at is None else cut.at.units / 10_000
        if settings.method != "thresholds":
            found[f"{name}_cut_position"] = float(at)
            found[f"{name}_keeps_from_value"] = None if cut.upper is None else cut.upper.units / 10_000
            found[f"{name}_sure_from_value"] = None if cut.lower is None else cut.lower.units / 10_000
    if settings.method != "thresholds":
        found["band_position"] = float(settings.band)
    found["pareto_share_20"] = concentration.pareto_share_20
    found["negative_value_share"] = concentration.negative_value_share
    return found


def _rfm_parameters(fitted: customer_value.Parameters) -> dict[str, float | None]:
    edges = fitted.rfm
    return {
        **{f"r_score_{k}_most_days": edge for k, edge in enumerate(edges.days_since_last, 2)},
        **{f"f_score_{k}_least_count": edge for k, edge in enumerate(edges.transactions, 3)},
        **{f"m_score_{k}_least_value": edge for k, edge in enumerate(edges.mean_value, 2)},
    }


def _matrix_parameters(fitted: customer_value.Parameters) -> dict[str, Decimal | None]:
    cuts = fitted.value_matrix
    return {"high_above_margin_12m_value": cuts.margin_12m, "high_above_clv_value": cuts.clv}


def _stage_parameters(fitted: customer_value.Parameters) -> dict[str, float | None]:
    stage = fitted.lifecycle
    return {
        "base_gap_median_days": stage.base_gap_median,
        "gap_k": stage.gap_k,
        "lost_below_p_alive": stage.lost_below,
        "at_risk_below_p_alive": stage.at_risk_below,
        "growth_share": stage.growth,
        "base_margin_ratio": stage.base_change,
        "new_for_days": stage.new_for,
        "recent_days": stage.recent,
        "loyal_least_frequency_count": fitted.loyalty.frequency,
        "loyal_least_tenure_days": fitted.loyalty.tenure,
    }
