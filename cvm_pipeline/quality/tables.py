"""Which tables the gate judges: the contract's gated tables and the gate's own facts.

Belongs here: that list, and finding one by name. Not here: the contract itself (`domain/contracts/`).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts import TABLES, Table
from cvm_pipeline.quality.gate_queries import GATE_FACT

GATED: tuple[Table, ...] = (*(table for table in TABLES if table.gated), GATE_FACT)

# Tables of this schema hold what no report, log or sample may show.
PRIVATE_SCHEMA = "cvm_pii"


def gated_table(name: str) -> Table:
    """The gated table of that name. Raises KeyError."""
    for table in GATED:
        if table.name == name:
            return table
    raise KeyError(f"no gated table {name}")
