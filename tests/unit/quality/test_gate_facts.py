"""The gate's facts on a small sound candidate, and on the same candidate broken in one way at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from small_candidate import AS_OF, EARLIER, NAMES

from cvm_pipeline.quality.gate_facts import Fact, compute, judge
from cvm_pipeline.quality.gate_queries import FACTS
from cvm_pipeline.quality.results import QualityReport
from cvm_pipeline.quality.suite import load_suites

SUITE = load_suites(Path(__file__).parents[3] / "expectations")["gate_fact"]
PARAMETERS = {"min_customers_share": 0.9}
HISTORY = "cand.cvm.customer_value_history"
OF_ALICE = "where customer_id = 'alice' and as_of_date = '2024-06-30'"


def judged(con: duckdb.DuckDBPyConnection) -> QualityReport:
    return judge(compute(con, NAMES, AS_OF), AS_OF, SUITE, PARAMETERS)


def failed(con: duckdb.DuckDBPyConnection) -> set[str]:
    return {result.name for result in judged(con).failures()}


def test_a_sound_candidate_passes_every_check(candidate: duckdb.DuckDBPyConnection) -> None:
    report = judged(candidate)
    assert [(result.name, result.observed) for result in report.failures()] == []
    assert len(report.results) == len(SUITE.checks)


CARD = """insert into cand.cvm.clv_model_card by name select date '2024-06-30' as as_of_date, 'p2' as publication_id,
    'average' as model, 'all' as cut_date, '{}' as metric, {}::double as value, 'told' as note"""

# A hundred more who bought once the month before, and are not there any more.
CROWD = f"""insert into {HISTORY} by name select history.* replace ('crowd' || number as customer_id)
    from {HISTORY} history, (select unnest(range(100)) as number)
    where customer_id = 'alice' and as_of_date = '2024-05-31'"""

STAYS = "cand.cvm.customer_state_history"
BROKEN = {
    "stays_are_what_the_snapshot_says": f"update {STAYS} set state = 'lost' where customer_id = 'alice' and scheme = 'stage'",
    "stays_do_not_overlap": f"insert into {STAYS} by name select * replace (date '2024-05-31' as valid_from, "
    f"date '2024-07-31' as valid_to, 'Z' as state) from {STAYS} where customer_id = 'alice' and scheme = 'tier'",
    "the_base_itself_bought_as_expected": "insert into cand.cvm.segment_parameter "
    "select date '2024-06-30', 'warning', unnest(['base_alarm_untyped_91_days', 'index_untyped_91_days']), unnest([1, .6]), 'p2'",
    "every_customer_of_the_facts_is_there": f"delete from {HISTORY} {OF_ALICE}",
    "no_customer_is_made_up": f"update {HISTORY} set customer_id = 'mallory' {OF_ALICE}",
    "every_customer_is_there_once": f"insert into {HISTORY} select * from {HISTORY} {OF_ALICE}",
    "customer_holds_the_same_customers_as_customer_value": "delete from cand.cvm.customer where customer_id = 'pam'",
    "personal_data_belongs_to_known_customers": "update pii.cvm_pii.customer_pii set customer_id = 'nobody'",
    "customer_value_holds_one_snapshot": "update cand.cvm.customer_value set as_of_date = '2024-07-31' "
    "where customer_id = 'pam'",
    "customer_value_is_not_behind_this_snapshot": "update cand.cvm.customer_value set as_of_date = '2024-05-31'",
    "customer_value_equals_its_own_snapshot": "update cand.cvm.customer_value set value_tier = 'C' where customer_id = 'bob'",
    "revenue_reconciles_with_the_orders": f"update {HISTORY} set revenue_total = revenue_total + 0.0001 {OF_ALICE}",
    "revenue_of_12_months_reconciles_with_the_orders": f"update {HISTORY} set revenue_12m = 149 {OF_ALICE}",
    "unmatched_returns_reconcile_with_the_facts": "delete from cand.cvm.unmatched_return",
    "measures_are_those_of_the_facts": f"update {HISTORY} set gap_limit = 401 {OF_ALICE}",
    "value_is_the_sum_of_its_parts": f"update {HISTORY} set total_value = 31 {OF_ALICE}",
    "every_row_read_is_accounted_for": "update cand.cvm.ingest_audit set rows_read = 11",
    "membership_says_what_customer_value_says": "delete from cand.cvm.segment_membership "
    "where scheme = 'tier' and customer_id = 'bob'",
    "segment_customers_reconcile_with_membership": "update cand.cvm.segment_summary set customers = 2 where segment = 'A'",
    "segment_money_reconciles_with_the_customers": "update cand.cvm.segment_summary set clv = clv + .01 where segment = 'A'",
    "pareto_curve_never_falls": "update cand.cvm.pareto_curve set cumulative_value_share = 1.1 where customer_percentile = 33",
    "pareto_curve_ends_at_1": "update cand.cvm.pareto_curve set cumulative_value_share = .99 where customer_percentile = 100",
    "value_ranks_run_from_1_to_n": f"update {HISTORY} set value_rank = 2 {OF_ALICE}",
    "purchase_histories_are_possible": f"update {HISTORY} set recency = 173 {OF_ALICE}",
    "prospects_are_exactly_those_who_never_bought": f"update {HISTORY} set value_tier = 'D' {OF_ALICE}",
    "rfm_cells_are_their_scores": f"update {HISTORY} set rfm_cell = '554' {OF_ALICE}",
    "previous_states_are_those_published_then": f"update {HISTORY} set previous_stage = 'mature' {OF_ALICE}",
    "no_stage_was_left_without_cause": f"update {HISTORY} set lifecycle_stage = 'lost' "
    "where customer_id = 'alice' and as_of_date = '2024-05-31'",
    "the_dictionary_equals_the_contract": "delete from cand.cvm.data_dictionary where \"column\" = 'clv'",
    "there_is_exactly_one_champion": "update cand.cvm.clv_model_card set value = 1",
    "exactly_one_model_gives_p_alive": "delete from cand.cvm.clv_model_card where metric = 'gives_p_alive'",
    "the_champion_converged_or_says_why_not": "update cand.cvm.clv_model_card set value = 0 where metric = 'converged'",
    "every_buyer_has_a_value": f"update {HISTORY} set p_alive = null {OF_ALICE}",
    "intervals_are_the_right_way_round": f"update {HISTORY} set clv_low = 91 {OF_ALICE}",
    "customers_did_not_drop": f"delete from {HISTORY} {OF_ALICE}",
    "buyers_did_not_drop": CROWD,
    "clv_did_not_collapse_or_explode": CROWD,
    "the_champion_is_still_a_model": """insert into cand.cvm.clv_model_card by name select * from (values
        (date '2024-06-30', 'mbg_nbd', 'all', 'fallback', 1.0, 'p2'), (date '2024-05-31', 'bg_nbd', 'all', 'fallback', 0.0, 'p1'),
        (date '2024-05-31', 'bg_nbd', 'all', 'is_champion', 1.0, 'p1')) t(as_of_date, model, cut_date, metric, value, publication_id)""",
    "customers_did_not_double": f"delete from {HISTORY} where as_of_date = '2024-05-31' and customer_id in ('bob', 'pam')",
    "expected_transactions_are_not_absurd": f"update {HISTORY} set expected_transactions_12m = 500 {OF_ALICE}",
    "expected_transactions_are_like_the_past": f"update {HISTORY} set expected_transactions_12m = 30 {OF_ALICE}",
    "expected_transactions_against_past_is_finite": f"update {HISTORY} set expected_transactions_12m = 'nan' {OF_ALICE}",
    "clv_is_not_absurd": f"update {HISTORY} set clv_12m = 50000 {OF_ALICE}",
    "clv_is_like_the_past": f"update {HISTORY} set clv_12m = 3000 {OF_ALICE}",
    "the_champion_is_no_worse_than_naive": CARD.format("gate_blocked", 1),
    "the_champion_is_no_worse_in_ranking_or_mean_error": CARD.format("gate_warned", 1),
    "the_champion_was_judged_by_what_came": CARD.format("backtest_cuts", 0),
    "intervals_hold_what_they_promise": CARD.format("interval_is_sound", 0),
    "the_models_moved_within_their_errors": CARD.format("drift_r", -4.5),
    "clv_moved_little_since_the_earlier_snapshot": f"update {HISTORY} set clv = 85 {OF_ALICE}",
    "a_change_of_value_is_the_sum_of_its_parts": "update cand.cvm.value_change set time = time + .0001 where customer_id = 'bob'",
    "changes_of_value_are_between_the_published_values": "delete from cand.cvm.value_change where customer_id = 'bob'",
    "changes_of_value_add_up_to_that_of_the_base": "update cand.cvm.value_change set identity = .0001 where customer_id = 'bob'",
    "cohort_revenue_reconciles_with_the_customers": "update cand.cvm.cohort_retention set revenue = 99.9999 where revenue = 100",
    "cohort_margin_reconciles_with_the_customers": "update cand.cvm.cohort_retention set margin = 99.9999 where margin = 100",
    "cohorts_hold_every_buyer": "update cand.cvm.cohort_retention set customers = 2 where cohort = '2024-01-01' and period = 0",
    "cohorts_are_possible": "update cand.cvm.cohort_retention set active = 0, retention = 0 where period = 0",
    "transitions_are_those_of_the_customers": "update cand.cvm.tier_transitions set value_moved = 30.0001 where \"to\" = 'A'",
    "transition_probabilities_add_up_to_1": "update cand.cvm.stage_transitions set probability = .9 where \"to\" = 'new'",
    "value_matrix_places_exactly_the_buyers": f"update {HISTORY} set value_matrix = 'grow' where customer_id = 'pam'",
    "warnings_are_those_of_customer_value": f"update {HISTORY} set warning_level = 'critical' {OF_ALICE}",
    "an_alarm_is_raised_once": "insert into cand.cvm.early_warning by name select * replace (date '2024-05-31' as as_of_date, "
    "date '2024-05-31' as raised_on) from cand.cvm.early_warning",
    "every_alarm_has_its_test": "delete from cand.cvm.warning_test",
    "alarms_are_raised_by_the_published_threshold": "insert into cand.cvm.warning_test by name select * replace "
    "('bob' as customer_id, false as is_raised) from cand.cvm.warning_test",
    "somebody_is_tested_where_there_are_regular_buyers": f"""insert into {HISTORY} by name select * exclude (i) replace (
      'x' || i as customer_id, 12 as frequency, 400 as "T", .9 as p_alive, 0 as days_since_last)
      from (select h.*, i from {HISTORY} h, range(30) t(i) {OF_ALICE}); delete from cand.cvm.warning_test""",
    "value_at_risk_reconciles_with_the_alarms": "update cand.cvm.segment_summary set at_risk_value = 8 where segment = 'A'",
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_candidate_broken_in_one_way_fails_the_check_of_it(candidate: duckdb.DuckDBPyConnection, check: str) -> None:
    candidate.execute(BROKEN[check])
    alone = replace(SUITE, checks=tuple(each for each in SUITE.checks if each.name == check))
    report = judge(compute(candidate, NAMES, AS_OF), AS_OF, alone, PARAMETERS)
    assert [(result.name, result.success) for result in report.results] == [(check, False)]


def test_every_check_is_broken_once_above() -> None:
    said = {
        "the_facts_are_there", "as_of_date_is_unique", "as_of_date_is_never_null", "customers_against_earlier_is_finite",
        "pareto_curve_end_is_finite", "clv_12m_against_past_is_finite", "clv_against_earlier_is_finite",
        "largest_model_drift_is_finite", "buyers_against_earlier_is_finite", "clv_against_an_established_base_is_finite",
    }  # fmt: skip
    assert {check.name for check in SUITE.checks} - said == set(BROKEN)


def test_a_failing_fact_shows_what_was_compared_and_the_rows(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(f"delete from {HISTORY} {OF_ALICE}")
    found = {result.name: result for result in judged(candidate).failures()}
    assert found["every_customer_of_the_facts_is_there"].failing_rows == [{"customer_id": "alice"}]
    assert found["every_customer_of_the_facts_is_there"].unexpected_count == 1
    assert found["revenue_reconciles_with_the_orders"].observed == "-150 (35.0000, expected 185.0000)"
    assert found["customers_did_not_drop"].observed == "0.666667 (2.0, against 3.0)"
    json.dumps([result.to_json() for result in found.values()], allow_nan=False)


def test_the_first_snapshot_has_nothing_to_compare_with(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(f"delete from {HISTORY} where as_of_date = '2024-05-31'")
    candidate.execute(f"update {HISTORY} set previous_tier = null, previous_stage = null")
    candidate.execute("delete from cand.cvm.stage_transitions; delete from cand.cvm.tier_transitions")
    facts = compute(candidate, replace(NAMES, memory_date=None), AS_OF)
    assert [fact.name for fact in facts if fact.value is None] == [
        "customers_against_earlier",
        "buyers_against_earlier",
        "largest_model_drift",
        "clv_against_earlier",
        "clv_against_an_established_base",
        "value_changes_that_differ",
        "value_change_difference",
    ]
    assert not judge(facts, AS_OF, SUITE, PARAMETERS).failures()


def test_an_alarm_that_stands_is_told_as_it_was_raised(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(
        """insert into cand.cvm.early_warning by name select * replace (date '2024-05-31' as as_of_date,
        date '2024-05-31' as raised_on) from cand.cvm.early_warning"""
    )
    candidate.execute("delete from cand.cvm.warning_test")
    candidate.execute(
        "update cand.cvm.early_warning set status = 'standing', raised_on = '2024-05-31' where as_of_date = '2024-06-30'"
    )
    assert failed(candidate) == set()
    candidate.execute("update cand.cvm.early_warning set lapses_on = '2024-08-01' where as_of_date = '2024-06-30'")
    assert failed(candidate) == {"an_alarm_is_raised_once"}


def test_a_young_base_may_grow_and_shrink_as_it_likes(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(CROWD.replace("range(100)", "range(97)"))
    facts = {fact.name: fact.value for fact in compute(candidate, NAMES, AS_OF)}
    assert facts["buyers_against_earlier"] is facts["clv_against_an_established_base"] is None


def test_a_base_whose_buyers_all_lost_their_value_is_no_base_without_one(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(CROWD)
    candidate.execute(f"update {HISTORY} set transactions = 0, clv = null where as_of_date = '2024-06-30'")
    facts = {fact.name: fact.value for fact in compute(candidate, NAMES, AS_OF)}
    assert facts["buyers_against_earlier"] == facts["clv_against_an_established_base"] == 0


def test_a_fallback_after_a_fallback_is_no_news(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(BROKEN["the_champion_is_still_a_model"])
    candidate.execute("update cand.cvm.clv_model_card set value = 1 where metric = 'fallback'")
    assert "the_champion_is_still_a_model" not in failed(candidate)


def test_memory_without_an_earlier_snapshot_fails(candidate: duckdb.DuckDBPyConnection) -> None:
    facts = compute(candidate, replace(NAMES, memory_date=None), AS_OF)
    names = {result.name for result in judge(facts, AS_OF, SUITE, PARAMETERS).blocking_failures()}
    assert names == {"previous_states_are_those_published_then", "transitions_are_those_of_the_customers"}


def test_an_old_snapshot_is_judged_beside_a_newer_customer_value(candidate: duckdb.DuckDBPyConnection) -> None:
    facts = {fact.name: fact for fact in compute(candidate, NAMES, EARLIER)}
    assert facts["customer_value_differs_from_history"].value is None
    assert facts["newest_snapshot_days_behind"].value == 0


def test_leaving_lost_by_a_purchase_is_allowed(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(
        f"""update {HISTORY} set lifecycle_stage = 'lost', transactions = 1, last_order_date = '2024-01-10'
        where customer_id = 'alice' and as_of_date = '2024-05-31'"""
    )
    candidate.execute(f"update {HISTORY} set lifecycle_stage = 'reactivated' {OF_ALICE}")
    assert "no_stage_was_left_without_cause" not in failed(candidate)


@pytest.mark.parametrize(("then", "is_judged"), [(7.0, True), (8.0, False)])
def test_a_stage_left_by_changed_rules_is_allowed_and_by_the_same_is_not(
    candidate: duckdb.DuckDBPyConnection, then: float, is_judged: bool
) -> None:
    candidate.execute(BROKEN["no_stage_was_left_without_cause"])
    for day, version in ((EARLIER, then), (AS_OF, 7.0)):
        candidate.execute(
            "insert into cand.cvm.segment_parameter values (?, 'stage', 'rule_version', ?, 'p2')", [day, version]
        )
    assert ("no_stage_was_left_without_cause" in failed(candidate)) == is_judged


def test_a_fallback_with_its_reason_is_a_sound_champion(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute(
        """update cand.cvm.clv_model_card set metric = 'fallback', note = 'fewer than 50 repeat customers'
        where metric = 'converged'"""
    )
    assert "the_champion_converged_or_says_why_not" not in failed(candidate)


def test_a_fact_that_is_null_where_it_must_not_be_fails(candidate: duckdb.DuckDBPyConnection) -> None:
    facts = [Fact(fact.name, None, "none", "none") for fact in FACTS]
    report = judge(facts, AS_OF, SUITE, PARAMETERS)
    nullable = {fact.name for fact in FACTS if fact.nullable}
    judged_columns = {result.column for result in report.results if result.success}
    assert judged_columns == nullable | {"", "as_of_date"}
    assert "is null" in report.blocking_failures()[0].observed


def test_a_fact_that_was_not_computed_fails(candidate: duckdb.DuckDBPyConnection) -> None:
    facts = [fact for fact in compute(candidate, NAMES, AS_OF) if fact.name != "revenue_difference"]
    blocking = judge(facts, AS_OF, SUITE, PARAMETERS).blocking_failures()
    assert [result.name for result in blocking] == ["revenue_reconciles_with_the_orders"]


def test_a_threshold_from_the_configuration_that_is_not_given_fails(candidate: duckdb.DuckDBPyConnection) -> None:
    report = judge(compute(candidate, NAMES, AS_OF), AS_OF, SUITE, {})
    assert [result.name for result in report.blocking_failures()] == ["customers_did_not_drop", "buyers_did_not_drop"]
    assert not report.blocking_failures()[0].relative
