from __future__ import annotations

from datetime import UTC, date, datetime

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.attempts import Attempt, forget_old_attempts, last_attempts, record_attempt

AT = datetime(2026, 11, 22, 13, 45, 1, tzinfo=UTC)


def attempt(number: int, reason: str = "") -> Attempt:
    return Attempt(f"run-{number}", date(2026, 11, 21) if number else None, AT, AT, "blocked", reason)


def test_there_are_no_attempts_before_the_first(home: Home) -> None:
    assert last_attempts(home) == []


def test_the_last_attempts_come_back_newest_first(home: Home) -> None:
    for number in range(5):
        record_attempt(home, attempt(number, "two lines\nand a separator\u2028, 太郎"))
    assert [found.run_id for found in last_attempts(home, 2)] == ["run-4", "run-3"]
    assert last_attempts(home)[-1] == attempt(0, "two lines\nand a separator\u2028, 太郎")


def test_a_line_that_a_dying_run_left_half_written_is_passed_over(home: Home) -> None:
    record_attempt(home, attempt(1))
    with home.attempts.open("a") as file:
        file.write('{"run_id": "run-2", "as_')
    record_attempt(home, attempt(3))
    assert [found.run_id for found in last_attempts(home)] == ["run-3", "run-1"]


def test_a_log_grown_long_keeps_its_newest_lines(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    home.attempts.write_text("".join(f"line {number}\n" for number in range(25)))
    forget_old_attempts(home, keep=20)
    assert len(home.attempts.read_text().splitlines()) == 25
    forget_old_attempts(home, keep=10)
    assert home.attempts.read_text().splitlines() == [f"line {number}" for number in range(15, 25)]
