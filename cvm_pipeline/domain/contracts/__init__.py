"""Every table that Python writes for readers, declared column by column: the one place where a published column is declared.

Belongs here: names, SQL types, meanings, units, keys, vocabularies, and whether a null is allowed, one file per family of
tables; in this one the contract as a whole: its version, its tables in their order, finding one by name. The DDL, the
comments in the database, the data dictionary, the gate's completeness check and the order of columns all follow from it.
Not here: the sources' contract (`sources/entities.py`), the expectations' thresholds (`expectations/`), any I/O.
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts.books import CURRENT_PUBLICATION, DATA_DICTIONARY, DATA_QUALITY_RESULT, PUBLICATION
from cvm_pipeline.domain.contracts.customers import CUSTOMER, CUSTOMER_PII, CUSTOMER_VALUE, CUSTOMER_VALUE_HISTORY
from cvm_pipeline.domain.contracts.declaring import MONEY, Column, Table, Writing
from cvm_pipeline.domain.contracts.intake import INGEST_AUDIT, UNMATCHED_RETURN
from cvm_pipeline.domain.contracts.lifetime_value import CLV_BACKTEST, CLV_MODEL_CARD
from cvm_pipeline.domain.contracts.segments import PARETO_CURVE, SEGMENT_MEMBERSHIP, SEGMENT_PARAMETER, SEGMENT_SUMMARY
from cvm_pipeline.domain.contracts.through_time import (
    COHORT_RETENTION,
    CUSTOMER_STATE_HISTORY,
    STAGE_TRANSITIONS,
    TIER_TRANSITIONS,
    VALUE_CHANGE,
)
from cvm_pipeline.domain.contracts.vocabularies import (
    CAUSES,
    CUSTOMER_TYPES,
    ENTRY,
    EXCLUSIONS,
    REMEMBERED,
    RFM_SEGMENTS,
    SCHEMES,
    SEVERITIES,
    STAGES,
    TIERS,
    VALUE_CHANGE_PARTS,
    VALUE_MATRIX,
    WARNING_LEVELS,
)
from cvm_pipeline.domain.contracts.warnings import EARLY_WARNING, WARNING_RECORD, WARNING_TEST

__all__ = [
    "CAUSES", "CLV_BACKTEST", "CLV_MODEL_CARD", "COHORT_RETENTION", "CONTRACT_VERSION", "CURRENT_PUBLICATION",
    "CUSTOMER", "CUSTOMER_PII", "CUSTOMER_STATE_HISTORY", "CUSTOMER_TYPES", "CUSTOMER_VALUE", "CUSTOMER_VALUE_HISTORY",
    "DATA_DICTIONARY", "DATA_QUALITY_RESULT", "EARLY_WARNING", "ENTRY", "EXCLUSIONS", "INGEST_AUDIT", "MONEY",
    "PARETO_CURVE", "PUBLICATION", "REMEMBERED", "RFM_SEGMENTS", "SCHEMES", "SEGMENT_MEMBERSHIP", "SEGMENT_PARAMETER",
    "SEGMENT_SUMMARY", "SEVERITIES", "STAGES", "STAGE_TRANSITIONS", "TABLES", "TIERS", "TIER_TRANSITIONS",
    "UNMATCHED_RETURN", "VALUE_CHANGE", "VALUE_CHANGE_PARTS", "VALUE_MATRIX", "WARNING_LEVELS", "WARNING_RECORD",
    "WARNING_TEST", "Column", "Table", "Writing", "table",
]  # fmt: skip

CONTRACT_VERSION = "1.2"

TABLES: tuple[Table, ...] = (
    CUSTOMER_VALUE, CUSTOMER_VALUE_HISTORY, CUSTOMER, CUSTOMER_PII, SEGMENT_MEMBERSHIP, SEGMENT_SUMMARY, SEGMENT_PARAMETER,
    PARETO_CURVE, CLV_MODEL_CARD, CLV_BACKTEST, UNMATCHED_RETURN, INGEST_AUDIT, DATA_QUALITY_RESULT, DATA_DICTIONARY, PUBLICATION,
    CURRENT_PUBLICATION, CUSTOMER_STATE_HISTORY, VALUE_CHANGE, COHORT_RETENTION, STAGE_TRANSITIONS, TIER_TRANSITIONS,
    EARLY_WARNING, WARNING_TEST, WARNING_RECORD,
)  # fmt: skip


def table(name: str) -> Table:
    """The published table of that name. Raises KeyError."""
    for candidate in TABLES:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no published table {name}")
