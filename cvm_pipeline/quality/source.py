"""Where the gate reads a table from: its row count, and only the columns that a check needs.

Belongs here: the protocol and the reader of a DuckDB relation. Not here: which columns are needed (`validate.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import pyarrow as pa

from cvm_pipeline.domain.sql_text import quoted

if TYPE_CHECKING:
    import duckdb


class TableSource(Protocol):
    """A table to be judged."""

    @property
    def rows(self) -> int:
        """Rows of the table."""

    def load(self, columns: list[str]) -> pd.DataFrame:
        """These columns of all rows, Arrow-backed so that a null stays apart from a NaN.

        A plain numpy float column is read strictly: its NaN counts as NaN. Raises where a column is not there.
        """


class DuckTable:
    """A DuckDB relation, whole or one snapshot of it. The caller's connection, never kept beyond the caller."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, relation: str, where: str = "true", values: dict[str, Any] | None = None
    ) -> None:
        """`relation` is a qualified name and `where` a condition, both the program's own; values go in as parameters."""
        self._con, self._from, self._values = con, f"from {relation} where {where}", values or {}
        # fetchall: after fetchone DuckDB 2.0 holds the result for unfinished and refuses the next query.
        ((self._rows,),) = con.execute(f"select count(*) {self._from}", self._values).fetchall()

    @property
    def rows(self) -> int:
        return self._rows

    def load(self, columns: list[str]) -> pd.DataFrame:
        if not columns:
            return pd.DataFrame(index=pd.RangeIndex(self._rows))
        names = ", ".join(quoted(name) for name in columns)
        return arrow_frame(self._con, f"select {names} {self._from}", self._values)


def arrow_frame(con: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any]) -> pd.DataFrame:
    """The query's rows as an Arrow-backed frame: decimals stay decimals, a null stays apart from a NaN."""
    table: pa.Table = con.sql(sql, params=dict(values)).to_arrow_table()
    return table.to_pandas(types_mapper=pd.ArrowDtype)
