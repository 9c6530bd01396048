"""The gate's facts, one query each: what no check of a single column can see.

Belongs here: reconciliation with the facts, comparisons with the earlier snapshot, model sanity, each as SQL that ends in one
row (value, actual, expected), and where a count can be pointed at, the SQL of the rows behind it; one file per family of
facts, and in this one all of them in their order, and the table that they make.
Not here: thresholds (`expectations/gate_fact.json`), running the queries (`gate_facts.py`).

Sums and reconciliations are computed by the engine in exact decimals: a column sum over Decimal objects takes minutes.
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts import Column, Table
from cvm_pipeline.quality.fact_query import FactQuery
from cvm_pipeline.quality.gate_queries.change import CHANGE
from cvm_pipeline.quality.gate_queries.customers import CUSTOMERS
from cvm_pipeline.quality.gate_queries.history import HISTORY
from cvm_pipeline.quality.gate_queries.model import MODEL
from cvm_pipeline.quality.gate_queries.money import MONEY_FACTS
from cvm_pipeline.quality.gate_queries.movement import MOVEMENT
from cvm_pipeline.quality.gate_queries.preamble import PREAMBLE
from cvm_pipeline.quality.gate_queries.segments import SEGMENTS
from cvm_pipeline.quality.gate_queries.warnings import WARNINGS

__all__ = ["FACTS", "GATE_FACT", "PREAMBLE"]

FACTS: tuple[FactQuery, ...] = (*CUSTOMERS, *MONEY_FACTS, *SEGMENTS, *HISTORY, *MODEL, *CHANGE, *MOVEMENT, *WARNINGS)

GATE_FACT = Table(
    "gate_fact", "One row: the facts of one candidate, a column each.", ("as_of_date",), "snapshot",
    (
        Column("as_of_date", "date", "Snapshot that was judged"),
        # Nullable to the suite, since FactTable itself refuses a null where there must be none.
        *(Column(fact.name, fact.type, fact.meaning, nullable=True, low=fact.low, high=fact.high) for fact in FACTS),
    ),
    schema="work",
)  # fmt: skip
