"""The table `customer_value`: the snapshot's facts, the value scores and every segmentation side by side, in
contract order.

Belongs here: the parts of value, what is remembered from the snapshot before, the assembly of a batch.
Not here: each segmentation's rule (`rfm.py`, `tiers.py`, `lifecycle.py`, `loyalty.py`), lifetime value,
`publication_id`.

`assemble` is row-wise: value_rank, which is not, comes with the scores (`tiers.rank`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvm_pipeline.domain import contracts, lifecycle, loyalty, rfm, tiers, value_matrix
from cvm_pipeline.domain.contracts import CUSTOMER_VALUE, Table
from cvm_pipeline.domain.lifetime_value.decimals import MONEY, to_floats

_ARROW: Mapping[str, pa.DataType] = {
    "varchar": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    contracts.MONEY: MONEY,
}


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow types of a contract's table, in its order, without `publication_id` (the publication writes
    it).
    """
    return pa.schema([(c.name, _ARROW[c.type]) for c in table.columns if c.name != "publication_id"])


SCHEMA = arrow_schema(CUSTOMER_VALUE)


@dataclass(frozen=True)
class Parameters:
    """The small parameters of everything that a row of `customer_value` needs; `customers` is the number of
    rows of the snapshot.
    """

    customers: int
    rfm: rfm.Parameters
    tiers: tiers.Parameters
    lifecycle: lifecycle.Parameters
    loyalty: loyalty.Parameters
    grid: Mapping[str, str] = field(default_factory=lambda: rfm.DEFAULT_GRID)
    value_matrix: value_matrix.Parameters = field(default_factory=value_matrix.Parameters)


@dataclass(frozen=True)
class Memory:
    """The newest published snapshot before this one on the grid, as far as it is remembered.

    `rows`: customer_id, value_tier, lifecycle_stage, stage_since, last_order_date of
    `customer_value_history`. `keeps_stages` False: rules of the stages have changed since, so the lost need
    no transaction to leave.
    """

    rows: pa.Table
    keeps_stages: bool = True

    def of(self, customer_id: pa.Array) -> pa.Table:
        """The remembered rows of these customers, in their order; nulls for who was not there."""
        rows = self.rows.select(["customer_id", "value_tier", "lifecycle_stage", "stage_since", "last_order_date"])
        known = rows["customer_id"].combine_chunks().cast(pa.string())
        return rows.take(pc.index_in(customer_id, value_set=known)).combine_chunks()


def total_value(clv: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """potential_value + influence received - passed up, as far as built: the potential alone. Null counts as 0."""
    return pc.fill_null(clv, pa.scalar(Decimal(0), MONEY))


def assemble(
    snapshot: pa.RecordBatch, scores: pa.RecordBatch, parameters: Parameters, memory: Memory | None = None
) -> pa.RecordBatch:
    """A batch of `customer_value` in `SCHEMA` from one of `fct_customer_snapshot` and its value scores, row by row.

    `scores`: customer_id, value_rank (int64) and what `lifetime_value.value_score.score` gives; where built,
    clv_low, clv_high, interval_basis, warning_level (null: none stands). Raises ValueError where the rows of the two are
    not the same customers.
    """
    ids = snapshot["customer_id"].cast(pa.string())
    if not ids.equals(scores["customer_id"].cast(pa.string())):
        raise ValueError("snapshot and scores hold different customers, or in a different order")
    transactions = _whole(snapshot["transactions"])
    bought = transactions > 0
    p_alive = _floats(scores["p_alive"])
    potential = scores["clv"].cast(MONEY)
    total = total_value(potential)
    rank = _whole(scores["value_rank"])

    known = memory.of(ids) if memory else None
    before = {name: _column(known, name, len(ids)) for name in ("value_tier", "lifecycle_stage", "stage_since")}
    stages = lifecycle.score(
        snapshot,
        p_alive,
        parameters.lifecycle,
        before["lifecycle_stage"] if memory and memory.keeps_stages else None,
        has_new_transaction(snapshot, known) if known is not None else None,
        scores["warning_level"] if "warning_level" in scores.schema.names else None,
    )
    stays = pc.equal(stages.lifecycle_stage, before["lifecycle_stage"]).fill_null(False)
    rfm_scores = rfm.score(
        _floats(snapshot["days_since_last"]),
        transactions,
        rfm.mean_value(snapshot["net_sales"], transactions),
        parameters.rfm,
        parameters.grid,
    )
    measured: dict[str, pa.Array] = {
        "existing_value": snapshot["margin_total"],
        "potential_value": potential,
        "total_value": total,
        "value_rank": scores["value_rank"],
        "value_percentile": pa.array(1 - (rank - 1) / parameters.customers),
        "value_tier": tiers.score(ids, total, bought, parameters.tiers, before["value_tier"]),
        "previous_tier": before["value_tier"],
        "previous_stage": before["lifecycle_stage"],
        "lifecycle_stage": stages.lifecycle_stage,
        "stage_reason": stages.stage_reason,
        "stage_since": pc.coalesce(
            pc.if_else(stays, before["stage_since"], pa.scalar(None, pa.date32())),
            snapshot["as_of_date"].cast(pa.date32()),
        ),
        "is_loyal": pa.array(
            loyalty.score(_floats(snapshot["frequency"]), _floats(snapshot["T"]), p_alive, parameters.loyalty)
        ),
        "value_matrix": value_matrix.score(snapshot["margin_12m"].cast(MONEY), potential, bought, parameters.value_matrix),
        "is_excluded": pc.is_valid(snapshot["flag"]),
        "exclusion_reason": snapshot["flag"],
        "clv_model": pc.if_else(pa.array(bought), scores["clv_model"].cast(pa.string()), pa.scalar(None, pa.string())),
        **{name: getattr(rfm_scores, name) for name in rfm_scores.__dataclass_fields__},
    }  # fmt: skip
    return pa.RecordBatch.from_arrays(
        [_find(column.name, measured, scores, snapshot).cast(column.type) for column in SCHEMA], schema=SCHEMA
    )


def has_new_transaction(snapshot: pa.RecordBatch, remembered: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether a later transaction than at the remembered snapshot is known now, (n,), corrected data included."""
    now = snapshot["last_order_date"].cast(pa.date32())
    then = _column(remembered, "last_order_date", len(now))
    later = pc.if_else(pc.is_null(then), pc.is_valid(now), pc.greater(now, then))
    return later.fill_null(False).to_numpy(zero_copy_only=False)


def _find(name: str, measured: Mapping[str, pa.Array], *batches: pa.RecordBatch) -> pa.Array:
    """The column as made here, else as a batch gives it, else nulls: a column not built yet is there all the same."""
    if name in measured:
        return measured[name]
    for batch in batches:
        if name in batch.schema.names:
            return batch[name]
    return pa.nulls(batches[0].num_rows)


def _column(table: pa.Table | None, name: str, length: int) -> pa.Array:
    """A column of the memory as one array of its contract's type; nulls without memory."""
    type_ = SCHEMA.field(name).type
    if table is None:
        return pa.nulls(length, type_)
    return pa.concat_arrays([chunk.cast(type_) for chunk in table[name].chunks] or [pa.nulls(0, type_)])


def _floats(array: pa.Array) -> npt.NDArray[np.float64]:
    return to_floats(array, np.nan)


def _whole(array: pa.Array) -> npt.NDArray[np.int64]:
    return array.cast(pa.int64()).to_numpy(zero_copy_only=False)
