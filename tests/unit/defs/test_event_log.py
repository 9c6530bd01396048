"""The event log whose connections are kept: the same files and rows as the library's own, and never many files open."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from cvm_pipeline.config.home import Home
from cvm_pipeline.defs.event_log import EventLog
from cvm_pipeline.defs.instance import instance_of


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="thing")])
def thing():
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, metadata={"seen": 3})])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_run_is_read_by_the_librarys_own_log_in_the_same_place(home: Home) -> None:
    with instance_of(home) as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        run = dg.materialize([thing], instance=instance)
        events = [event.message for event in instance.all_logs(run.run_id)]
    by_the_library = SqliteEventLogStorage(str(home.dagster / "history" / "runs"))
    assert [entry.message for entry in by_the_library.get_logs_for_run(run.run_id)] == events
    (key,) = by_the_library.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(dg.AssetKey("thing"), "holds")]
    ).values()
    assert (key.run_id, key.status.value) == (run.run_id, "SUCCEEDED")
    by_the_library.dispose()


def test_a_page_that_looks_at_many_runs_holds_few_files(home: Home) -> None:
    with instance_of(home) as instance:
        for number in range(12):
            assert instance.all_logs(f"run-{number}") == []
        held = open_below(home)
    # Those, each with its write-ahead log and its index in shared memory; runs.db is the library's.
    assert 0 < len({path for path in held if path.endswith(".db")}) <= 8
    assert open_below(home) == []


def test_a_run_whose_file_was_deleted_is_begun_anew(home: Home) -> None:
    with instance_of(home) as instance:
        run_id = dg.materialize([thing], instance=instance).run_id
        for path in (home.dagster / "history" / "runs").glob(f"{run_id}.db*"):
            path.unlink()
        assert instance.all_logs(run_id) == []


def open_below(home: Home) -> list[str]:
    """The files of the home's Dagster history that this process holds open."""
    paths = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [path for path in paths if path.startswith(str(home.dagster / "history" / "runs"))]
