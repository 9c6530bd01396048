"""The words in which a published table is declared: what a column is, what a table is, and the columns that many share.

Belongs here: the shape of a declaration, the type of money, helpers for columns of one kind. Not here: any table (one file
per family beside this one), the words that a column may hold (`vocabularies.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MONEY = "decimal(18,4)"

Writing = Literal["newest", "snapshot", "state", "stays", "log"]


@dataclass(frozen=True)
class Column:
    """One published column.

    `type` is the SQL type, `unit` empty where the meaning says it all. `nullable` is whether readers may meet a null.
    `low` and `high` are hard bounds (inclusive) and `vocabulary` the only words: the gate must hold them.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    vocabulary: tuple[str, ...] = ()
    since: str = "1.0"


@dataclass(frozen=True)
class Table:
    """One published table.

    `writing` says what a publication does to it: `newest` replaces it whole when the snapshot is the newest, `snapshot`
    replaces the rows of its as_of_date, `state` replaces it whole always, `stays` states anew every stay that lasts or ended
    at its as_of_date or later, `log` appends.
    `may_be_empty`: an empty table is sound (there may be no unmatched return).
    """

    name: str
    grain: str
    key: tuple[str, ...]
    writing: Writing
    columns: tuple[Column, ...]
    schema: str = "cvm"
    may_be_empty: bool = False
    gated: bool = True
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")


def money(name: str, meaning: str, **more: object) -> Column:
    """A column of money, exact, in the project's currency."""
    return Column(name, MONEY, meaning, "project currency", **more)  # type: ignore[arg-type]


def probability(name: str, meaning: str, **more: object) -> Column:
    """A column of probabilities, bounded by 0 and 1."""
    return Column(name, "double", meaning, "probability", low=0.0, high=1.0, **more)  # type: ignore[arg-type]


# Columns that many tables share.
AS_OF_DATE = Column("as_of_date", "date", "Snapshot: only what was known by the end of this day is in the row")
CUSTOMER_ID = Column("customer_id", "varchar", "The customer's stable id")
PUBLICATION_ID = Column("publication_id", "varchar", "The publication that last wrote the row")
