"""Text without a person: what is replaced, and what only looks like it."""

from __future__ import annotations

import pytest

from cvm_pipeline.domain.redaction import PLACEHOLDER, Redaction

REDACTION = Redaction(["cust-17", "7", "1998", "order-9"], ["zeb@example.org", "Zebulon Quagmire"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cust-17 failed", f"{PLACEHOLDER} failed"),
        ("cust-170 and xcust-17 stand", "cust-170 and xcust-17 stand"),
        ("mail ZEB@example.org!", f"mail {PLACEHOLDER}!"),
        ("7 of 1998 rows, on 1998-06-30", "7 of 1998 rows, on 1998-06-30"),
        ("order-9@2024-01-02", f"{PLACEHOLDER}@2024-01-02"),
        ("", ""),
    ],
)
def test_ids_are_whole_words_and_values_are_found_anywhere(text: str, expected: str) -> None:
    assert REDACTION.text(text) == expected


def test_a_previews_row_of_the_person_goes_and_the_others_stay() -> None:
    table = "| id | n |\n|---|---|\n| 7 | 1 |\n| 8 | 7 days |"
    assert REDACTION.text(table) == "| id | n |\n|---|---|\n| 8 | 7 days |"


def test_json_keeps_its_shape_and_its_numbers() -> None:
    content = {"rows": 7, "version": "7", "failing": [{"customer_id": "7", "said": "Zebulon Quagmire"}]}
    redacted = {"rows": 7, "version": "7", "failing": [{"customer_id": PLACEHOLDER, "said": PLACEHOLDER}]}
    assert REDACTION.json(content) == redacted
