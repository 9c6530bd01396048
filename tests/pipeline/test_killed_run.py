"""A run that is killed as a whole leaves what readers see, and the next one completes without anybody's hand."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from conftest import APRIL, MAY
from places import Place


def killed(place: Place, when: Callable[[float], bool]) -> bool:
    """Start `cvm run` and end its whole process group by SIGKILL; whether it was still at work then."""
    run = subprocess.Popen(
        [sys.executable, "-c", "from cvm_pipeline.cli.main import run; run()",
         "run", "-c", str(place.config), "--as-of", str(MAY)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env={**os.environ},
    )  # fmt: skip
    begun = time.monotonic()
    while run.poll() is None and not when(time.monotonic() - begun):
        time.sleep(0.002)
    at_work = run.poll() is None
    if at_work:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return at_work


def one_whole_publication(place: Place) -> str:
    (standing,) = place.column("select publication_id from cvm.current_publication")
    assert place.column("select distinct publication_id from cvm.customer_value") == [standing]
    return standing


def test_a_run_killed_while_it_builds_its_candidate_changes_nothing_and_the_next_completes(one_time_buyers, tmp_path):
    place = one_time_buyers.copy(tmp_path / "base")
    before, versions = place.fingerprint(), place.home.versions
    assert killed(place, lambda _: any(versions.glob(".candidate-*/warehouse.duckdb")))
    assert place.fingerprint() == before
    assert place.cvm("status", "--json").json["running"] is None
    outcome = place.run(MAY)
    assert outcome.exit_code == 0, outcome.messages
    assert [path for path in versions.iterdir() if path.name.startswith(".")] == []
    assert one_whole_publication(place) == outcome.published


@pytest.mark.long
def test_a_run_killed_at_any_time_changes_all_or_nothing_and_the_next_completes(one_time_buyers, tmp_path):
    place = one_time_buyers.copy(tmp_path / "base")
    begun = time.monotonic()
    assert place.run(APRIL).exit_code == 0
    takes, died = time.monotonic() - begun, 0
    chance = random.Random(7)
    for _ in range(15):
        moment = chance.uniform(0, 2 * takes)
        died += killed(place, lambda passed, at=moment: passed > at)
        one_whole_publication(place)
        outcome = place.run(MAY)
        assert outcome.exit_code == 0, outcome.messages
        assert one_whole_publication(place) == outcome.published
    print(f"killed {died} of 15 times")
    assert died > 5
