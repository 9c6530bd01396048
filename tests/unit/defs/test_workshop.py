"""How errors reach Dagster: what is tried again, what is told at once, and with which exit code."""

from __future__ import annotations

import errno
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from cvm_pipeline.config.exit_codes import BLOCKED, FAILED, USAGE
from cvm_pipeline.defs.workshop import EXIT_CODE, exit_code_of, is_transient, plain_failures
from cvm_pipeline.sources.errors import FileMisfit, FileRefused, MappingRefused, QuarantineTooLarge, SourceErrors
from cvm_pipeline.warehouse.errors import PublicationRefused, WarehouseError, errors_explained


def raised_from(cause: BaseException) -> WarehouseError:
    error = WarehouseError("writing: /data: trouble.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EBUSY])
def test_a_flickering_disk_is_tried_again_and_each_wait_is_twice_the_one_before(number: int) -> None:
    waits = []
    for tried in range(3):
        with pytest.raises(dg.RetryRequested) as asked, plain_failures(2, tried):
            raise raised_from(OSError(number, "trouble"))
        waits.append(asked.value.seconds_to_wait)
    assert waits == [5, 10, 20]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_or_forbidden_disk_is_told_at_once(number: int, tmp_path: Path) -> None:
    with pytest.raises(dg.Failure) as told, plain_failures(2), errors_explained("writing", tmp_path):
        raise OSError(number, "trouble")
    assert not told.value.allow_retries
    assert told.value.metadata[EXIT_CODE].value == FAILED


def test_a_lock_held_for_a_moment_is_transient_and_a_wrong_query_is_not() -> None:
    assert is_transient(duckdb.IOException("IO Error: Could not set lock: Conflicting lock is held"))
    assert not is_transient(duckdb.IOException("IO Error: No files found"))
    assert not is_transient(ValueError("no"))


def test_an_error_that_nobody_foresaw_keeps_its_own_face() -> None:
    with pytest.raises(ZeroDivisionError), plain_failures(2):
        raise ZeroDivisionError


def test_exit_codes_are_those_of_the_interface() -> None:
    assert exit_code_of(FileRefused("a.csv", "is cut", "Copy it again")) == FAILED
    assert exit_code_of(FileMisfit("a.csv: has no column 'x'")) == FAILED
    assert exit_code_of(MappingRefused("no column 'x'")) == USAGE
    assert exit_code_of(QuarantineTooLarge("half of it")) == BLOCKED
    assert exit_code_of(PublicationRefused("2026", ["no record"])) == BLOCKED
    assert exit_code_of(SourceErrors([FileRefused("a", "b", "c"), QuarantineTooLarge("d")])) == BLOCKED
    assert exit_code_of(ZeroDivisionError()) is None
