from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from warehouse_sample import (
    AS_OF,
    checks,
    fill,
    publication_id,
    publication_row,
    publish_one,
    resealed,
    storage_version,
)

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import TABLES
from cvm_pipeline.warehouse import candidate_tables
from cvm_pipeline.warehouse.candidate import build_candidate, finish_candidate, open_candidate, read_candidate
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.files import content_hash
from cvm_pipeline.warehouse.versions import standing
from cvm_pipeline.warehouse.work import EngineSettings, connect

EARLIER = date(2024, 2, 29)
LATER = date(2024, 4, 30)


def rows(home: Home, sql: str) -> list[tuple[object, ...]]:
    folder = standing(home)
    assert folder is not None
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        con.execute(f"attach '{str(folder / 'pii.duckdb').replace(chr(39), chr(39) * 2)}' as pii (read_only)")
        return con.execute(sql).fetchall()


def test_every_table_holds_what_the_run_gave_and_the_publications_id(home: Home) -> None:
    fill(home, customers=3, amount=7)
    candidate = build_candidate(home, AS_OF, publication_id(1), "run-1", EngineSettings("500MB", 2))
    assert candidate.rows["customer_value"] == candidate.rows["customer_value_history"] == 3
    assert candidate == read_candidate(home, publication_id(1))
    finish_candidate(candidate, checks(), publication_row())
    with open_candidate(candidate) as con:
        for table in TABLES:
            catalog = "pii" if table.schema == "cvm_pii" else "warehouse"
            name = f"{catalog}.{table.schema}.{table.name}"
            found = con.execute(f"select publication_id from {name}").fetchall()
            assert found and set(found) == {(publication_id(1),)}, name
            assert [column[0] for column in con.execute(f"select * from {name}").description] == list(table.names)
        assert con.execute('select "T", revenue_total from cvm.customer_value').fetchone() == (1, Decimal("7.0000"))
        assert con.execute("select * from cvm.current_publication").fetchall() == [
            (publication_id(1), AS_OF, datetime(2026, 11, 22, 13, 0))
        ]


def test_names_lie_in_a_file_of_their_own_that_only_its_owner_may_read(home: Home) -> None:
    fill(home)
    candidate = build_candidate(home, AS_OF, publication_id(1), "run-1")
    finish_candidate(candidate, checks(), publication_row())
    assert candidate.folder.stat().st_mode & 0o777 == 0o700
    assert candidate.pii_file.stat().st_mode & 0o777 == 0o600
    assert (storage_version(candidate.file), storage_version(candidate.pii_file)) == (65, 65)
    with duckdb.connect(str(candidate.file), read_only=True) as con:
        assert con.execute("select count(*) from duckdb_tables() where schema_name = 'cvm_pii'").fetchone() == (0,)


def test_an_older_snapshot_does_not_overwrite_the_newest_tables(home: Home) -> None:
    publish_one(home, 1, AS_OF, customers=3, amount=5)
    publish_one(home, 2, EARLIER, customers=2, amount=9)
    assert rows(home, "select distinct as_of_date, revenue_total, publication_id from cvm.customer_value") == [
        (AS_OF, Decimal("5.0000"), publication_id(1))
    ]
    assert rows(home, "select count(*) from pii.cvm_pii.customer_pii") == [(3,)]
    assert rows(home, "select as_of_date, count(*) from cvm.customer_value_history group by all order by all") == [
        (EARLIER, 2),
        (AS_OF, 3),
    ]
    assert rows(home, "select publication_id, as_of_date from cvm.current_publication") == [(publication_id(2), AS_OF)]
    assert rows(home, "select publication_id from cvm.ingest_audit") == [(publication_id(2),)]


def test_a_newer_snapshot_replaces_the_newest_tables_and_keeps_history(home: Home) -> None:
    publish_one(home, 1, AS_OF, customers=3)
    publish_one(home, 2, LATER, customers=4)
    assert rows(home, "select as_of_date, count(*) from cvm.customer_value group by all") == [(LATER, 4)]
    assert rows(home, "select count(*) from cvm.customer_value_history") == [(7,)]
    assert rows(home, "select publication_id, as_of_date, status from cvm.publication order by 1") == [
        (publication_id(1), AS_OF, "published"),
        (publication_id(2), LATER, "published"),
    ]
    assert rows(home, "select count(distinct publication_id) from cvm.data_quality_result") == [(2,)]


def test_a_snapshot_made_again_replaces_its_own_rows(home: Home) -> None:
    publish_one(home, 1, AS_OF, customers=3, amount=1)
    publish_one(home, 2, LATER, customers=3, amount=1)
    publish_one(home, 3, AS_OF, customers=2, amount=8)
    history = "select as_of_date, publication_id, count(*), max(margin_total) from cvm.customer_value_history"
    assert rows(home, history + " group by all order by all") == [
        (AS_OF, publication_id(3), 2, Decimal("8.0000")),
        (LATER, publication_id(2), 3, Decimal("1.0000")),
    ]


def test_all_that_is_missing_or_would_lose_digits_is_told_at_once(home: Home) -> None:
    fill(home)
    with connect(home) as con:
        con.execute("drop table candidate.pareto_curve")
        con.execute("alter table candidate.customer_value drop column p_alive")
        con.execute("alter table candidate.customer_value alter column clv type double")
        con.execute("alter table candidate.segment_summary alter column clv type decimal(38,8)")
        con.execute("alter table candidate.segment_parameter alter column as_of_date type timestamp")
    with pytest.raises(WarehouseError) as refused:
        build_candidate(home, AS_OF, publication_id(1), "run-1")
    message = str(refused.value)
    assert "candidate.pareto_curve is missing" in message
    assert "candidate.customer_value lacks p_alive" in message
    assert "candidate.customer_value.clv is DOUBLE, which would lose digits as decimal(18,4)" in message
    assert "candidate.segment_summary.clv is DECIMAL(38,8)" in message
    assert "candidate.segment_parameter.as_of_date is TIMESTAMP" in message


def test_rows_of_another_snapshot_are_refused(home: Home) -> None:
    fill(home, EARLIER)
    with pytest.raises(WarehouseError, match="customer_value holds 3 rows of another snapshot than 2024-03-31"):
        build_candidate(home, AS_OF, publication_id(1), "run-1")


def test_a_null_where_the_contract_forbids_it_is_refused_with_the_column(home: Home) -> None:
    fill(home)
    with connect(home) as con:
        con.execute("update candidate.customer_value set lifecycle_stage = null")
    with pytest.raises(WarehouseError, match=r"customer_value of the candidate breaks.*lifecycle_stage"):
        build_candidate(home, AS_OF, publication_id(1), "run-1")


def test_a_publication_row_that_does_not_fit_is_refused(home: Home) -> None:
    fill(home)
    candidate = build_candidate(home, AS_OF, publication_id(1), "run-1")
    row = publication_row() | {"mood": "good"}
    del row["currency"]
    with pytest.raises(WarehouseError, match="missing currency; unknown mood"):
        finish_candidate(candidate, checks(), row)
    with pytest.raises(WarehouseError, match="published_at needs a zone"):
        finish_candidate(candidate, checks(), publication_row(datetime(2026, 1, 1)))


def test_sealing_twice_leaves_one_publication_row_and_one_result_a_check(home: Home) -> None:
    fill(home)
    candidate = build_candidate(home, AS_OF, publication_id(1), "run-1")
    finish_candidate(candidate, checks(), publication_row())
    later = datetime(2026, 11, 22, 15, tzinfo=UTC) + timedelta(hours=1)
    assert finish_candidate(candidate, checks(observed=4.5), publication_row(later)) == content_hash(candidate.folder)
    with open_candidate(candidate) as con:
        assert con.execute("select published_at from cvm.publication").fetchall() == [(later.replace(tzinfo=None),)]
        found = con.execute("select count(*), max(observed) from cvm.data_quality_result").fetchone()
        assert found == (len(checks()), "4.5")


def test_a_table_of_an_earlier_contract_is_carried_into_todays_columns(home: Home) -> None:
    publish_one(home, 1, EARLIER, customers=3)
    folder = standing(home)
    assert folder is not None
    (folder / "warehouse.duckdb").chmod(0o644)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        con.execute("alter table cvm.customer_value_history drop column needs")
        con.execute("alter table cvm.customer_value_history add column gone integer")
        con.execute("drop table cvm.pareto_curve")
    resealed(folder)
    publish_one(home, 2, AS_OF, customers=2)
    found = rows(
        home, "select as_of_date, count(needs), count(*) from cvm.customer_value_history group by 1 order by 1"
    )
    assert found == [(EARLIER, 0, 3), (AS_OF, 2, 2)]
    assert rows(home, "select count(*) from cvm.pareto_curve") == [(1,)]


def test_standing_rows_that_cannot_meet_todays_contract_are_an_error_that_names_the_table(home: Home) -> None:
    publish_one(home, 1, EARLIER, customers=3)
    folder = standing(home)
    assert folder is not None
    (folder / "warehouse.duckdb").chmod(0o644)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        con.execute("alter table cvm.customer_value_history drop column value_tier")
    resealed(folder)
    fill(home)
    with pytest.raises(WarehouseError, match="published rows of customer_value_history do not fit"):
        build_candidate(home, AS_OF, publication_id(2), "run-2")


def test_what_a_dead_run_left_is_removed_before_the_next_candidate(home: Home) -> None:
    fill(home)
    dead = build_candidate(home, AS_OF, publication_id(1), "run-1")
    alive = build_candidate(home, AS_OF, publication_id(2), "run-2")
    assert not dead.folder.exists() and alive.folder.exists()


def test_an_id_that_was_published_cannot_be_built_again(home: Home) -> None:
    publish_one(home, 1)
    with pytest.raises(WarehouseError, match="exists already"):
        build_candidate(home, AS_OF, publication_id(1), "run-1")
    with pytest.raises(ValueError, match="not a publication id"):
        build_candidate(home, AS_OF, "../../etc", "run-1")


def test_many_checks_are_written_in_parts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_tables, "_INSERT_ROWS", 4)
    publish_one(home, 1)
    assert rows(home, "select count(*) from cvm.data_quality_result") == [(len(checks()),)]


def test_publishing_one_snapshot_again_and_again_does_not_let_the_file_grow_without_end(home: Home) -> None:
    sizes = [publish_one(home, number, customers=20_000).folder / "warehouse.duckdb" for number in range(1, 6)]
    assert sizes[-1].stat().st_size < 3 * sizes[0].stat().st_size
