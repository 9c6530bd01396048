"""What a publication was warned of, as it is told."""

from __future__ import annotations

import pytest
from warehouse_sample import checks, publish_one

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.summary import warnings_of


def test_warnings_come_worst_first_and_only_those_of_the_publication(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = {"success": False, "severity": "warning"}
    found = [
        *checks(),
        checks(**failing, expectation="few rows", suite="customer", unexpected_count=2)[0],
        checks(**failing, expectation="many rows", suite="customer", unexpected_count=9)[0],
        checks(**failing, expectation="clv collapsed", suite="gate_fact", unexpected_count=None)[0],
        checks(success=False, expectation="dropped", suite="customer", accepted_reason="sold")[0],
    ]
    monkeypatch.setattr("warehouse_sample.checks", lambda: found)
    warned = publish_one(home, 1).publication_id
    monkeypatch.undo()
    sound = publish_one(home, 2).publication_id
    assert [each.check for each in warnings_of(home, warned)] == ["dropped", "clv collapsed", "many rows", "few rows"]
    assert warnings_of(home, warned)[0].accepted_reason == "sold"
    assert warnings_of(home, sound) == []
