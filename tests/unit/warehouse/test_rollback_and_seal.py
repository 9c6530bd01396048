"""Readers are pointed back and forward again, and a version is what was published or is not used at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from warehouse_sample import (
    AS_OF,
    REQUIRED,
    Crash,
    checks,
    make_candidate,
    publication_id,
    publication_row,
    publish_one,
)

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.redaction import Redaction
from cvm_pipeline.warehouse.attempts import last_attempts
from cvm_pipeline.warehouse.candidate import build_candidate, finish_candidate
from cvm_pipeline.warehouse.errors import PublicationRefused, RollbackRefused, TargetUnreachable, WarehouseError
from cvm_pipeline.warehouse.files import HOOKS
from cvm_pipeline.warehouse.gate_record import GateRecord, newest_judged, write_record
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.rollback import roll_back
from cvm_pipeline.warehouse.targets.used import UsedTarget, erase_from_earlier, used_targets
from cvm_pipeline.warehouse.versions import kept_ids, new_publication_id, standing

NOW = datetime(2026, 11, 25, tzinfo=UTC)
FIRST, SECOND, THIRD, FOURTH = (publication_id(number) for number in range(1, 5))


def dies_between_swap_and_mark(home: Home, number: int) -> str:
    id_ = make_candidate(home, number)

    def die(name: str) -> None:
        if name == "write published.json":
            raise Crash

    HOOKS.append(die)
    with pytest.raises(Crash):
        publish(home, id_, REQUIRED)
    HOOKS.clear()
    assert standing(home) == home.versions / id_
    return id_


def test_a_version_rolled_back_before_it_was_marked_does_not_come_back_by_a_retry_of_its_run(home: Home) -> None:
    publish_one(home, 1)
    id_ = dies_between_swap_and_mark(home, 2)
    roll_back(home, FIRST, "a slip", NOW)
    with pytest.raises(PublicationRefused, match=f"it stood before and was rolled back.*cvm rollback {SECOND}"):
        publish(home, id_, REQUIRED)
    assert standing(home) == home.versions / FIRST
    # Readers saw it: it is kept like any other.
    publish_one(home, 3)
    assert kept_ids(home) == [FIRST, SECOND, THIRD]


class Deaf:
    """A target that takes everything and dies when it is to show."""

    name = "deaf"

    def __init__(self) -> None:
        self.asked: list[str] = []

    @contextmanager
    def session(self, purpose: str):
        yield self

    def shown(self) -> None:
        return None

    def bring(self, version: object) -> None:
        self.asked.append("bring")

    def show(self, id_: str) -> None:
        raise TargetUnreachable("the target is down")


def test_a_publication_is_marked_before_its_target_is_asked_to_follow(home: Home) -> None:
    publish_one(home, 1)
    id_ = make_candidate(home, 2)
    with pytest.raises(TargetUnreachable):
        publish(home, id_, REQUIRED, target=Deaf())
    assert (home.versions / id_ / "published.json").exists()


def test_a_target_is_remembered_before_anything_is_brought_to_it(home: Home) -> None:
    publish_one(home, 1)
    target = Deaf()
    with pytest.raises(TargetUnreachable):
        publish(home, make_candidate(home, 2), REQUIRED, target=target)
    assert used_targets(home) == [UsedTarget("deaf", None)]
    assert erase_from_earlier(home, target, {"shop:1"}, Redaction([], [])) == (0, [])
    _, unreached = erase_from_earlier(home, None, {"shop:1"}, Redaction([], []))
    assert len(unreached) == 1 and "deaf: published to earlier" in unreached[0] and "targets.json" in unreached[0]


def test_a_rollback_whose_target_is_down_is_logged_all_the_same(home: Home) -> None:
    for number in (1, 2):
        publish_one(home, number)
    with pytest.raises(TargetUnreachable):
        roll_back(home, FIRST, "a slip", NOW, Deaf())
    assert standing(home) == home.versions / FIRST
    assert [attempt.reason for attempt in last_attempts(home)] == [f"from {SECOND} to {FIRST}: a slip"]


def test_a_rollback_that_can_not_be_logged_is_done_and_says_so(home: Home) -> None:
    for number in (1, 2):
        publish_one(home, number)
    home.attempts.mkdir()
    assert "the log of runs does not tell" in roll_back(home, FIRST, "", NOW).leftovers
    assert standing(home) == home.versions / FIRST


def test_what_readers_were_just_on_is_kept_after_a_rollback_whatever_its_number(home: Home) -> None:
    for number in (1, 2, 3):
        publish_one(home, number)
    roll_back(home, FIRST, "", NOW)
    publish_one(home, 4, keep=2)
    assert kept_ids(home) == [FIRST, FOURTH]


def test_a_publication_of_a_clock_years_ahead_is_rolled_back_from_and_locks_nobody_out(home: Home) -> None:
    publish_one(home, 1)
    ahead = new_publication_id(datetime(2031, 1, 1, tzinfo=UTC))
    sealed = finish_candidate(build_candidate(home, AS_OF, ahead, "run"), checks(), publication_row())
    write_record(home, GateRecord(ahead, AS_OF, sealed, True, checks(), datetime.now(UTC), "run"))
    publish(home, ahead, REQUIRED)
    with pytest.raises(PublicationRefused, match=f"{ahead}, which stands, is newer.*cvm rollback VERSION"):
        publish_one(home, 2)
    roll_back(home, FIRST, "a wrong clock", NOW)
    assert publish(home, make_candidate(home, 3), REQUIRED).publication_id == newest_judged(home) == THIRD


def edited(folder: Path) -> None:
    (folder / "warehouse.duckdb").chmod(0o644)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        con.execute("update cvm.customer_value set clv = 999999")


def truncated(folder: Path) -> None:
    path = folder / "pii.duckdb"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:5000])


def logged(folder: Path) -> None:
    (folder / "warehouse.duckdb.wal").write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "file"),
    [(edited, "warehouse.duckdb"), (truncated, "pii.duckdb"), (logged, "warehouse.duckdb.wal")],
    ids=["edited", "truncated", "a log slipped in"],
)
def test_a_version_changed_after_its_publication_is_neither_built_on_nor_gone_back_to(home: Home, harm, file) -> None:
    publish_one(home, 1, date(2024, 2, 29))
    publish_one(home, 2)
    harm(home.versions / SECOND)
    with pytest.raises(WarehouseError, match=rf"{file} was changed after it was published.*cvm rollback VERSION"):
        publish_one(home, 3)
    # What the message advises.
    roll_back(home, FIRST, "", NOW)
    with pytest.raises(RollbackRefused, match=f"{SECOND} is not what was published: {file} was changed"):
        roll_back(home, SECOND, "", NOW)
    publish_one(home, 4, AS_OF)
    assert standing(home) == home.versions / FOURTH


def test_bytes_changed_behind_an_unchanged_size_and_time_are_found_on_rollback(home: Home) -> None:
    for number in (1, 2):
        publish_one(home, number)
    path = home.versions / FIRST / "candidate.json"
    before = path.stat()
    path.chmod(0o600)
    path.write_text(path.read_text().replace("run-1", "run-9"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RollbackRefused, match=r"candidate\.json was changed"):
        roll_back(home, FIRST, "", NOW)


def test_a_home_restored_from_a_copy_with_other_times_goes_on(home: Home) -> None:
    publish_one(home, 1)
    restored = Home(home.root.with_name("restored"))
    shutil.copytree(home.root, restored.root, symlinks=True, copy_function=shutil.copyfile)
    publish_one(restored, 2)
    assert kept_ids(restored) == [FIRST, SECOND]


def test_current_resolved_once_gives_both_files_of_one_publication_whatever_happens_meanwhile(home: Home) -> None:
    publish_one(home, 1)
    folder = home.current.resolve()
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as con:
        publish_one(home, 2)
        con.execute(f"attach '{str(folder / 'pii.duckdb').replace(chr(39), 2 * chr(39))}' as pii (read_only)")
        seen = con.execute(
            "select distinct v.publication_id, p.publication_id from cvm.customer_value v"
            " join pii.cvm_pii.customer_pii p using (customer_id)"
        ).fetchall()
    assert seen == [(FIRST, FIRST)]
    assert standing(home) == home.versions / SECOND


def test_everything_on_the_way_to_the_first_publication_is_on_disk_before_readers_are_pointed_at_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk: list[Path] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        on_disk.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    before: list[Path] = []
    HOOKS.append(lambda name: before.extend(on_disk) if name == "swap link current" else None)
    id_ = publish_one(home, 1).publication_id
    folders = [home.root.parent, home.root, home.warehouse, home.versions, home.gate]
    files = [home.versions / f".candidate-{id_}" / n for n in ("warehouse.duckdb", "pii.duckdb", "candidate.json", "")]
    assert [path for path in (*folders, *files) if path not in before] == []
    # The swap itself, then the mark, and the folder that it lies in.
    after = on_disk[len(before) :]
    assert after[0] == home.warehouse and after[2:] == [home.versions / id_]
