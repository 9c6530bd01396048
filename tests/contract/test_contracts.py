"""The two contracts against the design that they were written from, repeated here as data: the published tables (tables.md)
and the sources (sources.md). Whoever changes either changes a promise to readers, and says so by changing this file.
"""

from __future__ import annotations

import pytest

from cvm_pipeline.config import entity_names
from cvm_pipeline.domain.contracts import MONEY, TABLES, Column, Table, table
from cvm_pipeline.sources import entities

CUSTOMER_VALUE = """
    as_of_date customer_id customer_type first_order_date last_order_date transactions frequency recency T monetary_value
    days_since_last gap_median gap_limit revenue_total revenue_12m margin_total margin_12m p_alive expected_transactions_12m
    expected_spend clv_12m clv_36m clv clv_low clv_high interval_basis existing_value potential_value influence_value
    influence_passed total_value value_rank value_percentile value_tier previous_tier r_score f_score m_score rfm_cell
    rfm_segment lifecycle_stage previous_stage stage_since stage_reason is_loyal warning_level value_matrix needs
    behaviour_cluster is_excluded exclusion_reason clv_model publication_id
"""

# Table -> its key, and what else it holds.
PUBLISHED = {
    "customer_value": ("customer_id", CUSTOMER_VALUE),
    "customer_value_history": ("as_of_date customer_id", CUSTOMER_VALUE),
    "customer": (
        "customer_id",
        "customer_type country region city industry size_band acquisition_channel first_order_date last_order_date is_prospect",
    ),
    "customer_pii": ("customer_id", "name email phone birth_date"),
    "segment_membership": ("as_of_date scheme customer_id", "segment"),
    "segment_summary": (
        "as_of_date scheme segment",
        "customers share revenue_12m margin_12m clv clv_low clv_high interval_basis total_value avg_p_alive at_risk_value",
    ),
    "segment_parameter": ("as_of_date scheme parameter", "value"),
    "pareto_curve": ("as_of_date customer_percentile", "cumulative_value_share"),
    "clv_model_card": ("as_of_date model cut_date metric", "value note"),
    "clv_backtest": (
        "as_of_date cut_date horizon_days model customer_id",
        "predicted actual naive low high value_predicted value_actual value_naive value_low value_high",
    ),
    "unmatched_return": ("order_id line", "customer_id returned_at amount"),
    "ingest_audit": (
        "source file_hash",
        "entity file rows_read rows_accepted rows_quarantined rows_duplicate rows_filtered rows_superseded landed_at",
    ),
    "data_quality_result": (
        "publication_id suite expectation column",
        "success severity observed unexpected_count accepted_reason",
    ),
    "data_dictionary": ("table column", "type meaning unit since"),
    "publication": (
        "publication_id",
        "as_of_date data_through published_at status currency timezone gate_summary rows_by_table contract_version code_version"
        " run_id inputs",
    ),
    "current_publication": ("publication_id", "as_of_date published_at"),
    "customer_state_history": ("customer_id scheme valid_from", "valid_to state previous reason cause rule_version"),
    "value_change": (
        "as_of_date customer_id",
        "clv_before clv change frequency recency time spend margin model correction entry identity",
    ),
    "cohort_retention": (
        "as_of_date cohort period",
        "customers active retention revenue margin cumulative_value is_complete",
    ),
    "stage_transitions": ("as_of_date from to", "customers probability value_moved"),
    "tier_transitions": ("as_of_date from to", "customers probability value_moved"),
    "early_warning": (
        "as_of_date customer_id",
        "status level signals window_days p_value value_at_risk reasons raised_on lapses_on",
    ),
    "warning_test": (
        "as_of_date customer_id",
        "window_days expected_transactions expected_with_attrition observed_transactions base_index p_frequency p_spend p_value"
        " is_testable is_raised",
    ),
    "warning_record": (
        "as_of_date level",
        "tested not_testable warned fell base_rate lift not_fallen_share base_index median_lead_days",
    ),
}
MONEY_COLUMNS = """
    monetary_value revenue_total revenue_12m margin_total margin_12m expected_spend clv_12m clv_36m clv clv_low clv_high
    existing_value potential_value influence_value influence_passed total_value at_risk_value amount
    value_predicted value_actual value_naive value_low value_high
    clv_before change frequency recency time spend margin model correction entry identity
    revenue margin cumulative_value value_moved value_at_risk
"""
TYPES = {"varchar", "date", "timestamp", "bigint", "integer", "double", "boolean", MONEY}

_ON_ORDERS = "customer_id currency status status_at returned_at refers_to channel discount"
_ON_KEYED = "source_system updated_at"
# Entity -> required and optional columns, those of every keyed entity included.
BROUGHT = {
    # sources.md lists order_id as required and lets the file and line stand for it: so it may be absent.
    "orders": ("ordered_at amount", f"order_id {_ON_ORDERS} cost {_ON_KEYED}"),
    "order_lines": ("order_id ordered_at product_id quantity unit_price", f"{_ON_ORDERS} unit_cost {_ON_KEYED}"),
    "products": ("product_id", f"name category unit_cost {_ON_KEYED}"),
    "customers": (
        "customer_id",
        "name customer_type email phone birth_date gender country region city postal_code industry employees annual_revenue"
        f" created_at acquisition_channel acquisition_cost referred_by marketing_consent flag {_ON_KEYED}",
    ),
    # A rate is a currency's on a day, whichever system tells it.
    "exchange_rates": ("currency rate_date rate", "updated_at"),
}
LATER = {"leads", "interactions", "surveys", "referrals", "campaign_contacts", "loyalty_points"}
WORDS = {
    "status": {"completed", "pending", "cancelled", "returned"},
    "customer_type": {"individual", "company"},
    "flag": {"employee", "reseller", "test", "outlier"},
}

COLUMNS = [(of, column) for of in TABLES for column in of.columns]


def named(columns: list[tuple[Table, Column]]) -> set[str]:
    return {f"{of.name}.{column.name}" for of, column in columns}


def test_the_tables_are_those_of_the_design() -> None:
    assert [of.name for of in TABLES] == list(PUBLISHED)


def test_customer_value_has_its_columns_in_the_order_of_the_design() -> None:
    assert list(table("customer_value").names) == CUSTOMER_VALUE.split()
    assert table("customer_value_history").columns == table("customer_value").columns


@pytest.mark.parametrize("of", TABLES, ids=lambda of: of.name)
def test_a_table_holds_its_key_what_the_design_lists_and_its_publication(of: Table) -> None:
    key, holds = PUBLISHED[of.name]
    assert of.key == tuple(key.split())
    assert set(of.names) == {*key.split(), *holds.split(), "publication_id"}
    assert len(of.names) == len(set(of.names))


@pytest.mark.parametrize("of", TABLES, ids=lambda of: of.name)
def test_a_key_is_there_and_never_null(of: Table) -> None:
    assert of.key
    assert not any(of.column(name).nullable for name in of.key)


def test_a_table_with_snapshots_is_written_by_snapshot() -> None:
    assert {of.name for of in TABLES if "as_of_date" in of.key} == {
        of.name for of in TABLES if of.writing == "snapshot"
    }


def test_direct_identifiers_stand_in_the_schema_of_their_own_and_nowhere_else() -> None:
    assert {of.name for of in TABLES if of.schema != "cvm"} == {"customer_pii"}
    identifiers = {"name", "email", "phone", "birth_date"}
    assert {of.name for of in TABLES if identifiers & set(of.names)} == {"customer_pii"}


def test_every_column_and_table_says_what_it_means() -> None:
    assert named([(of, column) for of, column in COLUMNS if not column.meaning.strip()]) == set()
    assert all(of.grain.startswith(("One row per ", "Exactly one row")) and of.grain.endswith(".") for of in TABLES)


def test_a_column_has_one_type_wherever_it_stands() -> None:
    assert {column.type for _, column in COLUMNS} <= TYPES
    types: dict[str, set[str]] = {}
    for of, column in COLUMNS:
        # tables.md names the parts of a change after what moved: money by a frequency, a recency, a model.
        if of.name != "value_change" or column.name not in ("frequency", "recency", "model"):
            types.setdefault(column.name, set()).add(column.type)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


def test_money_is_an_exact_decimal_in_the_projects_currency() -> None:
    assert {column.name for _, column in COLUMNS if column.type == MONEY} == set(MONEY_COLUMNS.split())
    assert MONEY == "decimal(18,4)"
    in_currency = [(of, column) for of, column in COLUMNS if column.unit == "project currency"]
    assert named(in_currency) == named([(of, column) for of, column in COLUMNS if column.type == MONEY])


def test_names_tell_types() -> None:
    for of, column in COLUMNS:
        where = f"{of.name}.{column.name}"
        if column.name.endswith("_at"):
            assert column.type == "timestamp", where
        # A cut is a date or 'all'.
        if column.name.endswith("_date") and column.name != "cut_date":
            assert column.type == "date", where
        assert (column.type == "boolean") == column.name.startswith(("is_", "has_", "success")), where
        assert column.type == "varchar" or not column.vocabulary, where


def test_probabilities_and_shares_lie_between_nought_and_one() -> None:
    bounded = [(of, column) for of, column in COLUMNS if column.unit in ("probability", "share")]
    assert {"customer_value.p_alive", "segment_summary.share"} <= named(bounded)
    assert named([(of, c) for of, c in bounded if (c.low, c.high, c.type) != (0.0, 1.0, "double")]) == set()
    assert named([(of, c) for of, c in COLUMNS if c.name.endswith("_share")]) <= named(bounded)


def test_the_source_contract_is_that_of_the_design() -> None:
    declared = {
        name: (set(entity.required), set(entity.names) - set(entity.required))
        for name, entity in entities.ENTITIES.items()
    }
    assert declared == {name: (set(need.split()), set(may.split())) for name, (need, may) in BROUGHT.items()}


def test_the_configuration_knows_the_same_names_words_and_what_is_yet_to_come() -> None:
    known = {name: (set(entity.required), set(entity.optional)) for name, entity in entity_names.ENTITIES.items()}
    assert known == {name: (set(need.split()), set(may.split())) for name, (need, may) in BROUGHT.items()}
    assert set(entity_names.LATER_ENTITIES) == LATER


@pytest.mark.parametrize("name", BROUGHT)
def test_an_entitys_words_are_those_of_the_design_in_both_declarations(name: str) -> None:
    declared = {field.name: set(field.vocabulary) for field in entities.ENTITIES[name].fields if field.vocabulary}
    assert declared == {column: words for column, words in WORDS.items() if column in declared}
    assert declared == {column: set(words) for column, words in entity_names.ENTITIES[name].vocabularies.items()}
