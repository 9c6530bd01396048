"""One whole run, from raw files to what a reader is answered, against a reckoning made a second way."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections import Counter
from decimal import Decimal

import duckdb
import pytest
from places import Place
from reckoning import reckon, total
from small_shop import write_orders

from cvm_pipeline.domain.contracts import TABLES

MAY = dt.date(2024, 5, 31)

# tables.md, word for word.
CUSTOMER_VALUE_COLUMNS = """as_of_date, customer_id, customer_type, first_order_date, last_order_date, transactions, frequency,
recency, T, monetary_value, days_since_last, gap_median, gap_limit, revenue_total, revenue_12m, margin_total, margin_12m, p_alive,
expected_transactions_12m, expected_spend, clv_12m, clv_36m, clv, clv_low, clv_high, interval_basis, existing_value,
potential_value, influence_value, influence_passed, total_value, value_rank, value_percentile, value_tier, previous_tier, r_score,
f_score, m_score, rfm_cell, rfm_segment, lifecycle_stage, previous_stage, stage_since, stage_reason, is_loyal, warning_level,
value_matrix, needs, behaviour_cluster, is_excluded, exclusion_reason, clv_model, publication_id"""
PROMISED = {
    "customer_value", "customer_value_history", "customer", "customer_pii", "segment_membership", "segment_summary",
    "segment_parameter", "pareto_curve", "clv_model_card", "clv_backtest", "unmatched_return", "data_dictionary", "data_quality_result",
    "ingest_audit", "publication", "current_publication", "customer_state_history", "value_change",
    "cohort_retention", "stage_transitions", "tier_transitions", "early_warning", "warning_test",
    "warning_record",
}  # fmt: skip
METRIC = re.compile(
    r"param_\w+|se_\w+|low_\w+|high_\w+|log_likelihood|customers|time_unit_days|converged|gradient_norm|is_champion|gives_p_alive"
    r"|fallback|backtest_\w+|coverage_customer|coverage_total|pit_share|pit_share_third_[123]|interval_\w+|gate_\w+|total_\w+"
    r"|independence_\w+|training_rows|target_days|p_alive_rival_running|residual_transactions_infinite|sales_infinite|drift_\w+"
    r"|fitted_model|value_change_split"
)


def test_every_table_that_this_issue_names_is_there_under_the_name_that_readers_type(shop):
    found = {
        row[0]
        for row in shop.ask("select table_name from duckdb_tables() where database_name = current_database()")
        if shop.ask(f"select count(*) from cvm.{row[0]}")
    }
    with duckdb.connect(str(shop.home.published_pii_file), read_only=True) as con:
        found |= {row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()}
        assert con.execute("select count(*) from cvm_pii.customer_pii").fetchall()[0][0] > 100
    assert found == PROMISED


def test_customer_value_has_the_columns_of_the_contract_in_its_order(shop):
    promised = [name.strip() for name in CUSTOMER_VALUE_COLUMNS.replace("\n", " ").split(",")]
    for name in ("customer_value", "customer_value_history"):
        assert [row[0] for row in shop.ask(f"describe cvm.{name}")] == promised


def test_every_customer_stands_exactly_once(shop):
    known = reckon(shop.folder / "landing", MAY)
    assert Counter(shop.column("select customer_id from cvm.customer_value")) == Counter(dict.fromkeys(known, 1))
    assert sorted(shop.column("select customer_id from cvm.customer")) == sorted(known)


@pytest.mark.parametrize("as_of", [dt.date(2024, 4, 30), MAY], ids=str)
def test_purchase_histories_equal_those_reckoned_by_hand_from_the_raw_files(shop, as_of):
    expected = reckon(shop.folder / "landing", as_of)
    rows = shop.ask(
        """select customer_id, transactions, recency, "T", monetary_value, revenue_total from cvm.customer_value_history
           where as_of_date = ?""",
        as_of,
    )
    differing = {
        customer: (found, vars(expected[customer]))
        for customer, *found in rows
        if found != list(vars(expected[customer]).values())
    }
    assert differing == {}
    assert len(rows) == len(expected)
    assert sum(measures.transactions > 1 for measures in expected.values()) > 150, "the shop must be worth reckoning"


def test_revenue_of_customers_and_guests_together_is_that_of_the_raw_files_to_the_last_digit(shop):
    customers = shop.column("select sum(revenue_total) from cvm.customer_value")[0]
    ((guests,),) = shop.work(f"""
        select sum(amount) - (select coalesce(sum(amount), 0) from marts.fct_return_allocations
                              where customer_id is null and returned_date <= date '{MAY}')
        from marts.fct_orders where is_anonymous and not is_return and ordered_date <= date '{MAY}'
          and (void_date is null or void_date > ordered_date)""")
    assert guests > 0
    assert customers + guests == total(shop.folder / "landing", MAY)


def test_every_row_read_is_accounted_for(shop):
    audit = shop.table("ingest_audit")
    parts = ["rows_accepted", "rows_quarantined", "rows_duplicate", "rows_filtered", "rows_superseded"]
    assert (audit["rows_read"] == audit[parts].sum(axis=1)).all()
    landing = shop.folder / "landing"
    for file, rows in zip(audit["file"], audit["rows_read"], strict=True):
        assert rows == len((shop.folder / file).read_text(encoding="utf-8").splitlines()) - 1
    assert len(audit) == len(list(landing.iterdir()))
    lines = audit[audit["source"] == "order_lines"]
    corrected = len((landing / "lines-3-corrections.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert lines["rows_superseded"].sum() == corrected
    assert lines["rows_quarantined"].sum() == 11


def test_a_row_refused_is_kept_with_its_text_and_its_reason(shop):
    refused = dict(shop.work("select split_part(raw, ',', 1), rule || ': ' || detail from clean.quarantine"))
    assert set(refused) == {f"dirt-{number}" for number in range(11)}
    assert "XXX" in refused["dirt-8"]
    assert "teleported" in refused["dirt-9"]


def test_the_publication_that_stands_is_told_in_one_row_and_counts_what_it_wrote(shop):
    ((standing, as_of),) = shop.ask("select publication_id, as_of_date from cvm.current_publication")
    newest = shop.ask("select * from cvm.publication order by published_at desc")
    names = [row[0] for row in shop.ask("describe cvm.publication")]
    row = dict(zip(names, newest[0], strict=True))
    assert len(newest) == 2
    assert (standing, as_of) == (row["publication_id"], MAY)
    assert (row["status"], row["currency"], row["timezone"]) == ("published", "EUR", "Europe/Berlin")
    ((newest_sale,),) = shop.work(
        "select max(ordered_date) from clean.orders where void_date is distinct from ordered_date"
    )
    assert row["data_through"] == newest_sale
    assert "0 blocking" in row["gate_summary"]
    for name, rows in json.loads(row["rows_by_table"]).items():
        if name in ("customer_pii", "data_quality_result", "publication", "current_publication"):
            continue
        assert shop.column(f"select count(*) from cvm.{name} where publication_id = '{standing}'") == [rows], name


def test_every_check_of_the_gate_is_published_with_its_answer(shop):
    from cvm_pipeline.defs.gate import complete_suites, required_checks

    rows = shop.ask("""select suite, expectation from cvm.data_quality_result
                       where publication_id = (select publication_id from cvm.current_publication)""")
    assert set(rows) == {
        (suite, name) for suite, names in required_checks(complete_suites(), {}).items() for name in names
    }


def test_the_dictionary_covers_every_column_and_says_what_the_database_says(shop):
    told = {(t, c): (type_.lower(), meaning) for t, c, type_, meaning in
            shop.ask('select "table", "column", type, meaning from cvm.data_dictionary')}  # fmt: skip
    assert set(told) == {(table.name, column) for table in TABLES for column in table.names}
    columns = shop.ask("""select table_name, column_name, data_type, comment from duckdb_columns()
                          where schema_name = 'cvm' and database_name = current_database()""")
    assert len(columns) > 150
    for table, column, type_, comment in columns:
        spelled, meaning = told[table, column]
        assert spelled == type_.lower().replace("decimal(18, 4)", "decimal(18,4)"), (table, column)
        assert meaning in (comment or ""), (table, column)


def test_the_model_card_speaks_the_words_of_the_contract(shop):
    card = shop.table("clv_model_card", f"as_of_date = date '{MAY}'")
    models = {"bg_nbd", "mbg_nbd", "nbd", "pareto_nbd", "gamma_gamma", "gradient_boosting", "average", "carry_forward"}
    assert set(card["model"]) >= models
    assert [metric for metric in card["metric"] if not METRIC.fullmatch(metric)] == []
    rows = zip(card["model"], card["cut_date"], card["metric"], card["value"], strict=True)
    value = {(model, metric): v for model, cut, metric, v in rows if cut == "all"}
    for model, letters in (("bg_nbd", "r alpha a b"), ("mbg_nbd", "r alpha a b"), ("gamma_gamma", "p q v")):
        assert {metric for of, metric in value if of == model} >= {f"param_{letter}" for letter in letters.split()}
    chosen = {
        metric: [m for (m, of), v in value.items() if of == metric and v == 1]
        for metric in ("is_champion", "gives_p_alive")
    }
    assert len(chosen["is_champion"]) == 1 and chosen["gives_p_alive"][0] in ("mbg_nbd", "pareto_nbd")
    assert (
        shop.column("select distinct clv_model from cvm.customer_value where transactions > 0") == chosen["is_champion"]
    )
    assert value["mbg_nbd", "time_unit_days"] == 7
    assert value["mbg_nbd", "customers"] == shop.column(
        "select count(*) from cvm.customer_value where transactions > 0 and not is_excluded"
    )[0]  # fmt: skip


def test_every_forecast_at_every_cut_stands_beside_what_came(shop):
    judged = shop.ask("""select model, cut_date, sqrt(avg((predicted - actual) ** 2)), count(*), count(distinct customer_id)
                         from cvm.clv_backtest group by all""")
    assert len({cut for _, cut, *_ in judged}) >= 1 and len({model for model, *_ in judged}) >= 4
    for model, cut, rmse, rows, customers in judged:
        ((told,),) = shop.ask(f"""select value from cvm.clv_model_card where model = '{model}' and cut_date = '{cut}'
                                  and metric = 'backtest_rmse'""")
        assert rows == customers and told == pytest.approx(rmse, rel=1e-9), (model, cut)
    assert shop.column("select count(*) from cvm.clv_backtest where low > high or value_low > value_high") == [0]


def test_intervals_of_customers_and_of_totals_are_there_and_say_what_they_rest_on(shop):
    ((nulls, reversed_, bases),) = shop.ask(
        """select count(*) filter (clv_low is null), count(*) filter (clv_low > clv_high), count(distinct interval_basis)
           from cvm.customer_value where transactions > 0"""
    )
    assert (nulls, reversed_, bases) == (0, 0, 1)
    totals = shop.ask(f"""select clv, clv_low, clv_high, interval_basis from cvm.segment_summary
                          where scheme = 'tier' and segment <> 'D' and as_of_date = date '{MAY}'""")
    assert totals
    for clv, low, high, basis in totals:
        assert low < clv < high and basis in ("proven", "unproven")


def test_flagged_customers_stay_in_every_table_and_out_of_segments(shop):
    flags = Counter(shop.column("select exclusion_reason from cvm.customer_value where is_excluded"))
    assert set(flags) == {"employee", "test"}
    counted = shop.column(
        f"select sum(customers) from cvm.segment_summary where scheme = 'tier' and as_of_date = date '{MAY}'"
    )
    assert counted == shop.column("select count(*) from cvm.customer_value where not is_excluded")


def test_who_is_known_by_a_return_alone_never_bought_and_keeps_the_negative_revenue(shop):
    ((transactions, tier, stage, revenue),) = shop.ask(
        "select transactions, value_tier, lifecycle_stage, revenue_total from cvm.customer_value where customer_id = 'c0903'"
    )
    assert (transactions, tier, stage) == (0, "D", "prospect")
    assert revenue < 0
    listed = shop.column("select sum(amount) from cvm.unmatched_return where customer_id = 'c0903'")
    assert listed == [-revenue]


def test_no_number_that_is_none_reaches_a_reader(shop):
    for table in TABLES:
        frame = shop.table(table.name)
        for column in table.columns:
            if column.type == "double":
                assert all(math.isfinite(value) for value in frame[column.name].dropna()), (table.name, column.name)


def test_text_arrives_as_it_was_written(shop):
    assert "NA" in shop.column("select distinct country from cvm.customer")
    assert shop.table("customer_pii").set_index("customer_id")["name"]["c0001"] == "Name 1 Müller 李"


def test_names_and_addresses_lie_in_a_file_of_their_own_that_only_its_owner_reads(shop):
    assert shop.home.published_pii_file.resolve().stat().st_mode & 0o777 == 0o400
    columns = {row[0] for table in PROMISED - {"customer_pii"} for row in shop.ask(f"describe cvm.{table}")}
    assert columns & {"name", "email", "phone", "birth_date"} == set()


@pytest.fixture(scope="module")
def papers_case(example):
    place = example("cdnow_sample")
    outcome = place.run(dt.date(1997, 9, 30))
    assert outcome.exit_code == 0, outcome.messages
    rows = place.ask("select model, metric, value from cvm.clv_model_card where cut_date = 'all'")
    return {(model, metric): value for model, metric, value in rows}


@pytest.mark.parametrize(
    ("model", "parameters", "log_likelihood", "customers"),
    [
        ("bg_nbd", {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}, -9582.429, 2357),
        ("mbg_nbd", {"r": 0.5248432, "alpha": 6.183086, "a": 0.891359, "b": 1.614002}, -9582.13572, 2357),
        ("gamma_gamma", {"p": 6.249572, "q": 3.744225, "v": 15.443521}, -4055.91769, 946),
    ],
)
def test_the_papers_figures_come_out_of_the_whole_pipeline(papers_case, model, parameters, log_likelihood, customers):
    """clv_numbers.md, section 1: CDNOW 1/10 sample calibrated to 1997-09-30, in weeks."""
    for letter, published in parameters.items():
        assert papers_case[model, f"param_{letter}"] == pytest.approx(published, rel=2e-3), letter
    assert papers_case[model, "log_likelihood"] == pytest.approx(log_likelihood, abs=1e-3)
    assert papers_case[model, "customers"] == customers
    assert papers_case[model, "converged"] == 1
    assert papers_case[model, "fallback"] == 0


def _days(customer: str, count: int, gap: int, amount: str) -> list[tuple[str, str, str]]:
    first = dt.date(2023, 6, 1)
    return [(customer, str(first + dt.timedelta(days=gap * n)), amount) for n in range(count)]


BASES = {
    "three customers": [*_days("a", 5, 20, "10.00"), *_days("b", 2, 90, "70.00"), ("c", "2024-01-03", "5.00")],
    "identical customers": [row for n in range(60) for row in _days(f"k{n:02}", 4, 30, "25.00")],
    "one giant": [("g", "2024-02-01", "99999999999.99"), *(row for n in range(30) for row in _days(f"k{n}", 1, 1, "1.00"))],
    "only returns": [(f"k{n}", f"2024-03-{1 + n:02}", "-12.50") for n in range(12)],
    "amounts of zero": [row for n in range(60) for row in _days(f"k{n}", 1 + n % 5, 17 + n, "0")],
}  # fmt: skip


def _sound_fallback(place, model: str) -> str:
    """Whatever the base: finite, and the card says which model stands in and why. Returns the note."""
    for table in TABLES:
        frame = place.table(table.name)
        for column in table.columns:
            if column.type == "double":
                assert all(math.isfinite(value) for value in frame[column.name].dropna()), (table.name, column.name)
    card = place.ask("select value, note from cvm.clv_model_card where model = ? and metric = 'fallback'", model)
    ((value, note),) = card
    assert value == 1
    return note


# A run each: those whose fallback the units hold as well are run with the long tests.
_LONG = ("three customers", "identical customers", "one giant", "only returns")


@pytest.mark.parametrize(
    "rows", [pytest.param(rows, id=name, marks=[pytest.mark.long] * (name in _LONG)) for name, rows in BASES.items()]
)
def test_a_base_that_no_model_fits_is_published_with_the_fallback_named(rows, tmp_path):
    place = Place(write_orders(tmp_path / "base", rows).parent)
    outcome = place.run(dt.date(2024, 4, 30))
    assert outcome.exit_code == 0, outcome.messages
    assert place.column("select count(*) from cvm.customer_value") == [len({row[0] for row in rows})]
    zero = all(Decimal(amount) == 0 for _, _, amount in rows)
    assert _sound_fallback(place, "gamma_gamma" if zero else "pooled_rate")
    expected = sum(Decimal(amount) for _, _, amount in rows)
    assert place.column("select sum(revenue_total) from cvm.customer_value") == [expected]


def test_one_time_buyers_alone_are_valued_by_the_pooled_rate(one_time_buyers):
    note = _sound_fallback(one_time_buyers, "pooled_rate")
    assert "0 repeat customers, fewer than 50" in note
    assert one_time_buyers.column("select distinct clv_model from cvm.customer_value") == ["pooled_rate"]
    card = one_time_buyers.ask("select model from cvm.clv_model_card where metric = 'is_champion' and value = 1")
    assert card == [("pooled_rate",)]
