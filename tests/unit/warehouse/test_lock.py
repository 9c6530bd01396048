from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable

import pytest

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.errors import LockHeld, WarehouseError
from cvm_pipeline.warehouse.lock import lock_holder, run_lock

HOLD = """
from cvm_pipeline.warehouse.lock import run_lock
import time
with run_lock(home, "cvm run", "run-7"):
    print("held", flush=True)
    time.sleep(60)
"""
Elsewhere = Callable[[str], "subprocess.Popen[str]"]


def test_a_second_process_is_told_who_holds_the_lock_and_what_to_do(home: Home, elsewhere: Elsewhere) -> None:
    other = elsewhere(HOLD)
    assert other.stdout and other.stdout.readline() == "held\n"
    with pytest.raises(LockHeld) as refused, run_lock(home, "cvm backfill"):
        pass
    message = str(refused.value)
    assert f"process {other.pid} on {os.uname().nodename} since 20" in message
    assert "`cvm run`" in message and "run-7" in message and "Wait until it is done" in message
    held = lock_holder(home)
    assert held is not None and held.pid == other.pid


def test_the_lock_of_a_killed_process_is_no_obstacle(home: Home, elsewhere: Elsewhere) -> None:
    other = elsewhere(HOLD)
    assert other.stdout and other.stdout.readline() == "held\n"
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert json.loads(home.lock.read_text())["pid"] == other.pid
    assert lock_holder(home) is None
    with run_lock(home, "cvm run") as holder:
        assert holder.pid == os.getpid()


def test_the_lock_is_reentrant_within_a_thread_and_freed_by_the_outermost(home: Home, elsewhere: Elsewhere) -> None:
    with run_lock(home, "cvm run", "outer"):
        with run_lock(home, "publish", "inner") as inner:
            assert inner.run_id == "outer"
        with pytest.raises(AssertionError, match="LockHeld"):
            _run(elsewhere(HOLD.replace("60", "0")))
    _run(elsewhere(HOLD.replace("60", "0")))
    assert lock_holder(home) is None


def test_the_lock_is_freed_when_the_block_raises(home: Home) -> None:
    with pytest.raises(KeyError), run_lock(home, "cvm run"):
        raise KeyError
    assert lock_holder(home) is None


def test_a_forked_child_does_not_share_its_parents_lock(home: Home) -> None:
    with run_lock(home, "cvm run"):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with run_lock(home, "child"):
                    pass
            except LockHeld:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert lock_holder(home) is not None


def test_two_threads_of_one_process_are_two_runs(home: Home) -> None:
    told: list[str] = []

    def other() -> None:
        try:
            with run_lock(home, "another run"):
                told.append("both are in")
        except LockHeld as refused:
            told.append(str(refused))

    with run_lock(home, "cvm run", "run-7"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"`cvm run`, process {os.getpid()}" in told[0] and "run-7" in told[0]


def test_a_forked_child_keeps_no_lock_that_its_parent_has_freed(home: Home, elsewhere: Elsewhere) -> None:
    with run_lock(home, "cvm run"):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        _run(elsewhere(HOLD.replace("60", "0")))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_forked_child_keeps_no_lock_beyond_its_parents_death(home: Home, elsewhere: Elsewhere) -> None:
    parent = elsewhere(
        HOLD.replace("time.sleep(60)", "import os\n    print(os.fork() or '', flush=True)\n    time.sleep(60)")
    )
    assert parent.stdout and parent.stdout.readline() == "held\n"
    child = max(int(parent.stdout.readline().strip() or 0), int(parent.stdout.readline().strip() or 0))
    parent.kill()
    parent.wait()
    try:
        with run_lock(home, "cvm run") as holder:
            assert holder.pid == os.getpid()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    "record", [{"pid": 1, "host": os.uname().nodename}, {"pid": 77777, "host": "a container gone"}]
)
def test_a_dead_runs_record_is_nobody_whoever_bears_its_number_now(home: Home, record: dict[str, object]) -> None:
    home.root.mkdir(parents=True)
    home.lock.write_text(
        json.dumps({**record, "since": "2026-11-01T00:00:00+00:00", "command": "cvm run", "run_id": ""})
    )
    assert lock_holder(home) is None


def test_looking_at_the_lock_keeps_nobody_out(home: Home) -> None:
    home.root.mkdir(parents=True)
    home.lock.touch()
    looking = os.open(home.lock, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [looking]).start()
    with run_lock(home, "cvm run") as holder:
        assert lock_holder(home) == holder


def test_a_home_that_is_a_file_gives_a_clear_error(home: Home) -> None:
    home.root.parent.mkdir(exist_ok=True)
    home.root.write_text("")
    with pytest.raises(WarehouseError, match=r"taking the run lock: .*run.lock"), run_lock(home, "cvm run"):
        pass


def _run(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
