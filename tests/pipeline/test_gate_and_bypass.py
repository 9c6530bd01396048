"""The gate stops a poisoned candidate, in a run and past it; readers go on seeing the earlier publication."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from places import Place
from small_shop import write_csv

MAY, JUNE = dt.date(2024, 5, 31), dt.date(2024, 6, 27)
FROM_THE_GATE_ON = 'group:"gate" or group:"published"'
PUBLICATION_ALONE = 'group:"published"'


@pytest.fixture(scope="module")
def poisoned(shop, tmp_path_factory):
    """The shop after a whole run in which scoring gave a negative probability, with Dagster's record of it."""
    from cvm_pipeline.domain.lifetime_value import value_score

    place = shop.copy(tmp_path_factory.mktemp("poisoned") / "shop")
    before, honest = place.fingerprint(), value_score.score

    def score(batch: pa.RecordBatch, model: object) -> pa.RecordBatch:
        rows = honest(batch, model)
        at = rows.schema.get_field_index("p_alive")
        lowered = pc.if_else(pc.less(rows["p_alive"], 0.3), pc.negate(rows["p_alive"]), rows["p_alive"])
        return rows.set_column(at, rows.schema.field(at), lowered)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(value_score, "score", score)
        outcome = place.run(JUNE)
    return place, before, outcome


def test_a_negative_probability_blocks_the_run_and_says_so(poisoned):
    _, _, outcome = poisoned
    assert (outcome.exit_code, outcome.published) == (3, None)
    assert any("gate" in message and "cvm gate explain" in message for message in outcome.messages)


def test_a_blocked_run_leaves_the_earlier_publication_byte_for_byte(poisoned):
    place, before, _ = poisoned
    assert place.fingerprint() == before
    assert place.column("select as_of_date from cvm.current_publication") == [MAY]


def test_the_failure_is_explained_with_what_was_expected_found_and_which_rows(poisoned):
    place, _, _ = poisoned
    said = place.cvm("gate", "explain")
    assert said.code == 0
    told = said.out.split("customer_value: p alive lies between 0 and 1 - BLOCKS\n")[1].split("\n\n")[0]
    lines = {line.split()[0]: line for line in told.splitlines() if line.strip()}
    assert "at least 0 and at most 1" in lines["expected"]
    # Which of the failing rows come first is the engine's affair: a small one may be told as -5e-05.
    assert re.search(r"rows fail, such as -\d", lines["found"])
    assert "customer_id " in lines["rows"] and "p_alive -" in lines["rows"]
    assert "look" in lines
    checks = place.cvm("gate", "explain", "--json").json["checks"]
    assert any(check["expectation"] == "p_alive_lies_between_0_and_1" and not check["success"] for check in checks)


def test_status_tells_of_the_blocked_attempt_and_what_still_stands(poisoned):
    place, _, outcome = poisoned
    facts = place.cvm("status", "--json").json
    assert facts["newest"]["as_of_date"] == str(MAY)
    assert facts["last_gate"]["passed"] is False
    assert [(attempt["outcome"], attempt["run_id"]) for attempt in facts["failed_attempts"]] == [
        ("blocked", outcome.run_id)
    ]
    assert "blocked at" in place.cvm("status").out


def test_dagster_holds_one_result_for_each_expectation_with_severity_and_failing_rows(poisoned):
    import dagster as dg

    from cvm_pipeline.defs.gate import complete_suites, required_checks
    from cvm_pipeline.defs.instance import instance_of

    place, _, outcome = poisoned
    with instance_of(place.home) as instance:
        records = instance.get_records_for_run(
            outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, limit=5000
        ).records
    found = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]
    gate = {(c.asset_key.path[1], c.check_name): c for c in found if c.asset_key.path[0] == "gate"}
    required = required_checks(complete_suites(), {})
    assert set(gate) == {(suite, name) for suite, names in required.items() for name in names}
    failed = gate["customer_value", "p_alive_lies_between_0_and_1"]
    assert (failed.passed, failed.severity, failed.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert {"expected", "observed", "failing rows", "likely cause", "unexpected"} <= set(failed.metadata)
    rows = failed.metadata["failing rows"].data
    assert 0 < len(rows) <= 10 and all(row["p_alive"] < 0 for row in rows)
    warns = gate["gate_fact", "customers_did_not_double"]
    assert (warns.passed, warns.severity, warns.blocking) == (True, dg.AssetCheckSeverity.WARN, False)


def test_the_publish_asset_launched_alone_refuses_what_the_gate_blocked(poisoned):
    place, before, _ = poisoned
    outcome = place.run(JUNE, select=PUBLICATION_ALONE)
    assert (outcome.exit_code, outcome.published) == (3, None)
    assert "the gate did not pass it" in " ".join(outcome.messages)
    assert "p_alive_lies_between_0_and_1" in " ".join(outcome.messages)
    assert place.fingerprint() == before


POISONS = {
    "a customer twice": (
        "insert into candidate.customer_value select * from candidate.customer_value where customer_id = 'c0001'",
        {"customer_id_is_unique", "every_customer_is_there_once"},
    ),
    "a customer lost": (
        "delete from candidate.customer_value where customer_id = 'c0002'",
        {"every_customer_of_the_facts_is_there", "revenue_reconciles_with_the_orders"},
    ),
    "a hundredth of a cent too much": (
        "update candidate.customer_value set revenue_total = revenue_total + 0.0001 where customer_id = 'c0003'",
        {"revenue_reconciles_with_the_orders", "measures_are_those_of_the_facts"},
    ),
    "no number": (
        """update candidate.customer_value set expected_transactions_12m = 'nan'::double, p_alive = 'nan'::double
           where customer_id = 'c0004'""",
        {"p_alive_is_finite", "expected_transactions_12m_is_finite"},
    ),
}


@pytest.fixture(scope="module")
def poisoned_by_hand(shop, tmp_path_factory):
    """The shop with its work tables altered after the run, and judged again from there."""
    place = shop.copy(tmp_path_factory.mktemp("by-hand") / "shop")
    before = place.fingerprint()
    for statement, _ in POISONS.values():
        place.work(statement)
    place.work("update candidate.customer_pii set email = null, name = 'Nobody Knows', phone = '+1 555 0100'")
    place.work(
        "insert into candidate.customer_pii select * replace ('zz' as customer_id) from candidate.customer_pii limit 12"
    )
    place.work("update candidate.clv_model_card set value = 1, note = 'rmse is worse' where metric = 'gate_blocked'")
    outcome = place.run(MAY, select=FROM_THE_GATE_ON)
    return place, before, outcome


def test_a_candidate_poisoned_between_two_steps_is_blocked(poisoned_by_hand):
    place, before, outcome = poisoned_by_hand
    assert (outcome.exit_code, outcome.published) == (3, None)
    assert place.fingerprint() == before


def test_a_champion_that_a_naive_forecast_beats_blocks(poisoned_by_hand):
    place, _, _ = poisoned_by_hand
    told = {c["expectation"]: c for c in place.cvm("gate", "explain", "--json").json["checks"]}
    beaten = told["the_champion_is_no_worse_than_naive"]
    assert not beaten["success"] and beaten["severity"] == "critical"
    assert [row["note"] for row in beaten["failing_rows"]] == ["rmse is worse"]


@pytest.mark.parametrize(
    ("customer", "checks"), [(f"c{n:04}", c) for n, (_, c) in enumerate(POISONS.values(), 1)], ids=POISONS
)
def test_each_poison_fails_the_checks_that_block_on_it(poisoned_by_hand, customer, checks):
    place, _, _ = poisoned_by_hand
    told = place.cvm("gate", "explain", "--json").json["checks"]
    failed = {c["expectation"]: c for c in told if not c["success"] and c["severity"] == "critical"}
    assert failed.keys() >= checks
    rows = [row for name in checks for row in failed[name]["failing_rows"]]
    assert customer in {row.get("customer_id") for row in rows}


def test_each_failure_is_told_with_expected_found_rows_and_cause(poisoned_by_hand):
    place, _, _ = poisoned_by_hand
    checks = [c for c in place.cvm("gate", "explain", "--json").json["checks"] if not c["success"]]
    _, *told, ending = place.cvm("gate", "explain").out.split("\n\n")
    assert "can't be accepted: mend it" in ending
    assert len(told) == len(checks) > 8
    for paragraph in told:
        words = [line[:10].strip() for line in paragraph.splitlines()[1:]]
        assert {"expected", "found", "look at"} <= set(words), paragraph
        # The first row stands beside its word, up to nine more below it.
        assert sum(line.startswith(" " * 12) for line in paragraph.splitlines()) <= 10, paragraph
    by_name = {(c["suite"], c["expectation"]): c for c in checks}
    strangers = by_name["gate_fact", "personal_data_belongs_to_known_customers"]
    assert (len(strangers["failing_rows"]), strangers["unexpected_count"]) == (10, 12)
    assert by_name["customer_pii", "customer_pii_email_is_filled_like_the_last_publication"]["severity"] == "warning"


def test_what_is_told_of_a_failure_never_names_a_person(poisoned_by_hand):
    place, _, _ = poisoned_by_hand
    said = place.cvm("gate", "explain").out + place.cvm("gate", "explain", "--json").out
    assert "customer_pii" in said
    for private in ("Nobody Knows", "555 0100", "@example"):
        assert private not in said


def test_a_second_publication_is_compared_with_the_first_and_a_first_with_nothing(shop):
    compared = """select publication_id, observed, success from cvm.data_quality_result
                  where expectation like '%_like_the_last_publication' order by publication_id"""
    rows = shop.ask(compared)
    first = min(row[0] for row in rows)
    assert {observed for publication, observed, _ in rows if publication == first} == {"nothing to compare with"}
    later = [(observed, success) for publication, observed, success in rows if publication != first]
    assert len(later) > 25
    assert sum(observed == "nothing to compare with" for observed, _ in later) <= 6
    # A normal month of a shop with a few hundred customers.
    assert sum(not success for _, success in later) == 0


@pytest.fixture(scope="module")
def passed(shop, tmp_path_factory):
    """A candidate that the gate passed and nobody has published yet."""
    place = shop.copy(tmp_path_factory.mktemp("passed") / "shop")
    outcome = place.run(MAY, select='group:"gate"')
    assert (outcome.exit_code, outcome.published) == (0, None), outcome.messages
    return place


@pytest.fixture
def judged(passed, tmp_path):
    return passed.copy(tmp_path / "shop")


def _newest_candidate(place: Place) -> tuple:
    """(the candidate's folder, its record's path)"""
    from cvm_pipeline.warehouse.candidate import candidate_folder
    from cvm_pipeline.warehouse.gate_record import newest_record

    publication_id = newest_record(place.home).publication_id
    return candidate_folder(place.home, publication_id), place.home.gate / f"{publication_id}.json"


def _refused(place: Place) -> str:
    before = place.fingerprint()
    outcome = place.run(MAY, select=PUBLICATION_ALONE)
    assert (outcome.exit_code, outcome.published) == (3, None), outcome
    assert place.fingerprint() == before
    assert "what readers see is unchanged" in outcome.messages[0]
    return outcome.messages[0]


def test_a_candidate_that_passed_may_be_published_by_itself(judged):
    outcome = judged.run(MAY, select=PUBLICATION_ALONE)
    assert outcome.exit_code == 0, outcome.messages
    assert judged.column("select publication_id from cvm.current_publication") == [outcome.published]


def test_a_candidate_changed_after_the_gate_is_refused(judged):
    import duckdb

    folder, _ = _newest_candidate(judged)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        con.execute("update cvm.customer_value set clv = clv + 1 where customer_id = 'c0001'")
    assert "changed after the gate judged them" in _refused(judged)


def test_the_record_of_an_earlier_candidate_opens_nothing(judged):
    _, record = _newest_candidate(judged)
    earlier = sorted(path for path in record.parent.glob("*.json") if path != record)[-1]
    shutil.copy(earlier, record)
    assert "not of this candidate" in _refused(judged)


def test_a_candidate_of_another_day_is_refused(judged):
    before = judged.fingerprint()
    outcome = judged.run(JUNE, select=PUBLICATION_ALONE)
    assert (outcome.exit_code, outcome.published) == (3, None)
    assert f"it is the snapshot of {MAY}, not of {JUNE}" in outcome.messages[0]
    assert judged.fingerprint() == before


def test_a_candidate_that_another_publication_has_overtaken_is_refused(judged, shop):
    folder, _ = _newest_candidate(judged)
    manifest = json.loads((folder / "candidate.json").read_text())
    # As if the April version had been what stood when it was built.
    manifest["built_on"] = shop.column("select min(publication_id) from cvm.publication")[0]
    (folder / "candidate.json").write_text(json.dumps(manifest))
    assert "overtaken" in _refused(judged)


def test_a_record_that_lacks_one_check_opens_nothing(judged):
    _, path = _newest_candidate(judged)
    record = json.loads(path.read_text())
    record["checks"] = [check for check in record["checks"] if check["expectation"] != "customer_id_is_unique"]
    path.write_text(json.dumps(record))
    assert "customer_value was not checked for customer_id_is_unique" in _refused(judged)


@pytest.mark.parametrize("change", ["a threshold tightened", "a warning made critical", "a setting of cvm.yml"])
def test_what_passed_an_easier_gate_is_not_published_under_a_stricter_one(judged, tmp_path, monkeypatch, change):
    from cvm_pipeline.config.paths import expectations_folder
    from cvm_pipeline.defs import gate

    folder = shutil.copytree(expectations_folder(), tmp_path / "expectations")
    path = folder / "customer_value.json"
    suite = json.loads(path.read_text())
    (check,) = (
        c for c in suite["expectations"] if c["meta"]["check"] == "customer_value_rows_are_like_the_last_publication"
    )
    name, table = check["meta"]["check"], "customer_value"
    if change == "a threshold tightened":
        check["kwargs"]["min_value"]["times"] += 0.01
    elif change == "a warning made critical":
        assert check["severity"] == "warning"
        check["severity"] = "critical"
    else:
        name, table = "buyers_did_not_drop, customers_did_not_drop", "gate_fact"
        judged.config.write_text(judged.config.read_text() + "\nquality: {min_customers_share: 0.95}\n")
    path.write_text(json.dumps(suite))
    monkeypatch.setattr(gate, "expectations_folder", lambda: folder)
    assert f"{table} was judged by another rule than today's for {name}. Run again" in _refused(judged)


@pytest.mark.parametrize("harm", ["removed", "emptied", "softened"])
def test_nothing_is_published_by_a_suite_that_was_weakened(judged, tmp_path, monkeypatch, harm):
    from cvm_pipeline.config.paths import expectations_folder
    from cvm_pipeline.defs import gate
    from cvm_pipeline.quality.suite import SuiteIncomplete

    folder = shutil.copytree(expectations_folder(), tmp_path / "expectations")
    path = folder / "customer_value.json"
    suite = json.loads(path.read_text())
    if harm == "emptied":
        suite["expectations"] = []
    for check in suite["expectations"] if harm == "softened" else ():
        check["kwargs"]["mostly"] = 0.5
    path.write_text(json.dumps(suite)) if harm != "removed" else path.unlink()
    monkeypatch.setattr(gate, "expectations_folder", lambda: folder)
    before = judged.fingerprint()
    with pytest.raises(SuiteIncomplete, match="customer_value"):
        judged.run(MAY, select=PUBLICATION_ALONE)
    said = judged.cvm("run", "--as-of", str(MAY))
    assert said.code == 1
    assert "customer_value.json" in said.err
    assert judged.fingerprint() == before


@pytest.fixture(scope="module")
def shrunk(one_time_buyers, tmp_path_factory):
    """A base of a hundred whose corrected file holds 85: the month after is blocked."""
    place = one_time_buyers.copy(tmp_path_factory.mktemp("shrunk") / "base")
    _rewrite(place, 85)
    before = place.fingerprint()
    return place, before, place.run(MAY)


def _rewrite(place: Place, customers: int) -> None:
    rows = [
        {
            "order": f"o{n:05}",
            "customer": f"k{n:03}",
            "at": f"2024-0{1 + n % 4}-{1 + n % 28:02}",
            "amount": f"{10 + n}.50",
        }
        for n in range(customers)
    ]
    write_csv(place.folder / "landing" / "orders.csv", ("order", "customer", "at", "amount"), rows)


def test_customers_below_nine_tenths_of_the_earlier_snapshot_block(shrunk):
    place, before, outcome = shrunk
    assert outcome.exit_code == 3
    assert place.fingerprint() == before
    checks = place.cvm("gate", "explain", "--json").json["checks"]
    failed = [check for check in checks if not check["success"] and check["severity"] == "critical"]
    assert [check["expectation"] for check in failed] == ["customers_did_not_drop", "buyers_did_not_drop"]
    assert "0.85 (85.0, against 100.0)" in failed[0]["observed"]
    assert " --accept customers_did_not_drop --reason" in place.cvm("gate", "explain").out


def test_a_relative_check_accepted_with_a_reason_passes_this_candidate_and_is_recorded(shrunk, tmp_path):
    place = shrunk[0].copy(tmp_path / "base")
    accepted = dict.fromkeys(("customers_did_not_drop", "buyers_did_not_drop"), "fifteen were test accounts")
    outcome = place.run(MAY, select=FROM_THE_GATE_ON, accept=accepted)
    assert outcome.exit_code == 0, outcome.messages
    assert place.ask("""select expectation, success, accepted_reason, publication_id from cvm.data_quality_result
                        where accepted_reason is not null order by 1 desc""") == [
        (name, False, reason, outcome.published) for name, reason in accepted.items()
    ]  # fmt: skip
    summary = f"select gate_summary from cvm.publication where publication_id = '{outcome.published}'"
    assert "2 accepted, 0 blocking; accepted: customers_did_not_drop (" in place.column(summary)[0]


def test_a_check_that_compares_with_nothing_can_not_be_accepted(shrunk):
    place, before, _ = shrunk
    said = place.cvm(
        "run", "--as-of", str(MAY), "--select", FROM_THE_GATE_ON, "--accept", "customer_id_is_unique", "--reason", "please"
    )  # fmt: skip
    assert said.code == 2
    assert (
        "--accept customer_id_is_unique: of the checks that block, only these can be accepted: buyers_did_not_drop, clv_"
        in said.err
    )
    assert place.fingerprint() == before


def test_an_acceptance_without_its_reason_is_a_mistake_of_usage(shrunk):
    assert shrunk[0].cvm("run", "--accept", "customers_did_not_drop").code == 2


@pytest.mark.long
def test_growth_beyond_belief_only_warns(one_time_buyers, tmp_path):
    place = one_time_buyers.copy(tmp_path / "base")
    _rewrite(place, 230)
    outcome = place.run(MAY)
    assert outcome.exit_code == 0, outcome.messages
    warned = place.ask(f"""select expectation, severity from cvm.data_quality_result
                           where not success and publication_id = '{outcome.published}'""")
    assert ("customers_did_not_double", "warning") in warned
    assert {severity for _, severity in warned} == {"warning"}
