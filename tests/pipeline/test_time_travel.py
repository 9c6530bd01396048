"""Snapshots are points in time: what is added later changes none, and memory is the newest published one of the grid.

The shop is run for its grid (2024-04-30, 2024-05-31); then, on a copy, rows of June arrive and three snapshots are made:
one between the two that is not on the grid, then both of the grid again.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from places import Place
from small_shop import LINES, write_csv

APRIL, BETWEEN, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 15), dt.date(2024, 5, 31)
BY_SNAPSHOT = ("customer_value_history", "segment_membership", "segment_summary", "segment_parameter", "pareto_curve",
               "clv_model_card", "value_change", "cohort_retention", "stage_transitions", "tier_transitions",
               "early_warning", "warning_test", "warning_record")  # fmt: skip
OF_THE_NEWEST = ("customer_value", "customer", "customer_pii", "unmatched_return")


@pytest.fixture(scope="module")
def later(shop, tmp_path_factory):
    """The shop with rows of June: orders, returns of what was bought before, cancellations and newcomers."""
    place = shop.copy(tmp_path_factory.mktemp("later") / "shop")
    with (place.folder / "landing" / "lines-2-2024.csv").open(encoding="utf-8") as file:
        bought = [line.split(",")[0] for line in file if line.split(",")[2][:7] == "2024-05" and line[0] == "c"]
    line = dict.fromkeys(LINES, "") | {"sku": "s01", "qty": "2", "price": "30.00", "currency": "EUR", "channel": "web"}
    rows = [
        {**line, "order": f"june-{n}", "customer": f"c{n:04}", "at": f"2024-06-{1 + n % 27:02} 12:00:00"}
        for n in (*range(1, 120), *range(3000, 3020))
    ]
    rows += [
        {**line, "order": f"back-{order}", "customer": order.split("-")[0], "at": "2024-06-20 12:00:00", "qty": "-1",
         "price": "5.00", "of": order} for order in sorted(set(bought))[:30]
    ]  # fmt: skip
    write_csv(place.folder / "landing" / "lines-4-june.csv", LINES, rows)
    return place


@pytest.fixture(scope="module")
def off_grid(later, tmp_path_factory):
    """A snapshot made late for a day between two of the grid."""
    place = later.copy(tmp_path_factory.mktemp("between") / "shop")
    outcome = place.run(BETWEEN)
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture(scope="module")
def april_again(off_grid, tmp_path_factory):
    place = off_grid.copy(tmp_path_factory.mktemp("april-again") / "shop")
    outcome = place.run(APRIL)
    assert outcome.exit_code == 0, outcome.messages
    return place


@pytest.fixture(scope="module")
def may_again(april_again, tmp_path_factory):
    place = april_again.copy(tmp_path_factory.mktemp("may-again") / "shop")
    outcome = place.run(MAY)
    assert outcome.exit_code == 0, outcome.messages
    return place


def _same_snapshot(one: Place, other: Place, as_of: dt.date) -> None:
    for name in BY_SNAPSHOT:
        where = f"as_of_date = date '{as_of}'"
        pd.testing.assert_frame_equal(one.table(name, where), other.table(name, where), obj=name, check_exact=True)


def _stale(place: Place) -> list[str]:
    return place.cvm("status", "--json").json["stale_snapshots"]


def test_a_snapshot_of_an_older_day_leaves_the_tables_of_the_newest(shop, off_grid):
    for name in OF_THE_NEWEST:
        pd.testing.assert_frame_equal(shop.table(name), off_grid.table(name), obj=name, check_exact=True)
    assert off_grid.column("select as_of_date from cvm.current_publication") == [MAY]
    _same_snapshot(shop, off_grid, APRIL)
    _same_snapshot(shop, off_grid, MAY)
    dates = off_grid.column("select distinct as_of_date from cvm.customer_value_history order by 1")
    assert dates == [APRIL, BETWEEN, MAY]


def test_rows_added_later_change_no_column_of_an_earlier_snapshot(shop, april_again):
    _same_snapshot(shop, april_again, APRIL)
    assert april_again.work("select count(*) from clean.orders where ordered_date >= date '2024-06-01'")[0][0] > 130


def test_the_newest_snapshot_made_again_is_the_same(shop, may_again):
    _same_snapshot(shop, may_again, MAY)
    for name in OF_THE_NEWEST:
        pd.testing.assert_frame_equal(shop.table(name), may_again.table(name), obj=name, check_exact=True)


def test_a_snapshot_made_again_stands_once(may_again):
    rows, customers, publications = may_again.ask(
        "select count(*), count(distinct customer_id), count(distinct publication_id) from cvm.customer_value_history "
        "where as_of_date = ?",
        MAY,
    )[0]
    assert rows == customers
    assert publications == 1


def test_what_a_snapshot_remembers_is_the_newest_of_the_grid_not_one_between(shop, may_again):
    rows = """select n.customer_id, n.previous_tier, n.previous_stage, g.value_tier, g.lifecycle_stage
              from cvm.customer_value n left join cvm.customer_value_history g
                on g.customer_id = n.customer_id and g.as_of_date = date '2024-04-30'"""
    for place in (shop, may_again):
        found = place.ask(rows)
        assert [row for row in found if row[1:3] != row[3:5]] == []
        assert sum(row[1] is not None for row in found) > 250
    # The one between would have said otherwise.
    between = may_again.ask("""select count(*) from cvm.customer_value n join cvm.customer_value_history b
        on b.customer_id = n.customer_id and b.as_of_date = date '2024-05-15'
        where n.previous_stage <> b.lifecycle_stage or n.previous_tier <> b.value_tier""")
    assert between[0][0] > 0


def test_the_first_snapshot_remembers_nothing(shop_in_april):
    assert shop_in_april.column("select count(*) from cvm.customer_value where previous_tier is not null") == [0]
    assert shop_in_april.column("select count(*) from cvm.customer_value where stage_since <> as_of_date") == [0]


def test_a_stay_in_a_stage_is_dated_by_its_first_snapshot(shop):
    rows = shop.ask("select lifecycle_stage = previous_stage, stage_since from cvm.customer_value")
    assert {stage_since for stayed, stage_since in rows if stayed} == {APRIL}
    assert {stage_since for stayed, stage_since in rows if not stayed} == {MAY}


def test_status_tells_which_snapshots_a_rewritten_one_left_behind(shop, off_grid, april_again, may_again):
    assert _stale(shop) == []
    # Nothing is remembered from a snapshot off the grid: made late, it leaves nobody behind.
    assert _stale(off_grid) == []
    assert _stale(april_again) == [str(BETWEEN), str(MAY)]
    assert "stale: 2024-05-15, 2024-05-31" in april_again.cvm("status").out
    assert _stale(may_again) == [str(BETWEEN)]


def test_rows_that_come_late_change_the_snapshots_that_would_know_them(shop, later, off_grid):
    def changed(place):
        return place.cvm("status", "--json").json["changed_snapshots"]

    # All of June lies after them, but for a return of it nothing is known earlier.
    assert changed(shop) == changed(later) == changed(off_grid) == []
    late = off_grid.copy(off_grid.folder.parent / "late")
    late.work("update clean.orders set amount = amount + 1 where ordered_date = date '2024-05-20'")
    said = late.cvm("status")
    assert "changed since: 2024-05-31 (made of other data" in said.out
    assert "run -c" in said.out and "--as-of 2024-05-31" in said.out


def test_the_end_of_a_run_for_an_earlier_day_says_that_readers_see_a_later_one(april_again, capsys):
    from cvm_pipeline.cli.run import report
    from cvm_pipeline.defs.launch import Outcome

    published = april_again.column("select publication_id from cvm.current_publication")[0]
    report(april_again.project, Outcome(0, APRIL, "run", published=published))
    said = capsys.readouterr().err
    assert f"Published {published} as of 2024-04-30" in said
    assert "customer_value is still the snapshot of 2024-05-31" in said
    assert "--as-of 2024-05-15" in said, "the stale ones, with what makes them anew"


def _as_of(place: Place, day: dt.date) -> dt.date:
    from cvm_pipeline.defs.launch import newest_sensible_day

    return newest_sensible_day(place.project, dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC))


def test_the_day_by_default_is_yesterday_but_not_later_than_the_newest_accepted_order(shop, tmp_path):
    place = shop.copy(tmp_path / "shop")
    ((newest,),) = place.work(
        "select max(ordered_date) from clean.orders where void_date is distinct from ordered_date"
    )
    assert _as_of(place, dt.date(2030, 1, 1)) == newest
    assert _as_of(place, dt.date(2024, 6, 1)) == MAY


def test_yesterday_is_the_day_before_in_the_zone_of_the_project(shop, tmp_path):
    from cvm_pipeline.defs.launch import newest_sensible_day

    place = shop.copy(tmp_path / "shop")
    # Half past eleven in the evening in UTC is the next morning in Berlin.
    assert newest_sensible_day(place.project, dt.datetime(2024, 5, 31, 23, 30, tzinfo=dt.UTC)) == MAY
