"""What can go wrong with what a user brought, as errors that say what, where and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class SourceError(Exception):
    """A file can't be landed, or a source can't be mapped. Nothing was changed by it."""


class FileRefused(SourceError):
    """One file can't be read as it is declared. `file` is named as the user knows it."""

    def __init__(self, file: str, what: str, remedy: str) -> None:
        super().__init__(f"{file}: {what}. {remedy}")
        self.file = file
        self.what = what
        self.remedy = remedy


class MappingRefused(SourceError):
    """A mapping in cvm.yml doesn't fit the files: found before any row is mapped."""


class FileMisfit(MappingRefused):
    """One file lacks a column that others of its source have: the file's fault, not the configuration's."""


class RowsDoNotBalance(SourceError):
    """Rows read and rows accounted for differ: a fault of ours, never of the data; the run must not go on."""


class QuarantineTooLarge(SourceError):
    """More of a source was quarantined than the project allows: the earlier publication stands."""


class SourceErrors(SourceError):
    """Several at once, so that a user mends them at once."""

    def __init__(self, errors: Sequence[SourceError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = list(errors)
