"""Vocabularies: the words that published columns may hold, and the names of the parts that a change of value has.

Belongs here: lists that several tables, or the code that fills them, go by. Not here: what a word means (it is said where
its rule stands), the words of one column alone (they stand with it).
"""

from __future__ import annotations

TIERS = ("A", "B", "C", "D")
STAGES = ("prospect", "new", "growing", "mature", "declining", "lost", "reactivated")
RFM_SEGMENTS = (
    "Champions", "Loyal", "Potential Loyalist", "New", "Promising", "Need Attention",
    "About To Sleep", "At Risk", "Can't Lose Them", "Hibernating", "Lost",
)  # fmt: skip
CUSTOMER_TYPES = ("individual", "company")
EXCLUSIONS = ("employee", "reseller", "test", "outlier")
SCHEMES = ("tier", "stage", "rfm", "type", "value_matrix", "warning")
WARNING_LEVELS = ("watch", "warning", "critical")
VALUE_MATRIX = ("star", "grow", "harvest", "maintain")
# Schemes whose states are remembered as stays.
REMEMBERED = ("tier", "stage", "rfm", "warning", "value_matrix")
CAUSES = ("behaviour", "model", "rule change", "identity merge", "corrected data")
# Where a customer comes from that the snapshot before did not know.
ENTRY = "entry"
SEVERITIES = ("critical", "warning")
# They add up to the change of clv, exactly.
VALUE_CHANGE_PARTS = (
    "frequency", "recency", "time", "spend", "margin", "model", "correction", "entry", "identity",
)  # fmt: skip
