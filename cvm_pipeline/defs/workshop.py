"""What every asset is given: the project, the clock, a place to report progress; and how its errors reach Dagster.

A known error becomes a Failure with one plain message and the exit code that `cvm run` ends with; a transient fault asks
for another try with backoff; anything else keeps its stack trace, since it is ours.
"""

import datetime as dt
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg
import duckdb

from cvm_pipeline.config.exit_codes import BLOCKED, FAILED, USAGE
from cvm_pipeline.config.project import Project
from cvm_pipeline.quality.results import AcceptanceRefused
from cvm_pipeline.quality.suite import SuiteIncomplete
from cvm_pipeline.sources.errors import FileMisfit, MappingRefused, QuarantineTooLarge, SourceError, SourceErrors
from cvm_pipeline.warehouse.errors import (
    ForgetRefused,
    LockHeld,
    PublicationRefused,
    RollbackRefused,
    TargetUnreachable,
    WarehouseError,
)
from cvm_pipeline.warehouse.lock import run_lock
from cvm_pipeline.warehouse.work import EngineSettings

EXIT_CODE = "exit_code"
_FIRST_WAIT = 5
_TRANSIENT = {errno.EINTR, errno.EAGAIN, errno.EIO, errno.EBUSY, errno.ETIMEDOUT, errno.ESTALE, errno.ECONNRESET,
              errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH}  # fmt: skip


class SelectionRefused(Exception):
    """What was asked for names nothing that can be run: a selection, or a day outside the history."""


def utc_now() -> dt.datetime:
    """The clock of a real run."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Workshop:
    """The resource `workshop`. `progress` is told each step as it begins."""

    project: Project
    now: Callable[[], dt.datetime] = utc_now
    progress: Callable[[str], None] = field(default=lambda step: None)

    @property
    def engine(self) -> EngineSettings:
        return engine_of(self.project)


def engine_of(project: Project) -> EngineSettings:
    """What DuckDB may use, by section `engine` of the configuration."""
    return EngineSettings(project.engine.memory_limit, project.engine.threads)


def workshop_resource(
    project: Project, now: Callable[[], dt.datetime] = utc_now, progress: Callable[[str], None] = lambda step: None
) -> dg.ResourceDefinition:
    """The resource `workshop`; the run holds the home's lock as long as it has it. LockHeld names who else does."""

    @dg.resource(description="The project, the clock, and a place to report progress.")
    def workshop(context: dg.InitResourceContext) -> Iterator[Workshop]:
        run_id = context.run_id or ""
        with run_lock(project.home, "customer_value", run_id):
            yield Workshop(project, now, progress)

    return workshop


def exit_code_of(error: Exception) -> int | None:
    """The exit code of a known error; None for one that nobody foresaw."""
    if isinstance(error, SourceErrors):
        return max(exit_code_of(inner) or FAILED for inner in error.errors)
    if isinstance(error, (QuarantineTooLarge, PublicationRefused)):
        return BLOCKED
    if isinstance(error, FileMisfit):
        return FAILED
    if isinstance(error, (MappingRefused, AcceptanceRefused, RollbackRefused, ForgetRefused, SelectionRefused)):
        return USAGE
    if isinstance(error, (SourceError, WarehouseError, LockHeld, SuiteIncomplete)):
        return FAILED
    return None


@contextmanager
def plain_failures(retries: int, tried: int = 0) -> Iterator[None]:
    """Known errors as Failures without a retry; transient faults as a request to try again, waiting twice as long each time.

    `tried`: how often this step was tried before (the context's retry_number).
    """
    try:
        yield
    except Exception as error:
        if is_transient(error):
            raise dg.RetryRequested(max_retries=retries, seconds_to_wait=_FIRST_WAIT * 2**tried) from error
        code = exit_code_of(error)
        if code is None:
            raise
        raise dg.Failure(str(error), metadata={EXIT_CODE: dg.MetadataValue.int(code)}, allow_retries=False) from error


def is_transient(error: BaseException) -> bool:
    """Whether waiting may cure it: a busy or flickering disk or network anywhere among its causes, never a full disk."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _TRANSIENT:
            return True
        if isinstance(cause, TargetUnreachable):
            return True
        if isinstance(cause, duckdb.IOException) and "Conflicting lock" in str(cause):
            return True
        cause = cause.__cause__
    return False
