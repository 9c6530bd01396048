"""What blocks, what may be accepted by hand, and how failures are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cvm_pipeline.domain.contracts import DATA_QUALITY_RESULT
from cvm_pipeline.quality.explain import explain
from cvm_pipeline.quality.results import AcceptanceRefused, CheckResult, QualityReport, accept

JUNE = date(2024, 6, 30)
PASSED = CheckResult("customer", "it_has_rows", "", "expect_x", "critical", False, True, "1 row", "3 rows")
WARNED = replace(PASSED, name="it_grew", severity="warning", success=False)
DROPPED = replace(PASSED, suite="gate_fact", name="customers_did_not_drop", relative=True, success=False)
NEGATIVE = CheckResult(
    "customer_value", "p_alive_lies_between_0_and_1", "p_alive", "expect_y", "critical", False, False,
    "p_alive at least 0 and at most 1", "12 of 90 rows fail, such as -0.2", 12,
    [{"customer_id": f"c{n}", "p_alive": -0.2} for n in range(10)], "the model's fit",
)  # fmt: skip
REPORT = QualityReport((PASSED, WARNED, DROPPED))


def test_only_a_critical_failure_blocks() -> None:
    assert REPORT.blocking_failures() == (DROPPED,)
    assert REPORT.summary() == "1 passed, 1 warned, 0 accepted, 1 blocking"


def test_a_relative_failure_can_be_accepted_with_a_reason() -> None:
    accepted = accept(REPORT, {"customers_did_not_drop": " the Swiss shop was sold "})
    assert not accepted.blocking_failures()
    assert accepted.results[2].accepted_reason == "the Swiss shop was sold"
    assert accepted.summary() == (
        "1 passed, 1 warned, 1 accepted, 0 blocking; accepted: customers_did_not_drop (the Swiss shop was sold)"
    )


def test_a_check_that_passed_gets_no_reason() -> None:
    passed = QualityReport((replace(DROPPED, success=True),))
    assert accept(passed, {"customers_did_not_drop": "just in case"}) == passed


@pytest.mark.parametrize(
    ("reasons", "why"),
    [
        ({"p_alive_lies_between_0_and_1": "we like it"}, "only a relative check"),
        ({"customers_did_not_drop": "  "}, "without a reason"),
        ({"customers_did_not_dorp": "sold"}, "no check of that name"),
    ],
)
def test_what_can_not_be_accepted_is_refused_with_the_reason(reasons: dict[str, str], why: str) -> None:
    with pytest.raises(AcceptanceRefused, match=why):
        accept(QualityReport((*REPORT.results, NEGATIVE)), reasons)


def test_all_refusals_are_said_at_once() -> None:
    with pytest.raises(AcceptanceRefused) as refused:
        accept(QualityReport((NEGATIVE,)), {"nothing": "", "p_alive_lies_between_0_and_1": "x"})
    assert len(refused.value.problems) == 3


def test_the_rows_are_those_of_the_contract() -> None:
    rows = QualityReport((PASSED, NEGATIVE)).to_rows("p7")
    assert [tuple(row) for row in rows] == [DATA_QUALITY_RESULT.names] * 2
    assert (rows[1]["publication_id"], rows[1]["unexpected_count"], rows[1]["success"]) == ("p7", 12, False)


def test_a_report_survives_json() -> None:
    report = QualityReport.combined([REPORT, QualityReport((NEGATIVE,))])
    assert QualityReport.from_json(report.to_json()) == report


def test_explaining_tells_expected_found_rows_and_cause() -> None:
    assert explain(QualityReport((PASSED, NEGATIVE)), JUNE) == [
        "1 passed, 0 warned, 0 accepted, 1 blocking.",
        "",
        "customer_value: p alive lies between 0 and 1 - BLOCKS",
        "  expected  p_alive at least 0 and at most 1",
        "  found     12 of 90 rows fail, such as -0.2",
        "  rows      customer_id c0, p_alive -0.2",
        *[f"            customer_id c{n}, p_alive -0.2" for n in range(1, 10)],
        "            and 2 more",
        "  look at   the model's fit",
        "",
        "What blocks and compares with nothing earlier can't be accepted: mend it, then run again",
    ]


def test_explaining_puts_what_blocks_first_and_says_how_to_accept_it() -> None:
    lines = explain(REPORT, JUNE)
    assert lines[2] == "gate_fact: customers did not drop - BLOCKS"
    accept_it = "cvm run --as-of 2024-06-30 --accept customers_did_not_drop --reason '...'"
    assert lines[-1] == f"If it is true what was found: {accept_it}"
    assert "customer: it grew - warns" in lines


def test_explaining_says_a_command_as_it_is_to_be_typed() -> None:
    lines = explain(REPORT, JUNE, lambda command: command.replace("cvm run", "cvm run -c shop/cvm.yml"))
    assert "cvm run -c shop/cvm.yml --as-of 2024-06-30 --accept customers_did_not_drop --reason '...'" in lines[-1]


def test_explaining_an_accepted_failure_gives_its_reason() -> None:
    lines = explain(accept(REPORT, {"customers_did_not_drop": "sold"}), JUNE)
    assert "gate_fact: customers did not drop - accepted" in lines
    assert "  accepted  sold" in lines


def test_explaining_a_passed_gate_takes_one_line() -> None:
    assert explain(QualityReport((PASSED,)), JUNE) == ["The gate passed: 1 passed, 0 warned, 0 accepted, 0 blocking."]
