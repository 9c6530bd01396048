"""What is said of snapshots that are out of date, and of a run that was for an earlier day than readers see."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from cvm_pipeline.cli.remarks import making_anew, told_behind, told_elsewhere, told_vanished, told_warnings
from cvm_pipeline.config.load import load_project
from cvm_pipeline.domain.calendar import is_period_end
from cvm_pipeline.sources.ingest import Vanished
from cvm_pipeline.warehouse.summary import Warned

JANUARY, FEBRUARY, MIDDLE = date(2025, 1, 31), date(2025, 2, 28), date(2025, 2, 14)


def _on_grid(day: date) -> bool:
    return is_period_end(day, "monthly")


def _whole(first: date, last: date) -> bool:
    return True


def test_one_snapshot_is_made_anew_by_a_run_and_several_of_the_grid_by_a_backfill() -> None:
    assert making_anew({FEBRUARY}, _on_grid, _whole) == ["cvm run --as-of 2025-02-28"]
    assert making_anew({FEBRUARY, JANUARY}, _on_grid, _whole) == ["cvm backfill --from 2025-01-31 --to 2025-02-28"]


def test_no_snapshot_that_never_was_is_made_by_making_others_anew() -> None:
    def is_whole(first: date, last: date) -> bool:
        return not first <= date(2024, 12, 31) <= last

    days = {date(2024, 10, 31), date(2024, 11, 30), JANUARY, FEBRUARY}
    assert making_anew(days, _on_grid, is_whole) == [
        "cvm backfill --from 2024-10-31 --to 2024-11-30",
        "cvm backfill --from 2025-01-31 --to 2025-02-28",
    ]


def test_what_lies_off_the_grid_is_made_anew_after_the_grid_that_it_remembers() -> None:
    assert making_anew({MIDDLE, FEBRUARY}, _on_grid, _whole) == [
        "cvm run --as-of 2025-02-28",
        "cvm run --as-of 2025-02-14",
    ]


def test_a_run_for_an_earlier_day_says_which_snapshot_readers_still_see() -> None:
    assert told_behind(FEBRUARY, FEBRUARY) == ""
    said = told_behind(JANUARY, FEBRUARY)
    assert "customer_value is still the snapshot of 2025-02-28" in said
    assert said.endswith("--as-of 2025-02-28")


def test_three_warnings_are_told_in_their_own_words_and_the_rest_is_pointed_to() -> None:
    warned = [Warned("gate_fact", "clv_is_like_the_past", "0 (0.0, against 100.0)", None),
              Warned("customer", "rows_are_like_the_last", "3 rows", "sold a shop"),
              *(Warned("customer", f"check_{n}", "x", None) for n in range(3))]  # fmt: skip
    said = told_warnings("2026-11-25T103102Z-a625", warned)
    assert said[0] == "warned: not so: clv is like the past (gate_fact); found 0 (0.0, against 100.0)"
    assert said[1] == "accepted (sold a shop): not so: rows are like the last (customer); found 3 rows"
    assert len(said) == 4
    assert said[3].startswith("and 2 more; ")
    assert "gate explain" in said[3] and said[3].endswith("2026-11-25T103102Z-a625")
    assert told_warnings("2026-11-25T103102Z-a625", []) == []


def test_files_that_are_gone_but_count_are_told_with_what_takes_them_back() -> None:
    assert told_vanished([]) == []
    assert told_vanished([Vanished("orders", "orders-2025-02.csv", 352)]) == [
        "1 file no longer there still counts: orders-2025-02.csv (352 rows); an empty file of that name takes them back"
    ]
    (many,) = told_vanished([Vanished("orders", f"o{n}.csv", n) for n in range(1, 8)])
    assert many.startswith("7 files no longer there still count: o7.csv (7 rows), o6.csv (6 rows)")
    assert " and 2 more; empty files of those names take them back" in many


def test_where_else_publications_stand_is_said_without_a_secret_and_without_its_variable(tmp_path: Path) -> None:
    sources = "sources: [{entity: orders, path: o.csv, columns: {ordered_at: a, amount: b}}]\n"

    def told(publish: str, environ: dict[str, str]) -> str:
        (tmp_path / "cvm.yml").write_text(sources + publish)
        return told_elsewhere(load_project(tmp_path / "cvm.yml", environ, secrets=False))

    postgres = "publish: {target: postgres, dsn: '${DSN}'}\n"
    assert told("", {}) == ""
    assert told("publish: {target: parquet, folder: lake}\n", {}).endswith(f"Parquet files in {tmp_path}/lake")
    assert told(postgres, {"DSN": "postgresql://me:s3cret@db/sales"}) == "Published to as well: PostgreSQL at db/sales"
    assert "publish.dsn, whose variable is not set" in told(postgres, {})
