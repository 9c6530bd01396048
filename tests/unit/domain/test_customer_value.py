"""The assembled table: its contract, the parts of value, and what is remembered from the snapshot before."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cvm_pipeline.domain import customer_value, lifecycle, loyalty, rfm, tiers
from cvm_pipeline.domain.contracts import CUSTOMER_VALUE
from cvm_pipeline.domain.customer_value import Memory, Parameters, assemble
from cvm_pipeline.domain.lifetime_value.decimals import MONEY
from cvm_pipeline.domain.lifetime_value.value_score import SCORE_SCHEMA

AS_OF, BEFORE = date(2011, 12, 31), date(2011, 11, 30)
IDS = ["anna", "bert", "cleo", "dora", "emil"]
NOT_BUILT = (
    "influence_value", "influence_passed", "warning_level", "value_matrix", "needs",
    "behaviour_cluster",
)  # fmt: skip


def column(values: list[object], type_: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(type_):
        values = [None if value is None else Decimal(str(value)) for value in values]
    return pa.array(values, type_)


def snapshot() -> pa.RecordBatch:
    """Anna buys much, Bert a little, Cleo has gone, Dora never came, Emil is an employee."""
    whole, day = pa.int64(), pa.date32()
    columns = {
        # A view type, as DuckDB may hand it over.
        "customer_id": column(IDS, pa.large_string()),
        "as_of_date": column([AS_OF] * 5, day),
        "customer_type": column(["company", "individual", None, None, "individual"], pa.string()),
        "flag": column([None, None, None, None, "employee"], pa.string()),
        "first_order_date": column(
            [date(2010, 5, 10), date(2011, 1, 1), date(2010, 5, 10), None, date(2011, 6, 1)], day
        ),
        "last_order_date": column(
            [date(2011, 12, 21), date(2011, 11, 1), date(2010, 9, 1), None, date(2011, 12, 30)], day
        ),
        "transactions": column([10, 3, 2, 0, 5], whole),
        "frequency": column([9, 2, 1, 0, 4], whole),
        "recency": column([590, 304, 114, None, 212], whole),
        "T": column([600, 364, 600, None, 213], whole),
        "days_since_last": column([10, 60, 486, None, 1], whole),
        "monetary_value": column([50, 20, 10, 0, 5], MONEY),
        "gap_median": column([40, 60, 70, None, 30], pa.float64()),
        "gap_limit": column([160, 240, 280, None, 120], pa.float64()),
        "revenue_total": column([500, 60, 20, -7, 25], MONEY),
        "revenue_12m": column([300, 60, 0, -7, 25], MONEY),
        "margin_total": column([250, 30, 10, -7, 12], MONEY),
        "margin_12m": column([150, 30, 0, -7, 12], MONEY),
        "margin_prior_12m": column([100, 0, 10, 0, 0], MONEY),
        "net_sales": column([500, 60, 20, 0, 25], MONEY),
        "transactions_12m": column([6, 3, 0, 0, 5], whole),
        "transactions_prior_12m": column([4, 0, 2, 0, 0], whole),
        "net_sales_12m": column([300, 60, 0, 0, 25], MONEY),
        "net_sales_prior_12m": column([200, 0, 20, 0, 0], MONEY),
        "second_half_transactions": column([5, 1, 0, 0, 2], whole),
        "second_half_sales": column([250, 20, 0, 0, 10], MONEY),
        "first_half_sales": column([200, 20, 10, 0, 10], MONEY),
        "reactivated_date": column([None] * 5, day),
    }
    return pa.RecordBatch.from_pydict(columns)


def scores(clv: tuple[object, ...] = (400, 40, 2, None, 90)) -> pa.RecordBatch:
    money = column(list(clv), MONEY)
    made = [
        pa.array(IDS), column([0.95, 0.7, 0.1, None, 0.9], pa.float64()), column([6, 1.5, 0.1, None, 4], pa.float64()),
        *[money] * 6, column(["model"] * 3 + [None, "model"], pa.string()), column([9, 1, 0.1, None, 4], pa.float64()),
        column(["mbg_nbd"] * 3 + [None, "mbg_nbd"], pa.string()),
    ]  # fmt: skip
    batch = pa.RecordBatch.from_arrays(made, schema=SCORE_SCHEMA)
    ranks = tiers.rank(pa.array(IDS), customer_value.total_value(money))
    return batch.append_column("value_rank", pa.array(ranks))


def parameters(included: tuple[int, ...] = (0, 1, 2)) -> Parameters:
    rows, value = snapshot(), scores()
    at = list(included)
    counts = {
        name: rfm.count(rows[name].to_numpy(zero_copy_only=False)[at].astype(float))
        for name in ("days_since_last", "transactions", "frequency", "T")
    }
    means = rfm.mean_value(rows["net_sales"], rows["transactions"].to_numpy())
    facts = lifecycle.BaseFacts(AS_OF, 20.0, 4.0, 150.0, 110.0)
    fitted = np.isin(np.arange(5), at)
    return Parameters(
        customers=5,
        rfm=rfm.fit(counts["days_since_last"], counts["transactions"], rfm.count(means[at])),
        tiers=tiers.fit(value["customer_id"], customer_value.total_value(value["clv"]), fitted),
        lifecycle=lifecycle.fit(facts, None),
        loyalty=loyalty.fit(counts["frequency"], counts["T"]),
    )


def memory(**changed: object) -> Memory:
    rows = {
        "customer_id": ["bert", "cleo", "zoe"],
        "value_tier": ["A", "C", "B"],
        "lifecycle_stage": ["mature", "lost", "new"],
        "stage_since": [date(2011, 8, 31), date(2011, 6, 30), BEFORE],
        "last_order_date": [date(2011, 11, 1), date(2010, 9, 1), BEFORE],
    }
    return Memory(pa.table(rows | changed))


def test_the_level_of_a_standing_warning_is_shown_and_makes_the_stage() -> None:
    warned = scores().append_column("warning_level", pa.array(["critical", None, None, None, None], pa.string()))
    batch = customer_value.assemble(snapshot(), warned, parameters())
    assert batch["warning_level"].to_pylist() == ["critical", None, None, None, None]
    assert by_customer(batch, "lifecycle_stage")["anna"] == "declining"
    assert (
        by_customer(customer_value.assemble(snapshot(), scores(), parameters()), "lifecycle_stage")["anna"]
        != "declining"
    )


def by_customer(batch: pa.RecordBatch, name: str) -> dict[str, object]:
    return dict(zip(batch["customer_id"].to_pylist(), batch[name].to_pylist(), strict=True))


def test_the_columns_are_the_contracts_but_the_publication() -> None:
    made = assemble(snapshot(), scores(), parameters())
    assert (*made.schema.names, "publication_id") == CUSTOMER_VALUE.names
    assert made.schema.field("clv").type == pa.decimal128(18, 4)
    assert made.schema.field("r_score").type == pa.int32()
    assert made.schema.field("stage_since").type == pa.date32()


def test_what_the_contract_does_not_allow_to_be_null_is_not() -> None:
    made = assemble(snapshot(), scores(), parameters())
    nulls = {column.name for column in CUSTOMER_VALUE.columns[:-1] if made[column.name].null_count}
    assert nulls <= {column.name for column in CUSTOMER_VALUE.columns if column.nullable}
    for name in NOT_BUILT:
        assert made[name].null_count == 5


def test_values_keep_to_the_contracts_bounds_and_vocabularies() -> None:
    made = assemble(snapshot(), scores(), parameters(), memory())
    for declared in CUSTOMER_VALUE.columns[:-1]:
        found = [value for value in made[declared.name].to_pylist() if value is not None]
        assert not declared.vocabulary or set(found) <= set(declared.vocabulary)
        assert all(declared.low is None or value >= declared.low for value in found)
        assert all(declared.high is None or value <= declared.high for value in found)


def test_the_parts_of_value() -> None:
    made = assemble(snapshot(), scores(), parameters())
    assert by_customer(made, "existing_value")["anna"] == Decimal(250)
    assert by_customer(made, "potential_value") == by_customer(made, "clv")
    assert by_customer(made, "total_value")["bert"] == Decimal(40)
    assert by_customer(made, "potential_value")["dora"] is None
    assert by_customer(made, "total_value")["dora"] == 0
    assert by_customer(made, "value_rank") == {"anna": 1, "emil": 2, "bert": 3, "cleo": 4, "dora": 5}
    assert list(by_customer(made, "value_percentile").values()) == pytest.approx([1, 0.6, 0.4, 0.2, 0.8])


def test_a_prospect_has_no_measure_of_a_buyer() -> None:
    dora = assemble(snapshot(), scores(), parameters()).slice(3, 1).to_pylist()[0]
    expected = {
        "value_tier": "D",
        "lifecycle_stage": "prospect",
        "is_loyal": False,
        "rfm_cell": None,
        "clv_model": None,
    }
    assert {name: dora[name] for name in expected} == expected
    assert dora["revenue_total"] == Decimal(-7)


def test_the_excluded_carry_their_flag_and_every_measure() -> None:
    made = assemble(snapshot(), scores(), parameters())
    assert by_customer(made, "exclusion_reason") == {**dict.fromkeys(IDS), "emil": "employee"}
    assert by_customer(made, "is_excluded") == {name: name == "emil" for name in IDS}
    assert by_customer(made, "rfm_segment")["emil"] is not None
    assert by_customer(made, "value_tier")["emil"] == "B"


def test_without_memory_every_stay_begins_now() -> None:
    made = assemble(snapshot(), scores(), parameters())
    assert made["previous_tier"].null_count == made["previous_stage"].null_count == 5
    assert set(made["stage_since"].to_pylist()) == {AS_OF}


def test_memory_gives_previous_values_and_the_beginning_of_the_stay() -> None:
    made = assemble(snapshot(), scores(), parameters(), memory())
    assert by_customer(made, "previous_tier") == {**dict.fromkeys(IDS), "bert": "A", "cleo": "C"}
    assert by_customer(made, "previous_stage") == {**dict.fromkeys(IDS), "bert": "mature", "cleo": "lost"}
    assert by_customer(made, "lifecycle_stage")["bert"] == "mature"
    assert by_customer(made, "stage_since") == {
        **dict.fromkeys(IDS, AS_OF),
        "bert": date(2011, 8, 31),
        "cleo": date(2011, 6, 30),
    }


def test_a_changed_stage_begins_now() -> None:
    stages = ["declining", "declining", "new"]
    made = assemble(snapshot(), scores(), parameters(), memory(lifecycle_stage=stages))
    assert by_customer(made, "stage_since") == dict.fromkeys(IDS, AS_OF)


def test_memory_keeps_the_lost_unless_the_rules_have_changed() -> None:
    lost = memory(lifecycle_stage=["lost", "lost", "new"])
    held = assemble(snapshot(), scores(), parameters(), lost)
    assert by_customer(held, "lifecycle_stage")["bert"] == "lost"
    assert by_customer(held, "stage_since")["bert"] == date(2011, 8, 31)
    free = assemble(snapshot(), scores(), parameters(), Memory(lost.rows, keeps_stages=False))
    assert by_customer(free, "lifecycle_stage")["bert"] == "mature"
    assert by_customer(free, "previous_stage")["bert"] == "lost"


@pytest.mark.parametrize("then", [date(2011, 10, 31), None])
def test_a_later_transaction_or_a_first_one_frees_the_lost(then: date | None) -> None:
    came = memory(lifecycle_stage=["lost"] * 3, last_order_date=pa.array([then, date(2010, 9, 1), BEFORE], pa.date32()))
    assert by_customer(assemble(snapshot(), scores(), parameters(), came), "lifecycle_stage")["bert"] == "mature"


def test_the_tier_rests_on_the_earlier_one_within_the_band() -> None:
    # Anna holds 81 % before Bert: within two points of the cut at 80 %.
    value = scores((81, 19, 0, None, 0))
    fitted = tiers.fit(
        value["customer_id"], customer_value.total_value(value["clv"]), np.array([True] * 3 + [False] * 2)
    )
    given = Parameters(**{**parameters().__dict__, "tiers": fitted})
    assert by_customer(assemble(snapshot(), value, given), "value_tier")["bert"] == "B"
    assert by_customer(assemble(snapshot(), value, given, memory()), "value_tier")["bert"] == "A"


def test_a_row_is_the_same_in_any_batch() -> None:
    rows, value, given = snapshot(), scores(), parameters()
    whole = assemble(rows, value, given, memory())
    order = pa.array([4, 2, 0, 3, 1])
    turned = assemble(rows.take(order), value.take(order), given, memory())
    assert turned.take(pc.sort_indices(turned["customer_id"])).equals(whole)
    parts = [assemble(rows.slice(at, 2), value.slice(at, 2), given, memory()) for at in (0, 2, 4)]
    assert pa.Table.from_batches(parts).combine_chunks().equals(pa.Table.from_batches([whole]))


def test_an_empty_batch_and_an_empty_memory_are_sound() -> None:
    empty = assemble(snapshot().slice(0, 0), scores().slice(0, 0), parameters(), memory())
    assert (empty.num_rows, empty.schema) == (0, customer_value.SCHEMA)
    forgetful = Memory(memory().rows.slice(0, 0))
    assert assemble(snapshot(), scores(), parameters(), forgetful)["previous_tier"].null_count == 5


def test_scores_of_other_customers_are_refused() -> None:
    turned = scores().take(pa.array([1, 0, 2, 3, 4]))
    with pytest.raises(ValueError, match="different customers"):
        assemble(snapshot(), turned, parameters())


def test_a_grid_of_ones_own_names_the_cells() -> None:
    grid = rfm.complete_grid(dict.fromkeys(rfm.CELLS, "Loyal"))
    given = Parameters(**{**parameters().__dict__, "grid": grid})
    named = by_customer(assemble(snapshot(), scores(), given), "rfm_segment")
    assert named == {**dict.fromkeys(IDS, "Loyal"), "dora": None}
