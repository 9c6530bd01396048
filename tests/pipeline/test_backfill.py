"""A history made at once is the history that grew; what stands and could know nothing else today is left alone.

The grown shop is run for April when nothing later had been delivered; then all files arrive and `cvm backfill` makes the
rest. The shop beside it had all files from the beginning.
"""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pandas as pd
import pytest
from places import Place
from small_shop import LINES, write_csv, write_shop

APRIL, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 31)
BY_SNAPSHOT = ("customer_value_history", "segment_membership", "segment_summary", "segment_parameter", "pareto_curve",
               "clv_model_card", "customer_value", "customer", "customer_state_history", "value_change", "early_warning",
               "warning_test", "warning_record", "stage_transitions", "tier_transitions", "cohort_retention")  # fmt: skip


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """April's snapshot, made of what was delivered by then; then the rest is delivered."""
    place = Place(write_shop(tmp_path_factory.mktemp("grown") / "shop").parent)
    whole = {path: path.read_bytes() for path in sorted((place.folder / "landing").glob("lines-*.csv"))}
    for path in whole:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if not row["at"].startswith(("2024-05", "2024-06"))]
        write_csv(path, LINES, rows)
    outcome = place.run(APRIL)
    assert outcome.exit_code == 0, outcome.messages
    for path, content in whole.items():
        path.write_bytes(content)
    return place


@pytest.fixture(scope="module")
def filled(grown, tmp_path_factory):
    place = grown.copy(tmp_path_factory.mktemp("filled") / "shop")
    return place, place.cvm("backfill", "--from", "2024-04-01", "--to", "2024-06-15", "--json")


def test_what_stands_is_left_alone_and_what_is_missing_is_made(filled):
    _, said = filled
    assert said.code == 0, said.err
    assert [(row["as_of"], row["why"], row["published"] is None) for row in said.json] == [
        (str(APRIL), "stands unchanged", True),
        (str(MAY), "new", False),
    ]


def test_a_history_that_grew_month_by_month_equals_one_made_of_all_that_came(shop, filled):
    place, _ = filled
    for name in BY_SNAPSHOT:
        pd.testing.assert_frame_equal(shop.table(name), place.table(name), obj=name, check_exact=True)


@pytest.mark.long
def test_a_corrected_row_makes_its_snapshots_again_and_says_why(grown, filled, tmp_path):
    place = filled[0].copy(tmp_path / "shop")
    path = place.folder / "landing" / "lines-1-2023.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sound = next(row for row in rows if row["customer"] and row["price"] == row["price"].strip() and not row["state"])
    sound["price"] = f"{float(sound['price']) + 7:.2f}"
    write_csv(path, LINES, rows)
    # Only April is asked for: May then remembers a snapshot that was made anew, and status says so.
    said = place.cvm("backfill", "--from", "2024-04-30", "--to", "2024-04-30")
    assert said.code == 0, said.err
    assert "made again: its data or the configuration were changed since" in said.err
    assert place.cvm("status", "--json").json["stale_snapshots"] == [str(MAY)]


def test_a_source_that_can_not_be_read_is_told_though_every_day_stands(filled, tmp_path):
    place = filled[0].copy(tmp_path / "shop")
    path = place.folder / "landing" / "lines-1-2023.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("price", "prize", 1), encoding="utf-8")
    said = place.cvm("backfill", "--from", "2024-04-01", "--to", "2024-05-31")
    assert said.code not in (0, 3)
    assert "price" in said.err and "stands unchanged" not in said.err


def test_a_range_without_an_end_of_a_period_is_refused_with_the_nearest(shop, tmp_path):
    said = shop.copy(tmp_path / "shop").cvm("backfill", "--from", "2024-05-02", "--to", "2024-05-20")
    assert said.code == 2
    assert "no monthly period ends between 2024-05-02 and 2024-05-20" in said.err and str(APRIL) in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2024-05-31", "--to", "2024-04-30"), "lies after"),
        (("--to", "2199-01-31"), "no snapshot of a day to come"),
    ],
)
def test_a_range_that_can_not_be_is_refused(shop, arguments, words):
    said = shop.cvm("backfill", *arguments)
    assert said.code == 2
    assert words in said.err


@pytest.mark.long
def test_a_real_history_rebuilt_equals_the_one_that_grew_month_by_month(example):
    days = [dt.date(1997, 9, 30), dt.date(1997, 10, 31), dt.date(1997, 11, 30)]
    whole, grown = example("cdnow_sample"), example("cdnow_sample")
    config = grown.config.read_text(encoding="utf-8")
    source = Path(grown.project.glob_pattern("package:lifetimes/datasets/CDNOW_sample.txt"))
    rows = source.read_text(encoding="utf-8").splitlines(keepends=True)
    file = grown.folder / "cdnow.txt"
    grown.config.write_text(config.replace("package:lifetimes/datasets/CDNOW_sample.txt", file.name), encoding="utf-8")
    for day in days:
        file.write_text("".join(row for row in rows if row.split()[2] <= f"{day:%Y%m%d}"), encoding="utf-8")
        outcome = grown.run(day)
        assert outcome.exit_code == 0, outcome.messages
    said = whole.cvm("backfill", "--from", str(days[0]), "--to", str(days[-1]))
    assert said.code == 0, said.err
    for name in BY_SNAPSHOT:
        pd.testing.assert_frame_equal(whole.table(name), grown.table(name), obj=name, check_exact=True)
