"""The tables of what came in: what became of each row read, and the returns that no order could bear.

Belongs here: unmatched_return, ingest_audit. Not here: what the sources must bring (`sources/entities.py`), what was
made of it (every other family).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts.declaring import CUSTOMER_ID, PUBLICATION_ID, Column, Table, money

UNMATCHED_RETURN = Table(
    "unmatched_return", "One row per return, or part of one, that no earlier order could bear.", ("order_id", "line"), "newest",
    (
        Column("order_id", "varchar", "The return's own document"),
        Column("line", "integer", "Its line; 0 for the document as a whole", low=0),
        CUSTOMER_ID,
        Column("returned_at", "timestamp", "When, in UTC"),
        money("amount", "What no order bore; lowers revenue_total on its day", low=0),
        PUBLICATION_ID,
    ),
    may_be_empty=True,
)  # fmt: skip
INGEST_AUDIT = Table(
    "ingest_audit", "One row per source and file content: what became of each row read.", ("source", "file_hash"), "state",
    (
        Column("source", "varchar", "Source name in cvm.yml"),
        Column("file_hash", "varchar", "SHA-256 of the file's bytes"),
        Column("entity", "varchar", "What one row is"),
        Column("file", "varchar", "File name, relative to cvm.yml"),
        Column("rows_read", "bigint", "Rows read", "count", low=0),
        Column("rows_accepted", "bigint", "Rows that stand", "count", low=0),
        Column("rows_quarantined", "bigint", "Rows refused, with their reason kept", "count", low=0),
        Column("rows_duplicate", "bigint", "Rows equal to one that stands", "count", low=0),
        Column("rows_filtered", "bigint", "Rows dropped by the source's where, or of a forgotten person", "count",
               low=0),
        Column("rows_superseded", "bigint", "Rows replaced by a newer version", "count", low=0),
        Column("landed_at", "timestamp", "When this content was first landed, in UTC"),
        PUBLICATION_ID,
    ),
)  # fmt: skip
