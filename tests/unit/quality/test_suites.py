"""Reading suites, and refusing those that would let something through."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvm_pipeline.quality.complete import assert_complete
from cvm_pipeline.quality.suite import SuiteIncomplete, load_suites
from cvm_pipeline.quality.tables import GATED

SHIPPED = Path(__file__).parents[3] / "expectations"

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped suites, to be broken."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "expectations"))


def edit(folder: Path, table: str, change: Edit) -> None:
    path = folder / f"{table}.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    change(spec)
    path.write_text(json.dumps(spec), encoding="utf-8")


def problems(folder: Path) -> list[str]:
    with pytest.raises(SuiteIncomplete) as refused:
        assert_complete(load_suites(folder), GATED)
    return refused.value.problems


def without(name: str) -> Edit:
    def change(spec: dict[str, Any]) -> None:
        spec["expectations"] = [each for each in spec["expectations"] if each["meta"]["check"] != name]

    return change


def with_(name: str, **changed: Any) -> Edit:
    def change(spec: dict[str, Any]) -> None:
        (found,) = (each for each in spec["expectations"] if each["meta"]["check"] == name)
        found["kwargs"] |= changed.pop("kwargs", {})
        found["meta"] |= changed.pop("meta", {})
        found |= changed

    return change


LIKE_LAST = ("customer_rows_are_like_the_last_publication",)


def test_the_shipped_suites_are_complete(folder: Path) -> None:
    assert_complete(load_suites(folder), GATED)


def test_a_removed_suite_is_missed(folder: Path) -> None:
    (folder / "pareto_curve.json").unlink()
    assert problems(folder) == ["pareto_curve.json is missing"]


def test_an_emptied_suite_is_refused(folder: Path) -> None:
    edit(folder, "pareto_curve", lambda spec: spec["expectations"].clear())
    assert problems(folder) == ["pareto_curve.json holds no check"]


def test_all_that_is_missing_is_listed_at_once(folder: Path) -> None:
    (folder / "pareto_curve.json").unlink()
    edit(folder, "customer", without("customer_has_rows"))
    edit(folder, "customer_value", without("p_alive_is_finite"))
    assert len(problems(folder)) == 3


@pytest.mark.parametrize(
    ("table", "change", "problem"),
    [
        ("customer", without("customer_has_rows"), "at least 1 rows"),
        ("customer", with_("customer_has_rows", kwargs={"min_value": 0}), "at least 1 rows"),
        ("unmatched_return", without("unmatched_return_is_counted"), "at least 0 rows"),
        ("customer", without("customer_id_is_unique"), "key unique: customer_id"),
        ("customer", without("customer_id_is_never_null"), "customer_id not null"),
        ("customer", without("is_prospect_is_never_null"), "is_prospect not null"),
        ("customer_value", without("p_alive_is_finite"), "is_finite(p_alive)"),
        ("customer_value", without("p_alive_lies_between_0_and_1"), "p_alive to at least 0"),
        ("customer_value", with_("p_alive_lies_between_0_and_1", kwargs={"max_value": 1.01}), "p_alive to at most 1"),
        ("customer_value", with_("p_alive_lies_between_0_and_1", kwargs={"mostly": 0.99}), "p_alive to at most 1"),
        ("customer_value", with_("p_alive_lies_between_0_and_1", severity="warning"), "p_alive to at most 1"),
        ("customer_value", with_("p_alive_lies_between_0_and_1", meta={"relative": True}), "p_alive to at most 1"),
        (
            "customer_value",
            with_("p_alive_lies_between_0_and_1", kwargs={"max_value": {"$PARAMETER": "x"}}),
            "p_alive to at most 1",
        ),
        ("customer_value", without("value_tier_is_a_known_word"), "value_tier to its vocabulary"),
        ("customer_value", with_("value_tier_is_a_known_word", kwargs={"value_set": list("ABCDE")}), "vocabulary"),
        ("customer_value", with_("value_tier_is_a_known_word", kwargs={"value_set": []}), "vocabulary"),
        ("customer_value", with_("p_alive_is_finite", kwargs={"value_set": [True, False]}), "is_finite(p_alive)"),
        ("customer_value", with_("p_alive_is_finite", meta={"notes": " "}), "no notes"),
        ("customer_value", with_("p_alive_is_finite", meta={"check": "clv_is_odd"}), ""),
        ("customer", lambda spec: spec["meta"].update(notes=""), "meta.notes is empty"),
        ("customer", with_("is_prospect_is_never_null", kwargs={"column": "is_prospekt"}), "is_prospekt"),
        ("customer", lambda spec: spec["expectations"].append(spec["expectations"][0]), "2 checks are named"),
        ("gate_fact", without("customers_did_not_drop"), "critical check judges the fact customers_against_earlier"),
        ("gate_fact", without("revenue_reconciles_with_the_orders"), "revenue_difference"),
        ("gate_fact", without("no_stage_was_left_without_cause"), "stage_transitions_forbidden"),
        ("gate_fact", without("clv_moved_little_since_the_earlier_snapshot"), "no check judges the fact clv_against"),
        ("customer", with_("customer_has_rows", meta={"check": "customers_did_not_drop"}), "shares its name"),
        ("customer", without("customer_rows_are_like_the_last_publication"), "from below and above"),
        ("customer", with_(*LIKE_LAST, kwargs={"min_value": 1}), "from below and above"),
        ("customer", with_(*LIKE_LAST, meta={"relative": False}), "is not relative"),
        ("customer", with_(*LIKE_LAST, kwargs={"min_value": {"$PARAMETER": "last_mean(nothing)"}}), "doesn't give"),
        ("pareto_curve", without("pareto_curve_median_share_is_like_the_last_publication"), "compares the spread"),
        (
            "customer_pii",
            with_(
                "customer_pii_email_is_filled_like_the_last_publication",
                kwargs={"min_value": {"$PARAMETER": "last_shares(email)"}},
            ),
            "would tell personal data",
        ),
    ],
)
def test_a_weakened_suite_is_refused(folder: Path, table: str, change: Edit, problem: str) -> None:
    edit(folder, table, change)
    if problem:
        assert any(problem in found for found in problems(folder))
    else:
        assert_complete(load_suites(folder), GATED)


def test_a_suite_of_no_table_is_refused(folder: Path) -> None:
    edit(folder, "customer", lambda spec: spec.update(name="custmer"))
    (folder / "customer.json").rename(folder / "custmer.json")
    assert problems(folder) == ["customer.json is missing", "custmer.json: there is no gated table custmer"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda spec: spec.update(name="other"), "it names itself other"),
        (lambda spec: spec.pop("expectations"), "'expectations' is missing"),
        (with_("customer_has_rows", severity="fatal"), "severity 'fatal'"),
        (with_("customer_has_rows", meta={"check": "Has Rows"}), "snake_case"),
        (with_("customer_has_rows", meta={"relative": "yes"}), "true or false"),
        (with_("customer_has_rows", kwargs={"min_value": {"$PARAMETER": "x", "time": 2}}), "times and plus only"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(folder: Path, change: Edit, problem: str) -> None:
    edit(folder, "customer", change)
    with pytest.raises(SuiteIncomplete, match=problem):
        load_suites(folder)


def test_every_file_that_is_no_json_is_named(folder: Path) -> None:
    for name in ("customer", "pareto_curve"):
        (folder / f"{name}.json").write_text('{"name": ', encoding="utf-8")
    with pytest.raises(SuiteIncomplete) as refused:
        load_suites(folder)
    assert [line.split(" ")[0] for line in refused.value.problems] == ["customer.json", "pareto_curve.json"]
