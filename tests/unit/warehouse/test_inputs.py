"""Which published snapshots would come out otherwise today."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date

import pytest
from warehouse_sample import REQUIRED, fill, judge_candidate, publication_row

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.inputs import changed_snapshots, inputs_digest
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.work import connect

JANUARY, FEBRUARY = date(2025, 1, 31), date(2025, 2, 28)
CLEAN = """
create or replace table clean.orders as select * from (values
  ('o1', 'c1', timestamp '2025-01-10 10:00', date '2025-01-10', 10.00, null, false, null::date),
  ('o2', 'c2', timestamp '2025-02-10 10:00', date '2025-02-10', 90000.00, null, false, null::date)
) t(order_id, customer_id, ordered_at, ordered_date, amount, cost, is_return, void_date);
create or replace table clean.return_allocations as select * from (values
  ('r1', 1, 'o1', 'c1', date '2025-01-10', date '2025-01-20', 1.00, 'credit')
) t(return_id, return_line, order_id, customer_id, ordered_date, returned_date, amount, kind);
create or replace table clean.unmatched_returns as select * from (values
  ('r2', 1, 'c1', timestamp '2025-01-10 10:00', date '2025-01-10', 1.00)
) t(order_id, line, customer_id, returned_at, returned_date, amount);
create or replace table clean.customers as select 'c1' as customer_id, null::date as version_date, true as is_current;
create or replace table clean.state as select 'built' as state;
"""


@pytest.fixture
def two_months(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Snapshots of January and February, each published with the digest of what it knew."""
    with connect(home) as con:
        con.execute(CLEAN)
    for number, day in enumerate((JANUARY, FEBRUARY)):
        with connect(home) as con:
            known = inputs_digest(con, day, "rules")
        monkeypatch.setattr(
            "warehouse_sample.publication_row", lambda at, known=known: publication_row(at) | {"inputs": known}
        )
        fill(home, day)
        publish(home, judge_candidate(home, number, day), REQUIRED, 10)
    return home


def test_snapshots_of_the_data_that_stand_are_not_changed(two_months: Home) -> None:
    assert changed_snapshots(two_months, "rules") == []


def test_a_corrected_row_changes_the_snapshots_that_knew_it_and_no_other(two_months: Home) -> None:
    with connect(two_months) as con:
        con.execute("delete from clean.orders where order_id = 'o2'")
    assert changed_snapshots(two_months, "rules") == [FEBRUARY]


def test_another_configuration_changes_every_snapshot_and_only_the_newest_are_looked_at(two_months: Home) -> None:
    assert changed_snapshots(two_months, "other rules") == [JANUARY, FEBRUARY]
    assert changed_snapshots(two_months, "other rules", newest=1) == [FEBRUARY]


def test_clean_tables_that_are_half_built_or_gone_say_nothing_of_any_snapshot(two_months: Home) -> None:
    with connect(two_months) as con:
        con.execute("delete from clean.orders")
        con.execute("delete from clean.state")
    assert changed_snapshots(two_months, "rules") == []
    two_months.work_file.unlink()
    assert changed_snapshots(two_months, "rules") == []


def test_a_work_file_that_another_process_writes_is_left_alone(
    two_months: Home, elsewhere: Callable[[str], subprocess.Popen[str]]
) -> None:
    with connect(two_months) as con:
        con.execute("delete from clean.orders")
    writer = elsewhere("import time\nwith connect(home):\n  print('open', flush=True); time.sleep(60)\n")
    assert writer.stdout is not None and writer.stdout.readline() == "open\n"
    assert changed_snapshots(two_months, "rules") == []
