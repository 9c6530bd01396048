from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from warehouse_sample import (
    AS_OF,
    BEGIN,
    REQUIRED,
    RULE,
    checks,
    fill,
    make_candidate,
    publication_id,
    publication_row,
    publish_one,
    resealed,
    storage_version,
)

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.warehouse.attempts import last_attempts
from cvm_pipeline.warehouse.candidate import add_page, build_candidate, candidate_folder, finish_candidate
from cvm_pipeline.warehouse.errors import LockHeld, PublicationRefused, RollbackRefused
from cvm_pipeline.warehouse.gate_record import GateRecord, Required, Rule, read_record, write_record
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.rollback import roll_back
from cvm_pipeline.warehouse.versions import new_publication_id, versions

Elsewhere = Callable[[str], "subprocess.Popen[str]"]


def seen(home: Home) -> str:
    """The one publication that a reader of the fixed path sees."""
    with duckdb.connect(str(home.published_file), read_only=True) as con:
        (found,) = con.execute("select publication_id from cvm.current_publication").fetchall()
        assert con.execute("select distinct publication_id from cvm.customer_value").fetchall() == [found]
    return str(found[0])


def change(home: Home, id_: str, **fields: Any) -> None:
    record = read_record(home, id_)
    assert record is not None
    write_record(home, replace(record, **fields))


def refused(home: Home, id_: str, required: Required = REQUIRED) -> str:
    with pytest.raises(PublicationRefused) as error:
        publish(home, id_, required)
    assert "what readers see is unchanged" in str(error.value)
    assert not (home.versions / id_).exists()
    return " | ".join(error.value.reasons)


def test_every_table_can_be_read_as_cvm_dot_table_by_another_process(home: Home, elsewhere: Elsewhere) -> None:
    published = publish_one(home, 1)
    reader = elsewhere(
        "import duckdb, json\n"
        "from cvm_pipeline.domain.contracts import TABLES\n"
        "found = {}\n"
        "for table in TABLES:\n"
        "    file = home.published_pii_file if table.schema == 'cvm_pii' else home.published_file\n"
        "    con = duckdb.connect(str(file), read_only=True)\n"
        "    found[table.name] = len(con.execute(f'select * from {table.schema}.{table.name}').fetchall())\n"
        "    con.close()\n"
        "print(json.dumps(found))\n"
    )
    output, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    found = json.loads(output)
    assert set(found) == {table.name for table in TABLES} and all(found.values())
    assert found["customer_value"] == 3
    assert (published.publication_id, published.as_of_date, published.leftovers) == (publication_id(1), AS_OF, "")
    assert storage_version(home.published_file) == storage_version(home.published_pii_file) == 65
    assert home.published_file.stat().st_mode & 0o777 == 0o444
    assert home.published_pii_file.stat().st_mode & 0o777 == 0o400
    assert published.folder.stat().st_mode == home.versions.stat().st_mode


def test_publishing_twice_is_publishing_once(home: Home) -> None:
    first = publish_one(home, 1)
    assert publish(home, publication_id(1), REQUIRED) == first
    assert [version.publication_id for version in versions(home)] == [publication_id(1)]


def test_a_candidate_that_no_gate_judged_is_refused(home: Home) -> None:
    publish_one(home, 1)
    fill(home)
    finish_candidate(build_candidate(home, AS_OF, publication_id(2), "run-2"), checks(), publication_row(BEGIN))
    assert "no gate has judged this candidate" in refused(home, publication_id(2))
    assert seen(home) == publication_id(1)


def test_a_candidate_that_is_not_there_is_refused(home: Home) -> None:
    assert "there is no such candidate" in refused(home, publication_id(9))


def test_a_candidate_that_the_gate_blocked_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, passed=False)
    assert "the gate did not pass it" in refused(home, id_)


def test_a_record_of_another_candidate_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    path = home.gate / f"{id_}.json"
    path.write_text(path.read_text().replace(id_, publication_id(2)))
    assert f"the gate's record is of {publication_id(2)}" in refused(home, id_)


@pytest.mark.parametrize("file", ["warehouse.duckdb", "pii.duckdb", "candidate.json"])
def test_a_candidate_that_was_changed_after_the_gate_is_refused(home: Home, file: str) -> None:
    id_ = make_candidate(home, 1)
    path = candidate_folder(home, id_) / file
    if file.endswith(".duckdb"):
        with duckdb.connect(str(path)) as con:
            con.execute("create table more as select 1 as a")
    else:
        path.write_text(path.read_text() + " ")
    assert "changed after the gate judged them" in refused(home, id_)


def test_a_file_slipped_into_a_candidate_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    (candidate_folder(home, id_) / "warehouse.duckdb.wal").write_bytes(b"")
    assert "changed after the gate judged them" in refused(home, id_)


def test_a_record_of_another_contract_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, contract_version="0.9")
    assert "judged under contract 0.9" in refused(home, id_)


def test_a_check_that_is_required_and_absent_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, checks=[check for check in checks() if check["suite"] != "customer_value"])
    assert refused(home, id_) == "customer_value was not checked for row count"
    assert "customer was not checked for key" in refused(
        home, id_, REQUIRED | {"customer": {"row count": RULE, "key": RULE}}
    )


def test_a_gated_table_of_which_nothing_is_required_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    assert refused(home, id_, REQUIRED | {"customer": {}}) == "no check is required of customer: its suite is missing"
    assert "no check is required of customer_value" in refused(home, id_, {})


def test_a_failed_check_is_refused_whatever_the_verdict_says(home: Home) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, checks=[*checks(), checks(success=False, expectation="keys are unique")[0]])
    assert "failed and not accepted: customer_value: keys are unique" in refused(home, id_)
    change(home, id_, checks=checks(success=None))
    assert "failed and not accepted" in refused(home, id_)


@pytest.mark.parametrize("change_", [{"severity": "warning"}, {"accepted_reason": "the base was bought"}])
def test_a_warning_or_an_accepted_failure_does_not_block(home: Home, change_: dict[str, object]) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, checks=checks(success=False, **change_))
    severity = str(change_.get("severity", "critical"))
    required = {suite: {"row count": replace(RULE, severity=severity)} for suite in REQUIRED}
    assert publish(home, id_, required).publication_id == id_


def test_a_failure_that_the_record_calls_a_warning_and_the_suite_critical_blocks(home: Home) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, checks=checks(success=False, severity="warning"))
    assert "failed and not accepted: clv_backtest: row count" in refused(home, id_)


def test_a_check_that_passed_by_another_rule_is_refused(home: Home) -> None:
    id_ = make_candidate(home, 1)
    stricter = REQUIRED | {"customer": {"row count": Rule("a tighter bound", "critical")}}
    assert refused(home, id_, stricter) == "customer was judged by another rule than today's for row count. Run again"


def test_a_candidate_built_before_the_standing_publication_is_refused(home: Home) -> None:
    publish_one(home, 1)
    overtaken = make_candidate(home, 2)
    aside = home.root / "aside"
    candidate_folder(home, overtaken).rename(aside)
    publish_one(home, 3)
    aside.rename(candidate_folder(home, overtaken))
    assert f"it was built on {publication_id(1)}, and {publication_id(3)} stands now" in refused(home, overtaken)
    assert seen(home) == publication_id(3)


def test_a_record_made_before_the_standing_publication_is_refused(home: Home) -> None:
    publish_one(home, 1)
    id_ = make_candidate(home, 2)
    change(home, id_, created_at=datetime.now(UTC) - timedelta(hours=1))
    assert f"the gate judged it before {publication_id(1)} was published" in refused(home, id_)


def test_an_id_older_than_the_standing_publications_is_refused(home: Home) -> None:
    publish_one(home, 5)
    assert f"{publication_id(5)}, which stands, is newer" in refused(home, make_candidate(home, 4))


def test_two_publications_within_one_second_both_count(home: Home) -> None:
    for token in ("ffff", "0000"):
        id_ = new_publication_id(BEGIN, token)
        fill(home)
        sealed = finish_candidate(build_candidate(home, AS_OF, id_, "run"), checks(), publication_row())
        write_record(home, GateRecord(id_, AS_OF, sealed, True, checks(), datetime.now(UTC), "run"))
        publish(home, id_, REQUIRED)
        assert seen(home) == id_


def test_every_reason_is_told_at_once(home: Home) -> None:
    id_ = make_candidate(home, 1)
    change(home, id_, passed=False, content_hash="other", contract_version="0.9")
    assert refused(home, id_).count(" | ") == 2


def test_publishing_waits_for_nobody(home: Home, elsewhere: Elsewhere) -> None:
    id_ = make_candidate(home, 1)
    other = elsewhere(
        "import time\nfrom cvm_pipeline.warehouse.lock import run_lock\n"
        "with run_lock(home, 'cvm run'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    assert other.stdout and other.stdout.readline() == "held\n"
    with pytest.raises(LockHeld):
        publish(home, id_, REQUIRED)


def test_the_newest_versions_are_kept_and_the_standing_one_always(home: Home) -> None:
    for number in range(1, 6):
        publish_one(home, number, keep=3)
    assert [version.publication_id for version in versions(home)] == [publication_id(n) for n in (5, 4, 3)]
    with pytest.raises(ValueError, match="at least one"):
        publish(home, publication_id(5), REQUIRED, keep=0)
    # Pointed back by hand, or by a rollback.
    home.current.unlink()
    home.current.symlink_to(f"versions/{publication_id(3)}")
    publish(home, publication_id(3), REQUIRED, keep=2)
    assert [version.publication_id for version in versions(home)] == [publication_id(5), publication_id(3)]
    assert seen(home) == publication_id(3)


READER = """
import duckdb, json, time
from cvm_pipeline.domain.contracts import TABLES
reads, ids, problems = 0, set(), []
named = [table for table in TABLES if table.writing in ("newest", "snapshot", "state") and table.schema == "cvm"]
sql = " union ".join(f"select publication_id from cvm.{table.name}" for table in named)
kept = duckdb.connect(str(home.published_file), read_only=True) if KEEP else None
first = kept.execute(sql).fetchall() if kept else None
print("ready", flush=True)
while not (home.root / "stop").exists():
    try:
        with duckdb.connect(str(home.published_file), read_only=True) as con:
            found = [row[0] for row in con.execute(sql).fetchall()]
            amounts = con.execute("select distinct revenue_total from cvm.customer_value union "
                                  "select distinct revenue_12m from cvm.segment_summary").fetchall()
        with duckdb.connect(str(home.published_pii_file), read_only=True) as con:
            names = con.execute("select distinct publication_id from cvm_pii.customer_pii").fetchall()
        if len(found) != 1 or len(amounts) != 1 or len(names) != 1:
            problems.append([found, str(amounts), names])
        if kept and kept.execute(sql).fetchall() != first:
            problems.append("a connection kept open changed what it sees")
        ids.update(found)
        reads += 1
    except Exception as error:
        problems.append(repr(error))
print(json.dumps([reads, sorted(ids), problems]))
"""


def test_readers_of_another_process_never_see_an_error_or_a_mix(home: Home, elsewhere: Elsewhere) -> None:
    publish_one(home, 0, customers=50)
    readers = [elsewhere(READER.replace("KEEP", str(keep))) for keep in (False, True)]
    for reader in readers:
        assert reader.stdout and reader.stdout.readline() == "ready\n"
    for number in range(1, 11):
        publish_one(home, number, customers=50, amount=number, keep=2)
    time.sleep(0.3)
    (home.root / "stop").touch()
    everything: set[str] = set()
    for reader in readers:
        output, errors = reader.communicate(timeout=60)
        assert reader.returncode == 0, errors
        reads, ids, problems = json.loads(output)
        assert problems == []
        assert reads >= 10
        everything.update(ids)
    assert publication_id(10) in everything and len(everything) > 3


def relied_on(home: Home, id_: str, column: str) -> None:
    """As if that version's readers knew one column more."""
    path = home.versions / id_ / "candidate.json"
    manifest = json.loads(path.read_text())
    manifest["contract"]["cvm.customer"][column] = "varchar"
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))
    resealed(path.parent)


def test_a_column_that_readers_rely_on_is_not_taken_away(home: Home) -> None:
    first = publish_one(home, 1).publication_id
    relied_on(home, first, "shoe_size")
    assert "customer.shoe_size is gone" in refused(home, make_candidate(home, 2))
    assert seen(home) == first


def test_a_rollback_takes_no_column_away_and_goes_to_kept_versions_only(home: Home) -> None:
    first, second = publish_one(home, 1).publication_id, publish_one(home, 2).publication_id
    relied_on(home, second, "shoe_size")
    for version, told in ((first, "customer.shoe_size is gone"), ("2020-01-01T000000Z-0000", "there is no version")):
        with pytest.raises(RollbackRefused, match=told):
            roll_back(home, version, "", BEGIN)
    assert seen(home) == second
    assert last_attempts(home) == []


def test_a_page_is_published_and_rolled_back_with_its_tables(home: Home) -> None:
    for number in (1, 2):
        fill(home)
        candidate = build_candidate(home, AS_OF, publication_id(number), "run")
        add_page(candidate, home.published_dictionary.name, f"page {number}")
        sealed = finish_candidate(candidate, checks(), publication_row(BEGIN + timedelta(seconds=number)))
        record = GateRecord(publication_id(number), AS_OF, sealed, True, checks(), datetime.now(UTC), "run")
        write_record(home, record)
        publish(home, publication_id(number), REQUIRED)
        assert home.published_dictionary.read_text() == f"page {number}"
    roll_back(home, publication_id(1), "a slip", BEGIN)
    assert home.published_dictionary.read_text() == "page 1"
    assert [attempt.outcome for attempt in last_attempts(home)] == ["rolled back"]
