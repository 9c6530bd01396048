"""The books of publication: what was published and stands, by which checks, and what each column means.

Belongs here: data_quality_result, data_dictionary, publication, current_publication. Not here: what is published about
customers (the other families), what came in (`intake.py`).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts.declaring import PUBLICATION_ID, Column, Table
from cvm_pipeline.domain.contracts.vocabularies import SEVERITIES

DATA_QUALITY_RESULT = Table(
    "data_quality_result", "One row per publication, suite, check and column.",
    ("publication_id", "suite", "expectation", "column"), "log",
    (
        PUBLICATION_ID,
        Column("suite", "varchar", "The table's suite"),
        Column("expectation", "varchar", "The check's unique name"),
        Column("column", "varchar", "Column judged; empty for the table as a whole"),
        Column("success", "boolean", "Held"),
        Column("severity", "varchar", "critical blocks, warning tells", vocabulary=SEVERITIES),
        Column("observed", "varchar", "What was found", nullable=True),
        Column("unexpected_count", "bigint", "Failing rows", "count", nullable=True, low=0),
        Column("accepted_reason", "varchar", "Why a failing relative check was accepted by hand", nullable=True),
    ),
    gated=False,
)  # fmt: skip
DATA_DICTIONARY = Table(
    "data_dictionary", "One row per published table and column.", ("table", "column"), "state",
    (
        Column("table", "varchar", "Table"),
        Column("column", "varchar", "Column"),
        Column("type", "varchar", "SQL type"),
        Column("meaning", "varchar", "What it means"),
        Column("unit", "varchar", "Unit; empty where the meaning says it all"),
        Column("since", "varchar", "Contract version that brought it"),
        PUBLICATION_ID,
    ),
)  # fmt: skip
PUBLICATION = Table(
    "publication", "One row per publication.", ("publication_id",), "log",
    (
        PUBLICATION_ID,
        Column("as_of_date", "date", "The snapshot that it brought"),
        Column("data_through", "date", "Day of the newest accepted order known to it", nullable=True),
        Column("published_at", "timestamp", "When its candidate was built, in UTC; readers saw it within the minutes after"),
        Column("status", "varchar", "published", vocabulary=("published",)),
        Column("currency", "varchar", "Currency of all money"),
        Column("timezone", "varchar", "Zone in which days are cut"),
        Column("gate_summary", "varchar", "Checks passed, warned and accepted"),
        Column("rows_by_table", "varchar", "JSON: rows of each table that it wrote, as it was published; who is forgotten later counts on"),
        Column("contract_version", "varchar", "Version of this contract"),
        Column("code_version", "varchar", "Version of the pipeline"),
        Column("run_id", "varchar", "Dagster run"),
        Column("inputs", "varchar", "Digest of all that the snapshot could know: another one, corrected rows or another configuration",
               nullable=True, since="1.2"),
    ),
    gated=False,
)  # fmt: skip
CURRENT_PUBLICATION = Table(
    "current_publication", "Exactly one row: the publication that stands.", ("publication_id",), "state",
    (
        PUBLICATION_ID,
        Column("as_of_date", "date", "Newest snapshot that readers see"),
        Column("published_at", "timestamp", "When its candidate was built, in UTC; readers saw it within the minutes after"),
    ),
    gated=False,
)  # fmt: skip
