"""Rows in and out: a batch of the base's windows, the candidates between the passes, and the rows of warning_test.

Belongs here: which column is which quantity. Not here: any measure (`testing.py` and what it calls), alarms (`alarms.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.contracts import WARNING_TEST
from cvm_pipeline.domain.customer_value import arrow_schema
from cvm_pipeline.domain.early_warning.common_shock import Index, indices
from cvm_pipeline.domain.early_warning.null import Predictive
from cvm_pipeline.domain.early_warning.testing import Happened, Measured, PValues, measure
from cvm_pipeline.domain.early_warning.windows import Known, Start
from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.protocol import Floats

# What `measure_batch` reads of each window, as column_<days>.
PAST, CAME = ("frequency", "recency", "T", "repeat_sales"), ("transactions", "paid", "paid_sales")
_KNOWN = dict(zip(Known.__dataclass_fields__, ("frequency", "recency", "T", "repeat_sales"), strict=True))
_EXPECTED = {name: name for name in Predictive.__dataclass_fields__}
_CAME = dict(zip(Happened.__dataclass_fields__, CAME, strict=True))
CANDIDATES = pa.schema(
    [
        ("customer_id", pa.string()), ("customer_type", pa.string()), ("window_days", pa.int32()),
        *((name, pa.float64()) for name in (*_KNOWN.values(), *_EXPECTED, *_CAME.values())),
    ]
)  # fmt: skip
TEST_SCHEMA = arrow_schema(WARNING_TEST)
# Customers of no stated type are a group of their own.
NO_TYPE = "untyped"


def measure_batch(batch: pa.RecordBatch, starts: Sequence[Start]) -> pa.RecordBatch:
    """First pass: CANDIDATES of the batch, for who has a window.

    Takes customer_id, customer_type, days_since_alarm (null: never), and of each window PAST (null: no transaction by its
    start) and CAME.
    """
    column = {name: batch.column(name) for name in batch.schema.names}
    known, happened = [], []
    for start in starts:
        x, *rest = (to_floats(column[f"{name}_{start.window_days}"], np.nan) for name in PAST)
        known.append(Known(np.where(np.isnan(x), -1.0, x), *(np.nan_to_num(each) for each in rest)))
        happened.append(Happened(*(to_floats(column[f"{name}_{start.window_days}"]) for name in CAME)))
    found = measure(starts, known, happened, to_floats(column["days_since_alarm"], np.inf))
    rows = pa.array(found.row)
    days = pa.array(found.days(starts).astype(np.int32))
    numbers = [
        getattr(part, field)
        for part, fields in ((found.known, _KNOWN), (found.predictive, _EXPECTED), (found.happened, _CAME))
        for field in fields
    ]
    words = [column[name].cast(pa.string()).take(rows) for name in ("customer_id", "customer_type")]
    return pa.RecordBatch.from_arrays([*words, days, *map(pa.array, numbers)], schema=CANDIDATES)


def measured(batch: pa.RecordBatch, starts: Sequence[Start]) -> Measured:
    """The candidates of a batch as arrays again."""
    place = {start.window_days: at for at, start in enumerate(starts)}
    at = np.array([place[days] for days in batch["window_days"].to_pylist()], dtype=np.intp)
    known, expected, came = (
        {field: to_floats(batch[name]) for field, name in fields.items()} for fields in (_KNOWN, _EXPECTED, _CAME)
    )
    return Measured(np.arange(at.size), at, Known(**known), Predictive(**expected), Happened(**came))


def groups(rows: pa.Table | pa.RecordBatch) -> np.ndarray:
    """What tells the base's groups apart, '<customer_type>_<window_days>', (n,)."""
    kinds = [kind or NO_TYPE for kind in rows["customer_type"].to_pylist()]
    return np.array(
        [f"{kind}_{days}" for kind, days in zip(kinds, rows["window_days"].to_pylist(), strict=True)], dtype=object
    )


def index_table(rows: pa.Table) -> dict[str, Index]:
    """The index of each group, from all candidates: customer_type, window_days, transactions, expected_with_attrition, variance."""
    columns = (to_floats(rows[name]) for name in ("transactions", "expected_with_attrition", "variance"))
    return {str(name): index for name, index in indices(groups(rows), *columns).items()}


def index_of_rows(batch: pa.RecordBatch, found: Mapping[str, Index]) -> Floats:
    """Each candidate's index, (n,)."""
    return np.array([found[name].index for name in groups(batch)], dtype=np.float64)


def tested_rows(batch: pa.RecordBatch, p: PValues, index: Floats, as_of: date) -> pa.RecordBatch:
    """warning_test of a batch of candidates, nobody raised yet."""
    n = batch.num_rows
    has_spend = to_floats(batch["signals"]) > 1
    columns = {
        "as_of_date": pa.repeat(pa.scalar(as_of, pa.date32()), n),
        "expected_transactions": batch["expected"],
        "observed_transactions": batch["transactions"].cast(pa.int64()),
        "base_index": pa.array(index),
        "p_frequency": pa.array(p.frequency),
        "p_spend": pa.array(p.spend, mask=~has_spend),
        "p_value": pa.array(p.combined),
        "is_testable": pa.array(p.is_testable),
        "is_raised": pa.repeat(pa.scalar(False), n),
    }
    given = [columns[name] if name in columns else batch[name] for name in TEST_SCHEMA.names]
    return pa.RecordBatch.from_arrays(given, schema=TEST_SCHEMA)
