from __future__ import annotations

import re

import pytest

from cvm_pipeline.domain.contract_change import change, declared, parsed, refusals

STANDS = {"customer": {"customer_id": "varchar", "clv": "decimal(18,4)"}, "tier": {"name": "varchar"}}


def with_(**tables: dict[str, str]) -> dict[str, dict[str, str]]:
    return {**STANDS, **tables}


def test_the_same_contract_is_published_under_the_same_version() -> None:
    assert refusals(STANDS, "1.1", STANDS, "1.1") == []
    assert refusals(declared(), "1.1", None, "1.1") == []


def test_a_type_spelled_otherwise_is_the_same_type() -> None:
    assert change(STANDS, with_(customer={"customer_id": "VARCHAR", "clv": "DECIMAL(18, 4)"})).breaks == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (with_(customer={"customer_id": "varchar"}), "customer.clv is gone"),
        ({"customer": STANDS["customer"]}, "tier is gone"),
        (with_(customer={"customer_id": "varchar", "value": "decimal(18,4)"}), "customer.clv is gone"),
        (
            with_(customer={"customer_id": "varchar", "clv": "double"}),
            r"customer.clv was decimal\(18,4\) and is double",
        ),
    ],
    ids=["dropped column", "dropped table", "renamed column", "retyped column"],
)
def test_what_readers_rely_on_is_taken_away_by_a_major_version_only(now: dict[str, dict[str, str]], told: str) -> None:
    for version in ("1.1", "1.2"):
        reason = refusals(STANDS, "1.1", now, version)[0]
        assert re.search(told, reason)
        assert "new major version (2.0)" in reason
    assert refusals(STANDS, "1.1", now, "2.0") == []


def test_a_table_moved_to_another_schema_is_gone_from_where_its_readers_look() -> None:
    contract = declared()
    moved = {**contract, "cvm.customer_pii": contract["cvm_pii.customer_pii"]}
    del moved["cvm_pii.customer_pii"]
    (reason,) = refusals(contract, "1.1", moved, "1.2")
    assert "cvm_pii.customer_pii is gone" in reason and "new major version (2.0)" in reason


def test_what_is_added_needs_a_minor_version() -> None:
    now = with_(customer={**STANDS["customer"], "region": "varchar"}, new={"x": "date"})
    (reason,) = refusals(STANDS, "1.1", now, "1.1")
    assert "new, customer.region came in" in reason and "minor version (1.2)" in reason
    assert refusals(STANDS, "1.1", now, "1.2") == []


def test_an_older_contract_is_not_published_over_a_newer_one() -> None:
    (reason,) = refusals(STANDS, "1.10", STANDS, "1.9")
    assert "1.10 stands" in reason and "older 1.9" in reason
    assert refusals(STANDS, "2.0", STANDS, "1.9")


def test_what_is_no_version_is_refused() -> None:
    assert parsed("1.10") == (1, 10)
    for wrong in ("1", "1.x", "v1.1", ""):
        with pytest.raises(ValueError, match="not a contract version"):
            parsed(wrong)
