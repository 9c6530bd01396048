"""Segment tables: membership without nulls, exact sums, and parameters under names that say their unit."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.domain import customer_value, lifecycle, loyalty, rfm, segments, tiers, value_matrix
from cvm_pipeline.domain.contracts import (
    CUSTOMER_TYPES,
    PARETO_CURVE,
    RFM_SEGMENTS,
    SCHEMES,
    SEGMENT_MEMBERSHIP,
    SEGMENT_PARAMETER,
    SEGMENT_SUMMARY,
    STAGES,
    TIERS,
    VALUE_MATRIX,
    WARNING_LEVELS,
)
from cvm_pipeline.domain.lifetime_value.decimals import MONEY
from cvm_pipeline.domain.lifetime_value.race.intervals import TotalSpread

AS_OF = date(2011, 12, 31)
SPREAD = TotalSpread(0.05, 3)
amounts = st.integers(-(10**14), 10**14).map(lambda units: Decimal(units).scaleb(-4))
customers = st.lists(
    st.fixed_dictionaries(
        {
            "value_tier": st.sampled_from(TIERS),
            "lifecycle_stage": st.sampled_from(STAGES),
            "rfm_segment": st.none() | st.sampled_from(RFM_SEGMENTS),
            "customer_type": st.none() | st.sampled_from(CUSTOMER_TYPES),
            "value_matrix": st.none() | st.sampled_from(VALUE_MATRIX),
            "warning_level": st.none() | st.sampled_from(WARNING_LEVELS),
            "is_excluded": st.booleans(),
            "p_alive": st.none() | st.floats(0, 1),
            "revenue_12m": amounts,
            "margin_12m": amounts,
            "clv": st.none() | amounts,
            "total_value": amounts,
            "clv_variance": st.none() | st.floats(0, 1e12),
            "at_risk_value": st.none() | amounts,
        }
    ),
    min_size=1,
    max_size=25,
)


def table(rows: list[dict]) -> pa.Table:
    named = [{"as_of_date": AS_OF, "customer_id": f"c{i}", **row} for i, row in enumerate(rows)]
    names = ["customer_id", *segments.SUMMARY_COLUMNS]
    fields = [customer_value.SCHEMA.field(name) for name in names]
    schema = pa.schema([*fields, pa.field(segments.VARIANCE, pa.float64()), pa.field(segments.AT_RISK, MONEY)])
    return pa.Table.from_pylist(named, schema=schema)


def batch(rows: list[dict]) -> pa.RecordBatch:
    return table(rows).combine_chunks().to_batches()[0]


def test_every_scheme_of_the_contract_has_its_column() -> None:
    assert tuple(segments.SCHEME_COLUMNS) == SCHEMES


@settings(deadline=None)
@given(customers)
def test_membership_has_one_row_for_each_segment_that_a_customer_is_in(rows: list[dict]) -> None:
    found = segments.membership(batch(rows))
    assert (*found.column_names, "publication_id") == SEGMENT_MEMBERSHIP.names
    expected = {
        (scheme, f"c{i}", row[column])
        for scheme, (column, _) in segments.SCHEME_COLUMNS.items()
        for i, row in enumerate(rows)
        if row[column] is not None
    }
    assert found.num_rows == len(expected)
    columns = (found[name].to_pylist() for name in ("scheme", "customer_id", "segment"))
    assert set(zip(*columns, strict=True)) == expected


@settings(deadline=None)
@given(customers, st.randoms())
def test_summaries_are_sums_in_decimals_over_those_not_excluded(rows: list[dict], random) -> None:
    found = segments.summary(table(rows), SPREAD)
    assert (*found.column_names, "publication_id") == SEGMENT_SUMMARY.names
    kept = [row for row in rows if not row["is_excluded"]]
    for each in found.to_pylist():
        column, _ = segments.SCHEME_COLUMNS[each["scheme"]]
        members = [row for row in kept if row[column] == each["segment"]]
        alive = [row["p_alive"] for row in members if row["p_alive"] is not None]
        assert each["customers"] == len(members) > 0
        assert each["share"] == len(members) / sum(row[column] is not None for row in kept)
        for money in (*segments.SUMMED, segments.AT_RISK):
            assert each[money] == sum((row[money] or Decimal(0) for row in members), Decimal(0))
        assert each["avg_p_alive"] == (math.fsum(alive) / len(alive) if alive else None)
        variances = [row["clv_variance"] for row in members if row["clv_variance"] is not None]
        if not variances:
            assert each["clv_low"] is each["clv_high"] is each["interval_basis"] is None
            continue
        # Its own interval: that of the sum with its customers' variances together, not the sum of their ends.
        ends = SPREAD.interval(np.array([float(each["clv"])]), np.array([math.fsum(variances)]))
        for name, end in zip(("clv_low", "clv_high"), ends, strict=True):
            assert float(each[name]) == pytest.approx(float(end[0]), rel=1e-9, abs=1e-4)
        assert each["interval_basis"] == "unproven"
    told = {(each["scheme"], each["segment"]) for each in found.to_pylist()}
    assert told == {
        (scheme, row[column])
        for scheme, (column, _) in segments.SCHEME_COLUMNS.items()
        for row in kept
        if row[column] is not None
    }
    random.shuffle(rows)
    assert segments.summary(table(rows), SPREAD).equals(found)


def test_several_snapshots_at_once_are_refused() -> None:
    row = {"as_of_date": AS_OF, "is_excluded": False}
    two = pa.Table.from_pylist([row, {**row, "as_of_date": date(2012, 1, 31)}])
    with pytest.raises(ValueError, match="one snapshot at a time"):
        segments.summary(two, SPREAD)


def test_a_segment_that_a_scheme_does_not_know_yet_is_told_too() -> None:
    row = {"value_tier": "A", "lifecycle_stage": "new", "rfm_segment": "Stars", "is_excluded": False}
    assert "Stars" in segments.summary(table([row]), SPREAD)["segment"].to_pylist()


def fitted(values: list[float]) -> tuple[customer_value.Parameters, tiers.Concentration]:
    counts = rfm.count(np.array(values))
    money = pa.array([Decimal(str(value)) for value in values], MONEY)
    ids, everybody = pa.array([f"c{i:03d}" for i in range(len(values))]), np.ones(len(values), bool)
    facts = lifecycle.BaseFacts(AS_OF, 20.0, 4.5, 150.0, 100.0)
    made = customer_value.Parameters(
        customers=len(values),
        rfm=rfm.fit(counts, counts, counts),
        tiers=tiers.fit(ids, money, everybody),
        lifecycle=lifecycle.fit(facts, None),
        loyalty=loyalty.fit(counts, counts),
        value_matrix=value_matrix.Parameters(Decimal("12.5"), Decimal("0.0001")),
    )
    return made, tiers.concentration(money, everybody)


def told(values: list[float], settings: tiers.Settings | None = None) -> dict[tuple[str, str], float]:
    made, concentration = fitted(values)
    found = segments.parameters(AS_OF, made, settings or tiers.Settings(), concentration)
    assert (*found.column_names, "publication_id") == SEGMENT_PARAMETER.names
    rows = found.to_pylist()
    assert all(row["as_of_date"] == AS_OF and math.isfinite(row["value"]) for row in rows)
    named = {(row["scheme"], row["parameter"]): row["value"] for row in rows}
    assert len(named) == len(rows)
    return named


def test_parameters_tell_every_cut_limit_and_share() -> None:
    found = told([float(value) for value in range(1, 101)])
    assert found["tier", "a_cut_position"] == 0.8
    assert found["tier", "band_position"] == 0.02
    # The best 56 hold 4,060 of 5,050 and so 80.4 %; with 55 before it the 56th is still under the cut.
    assert found["tier", "a_least_value"] == 45
    assert found["tier", "a_keeps_from_value"] < 45 < found["tier", "a_sure_from_value"]
    assert found["tier", "pareto_share_20"] == sum(range(81, 101)) / 5050
    assert found["tier", "negative_value_share"] == 0
    assert found["rfm", "r_score_5_most_days"] == 20
    assert found["rfm", "m_score_5_least_value"] == math.nextafter(80, math.inf)
    assert found["rfm", "f_score_5_least_count"] == pytest.approx(76, abs=1)
    assert found["stage", "gap_k"] == 4.5
    assert found["stage", "new_for_days"] == 40
    assert found["stage", "base_margin_ratio"] == 1.5
    assert found["stage", "loyal_least_tenure_days"] == 68
    assert found["value_matrix", "high_above_margin_12m_value"] == 12.5
    assert found["value_matrix", "high_above_clv_value"] == 0.0001


def test_what_is_out_of_reach_has_no_row() -> None:
    found = told([0.0])
    assert ("tier", "a_least_value") not in found
    assert ("tier", "pareto_share_20") not in found
    assert ("stage", "recent_days") not in found
    assert ("rfm", "f_score_5_least_count") not in found


def test_thresholds_have_no_position_and_no_band() -> None:
    found = told([5.0, 10.0], tiers.Settings("thresholds", (10, 5)))
    assert not any("position" in name for _, name in found)


def test_the_pareto_curve_has_a_row_for_each_percentile() -> None:
    _, concentration = fitted([60.0, 20.0, 10.0, 5.0, 5.0])
    curve = segments.pareto_curve(AS_OF, concentration)
    assert (*curve.column_names, "publication_id") == PARETO_CURVE.names
    assert curve["customer_percentile"].to_pylist() == list(range(101))
    assert curve["cumulative_value_share"][20].as_py() == 0.6
    assert curve["cumulative_value_share"][100].as_py() == 1
