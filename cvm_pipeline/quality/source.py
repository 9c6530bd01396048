"""Where the gate reads a table from: its row count, and only the columns that a check needs.

Belongs here: the protocol and the reader of a DuckDB relation. Not here: which columns are needed (`validate.py`), nor which
few rows answer for all (`witnesses.py`, `at_scale.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import pyarrow as pa

from cvm_pipeline.domain.sql_text import quoted

if TYPE_CHECKING:
    import duckdb


ROW = "#row"


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
        self._con, self._from, self._values = con, f"from {relation} where ({where})", values or {}
        # fetchall: after fetchone DuckDB 2.0 holds the result for unfinished and refuses the next query.
        self._columns: dict[str, str] | None = None
        ((self._rows,),) = con.execute(f"select count(*) {self._from}", self._values).fetchall()

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def columns(self) -> dict[str, str]:
        """The relation's columns and their SQL types."""
        if self._columns is None:
            described = self._con.execute(f"describe select * {self._from}", self._values).fetchall()
            self._columns = {name: kind for name, kind, *_ in described}
        return self._columns

    def load(self, columns: list[str]) -> pd.DataFrame:
        if not columns:
            return pd.DataFrame(index=pd.RangeIndex(self._rows))
        return arrow_frame(self._con, f"select {_listed(columns)} {self._from}", self._values)

    def parts(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The same, at most about `rows` rows at a time, in the same order."""
        # A cursor: the connection may be used while the parts are being read.
        cursor = self._con.cursor()
        try:
            query = cursor.sql(f"select {_listed(columns)} {self._from}", params=self._values)
            for batch in query.to_arrow_reader(rows):
                yield pa.Table.from_batches([batch]).to_pandas(types_mapper=pd.ArrowDtype)
        finally:
            cursor.close()

    def first(self, columns: list[str], rows: int) -> pd.DataFrame:
        """These columns of the first rows."""
        return arrow_frame(self._con, f"select {_listed(columns)} {self._from} limit {rows}", self._values)

    def at(self, columns: list[str], places: list[int]) -> pd.DataFrame:
        """These columns of the few rows that stand at these places (`ROW`)."""
        rows = ", ".join(str(int(place)) for place in places)
        sql = f"select {_listed(columns)} {self._from} and rowid in ({rows}) order by rowid"
        return arrow_frame(self._con, sql, self._values)

    def ask(self, expressions: Mapping[str, str]) -> dict[str, Any]:
        """SQL aggregates over all rows in one pass, by the name given to each."""
        if not expressions:
            return {}
        sql = f"select {', '.join(expressions.values())} {self._from}"
        (values,) = self._con.execute(sql, self._values).fetchall()
        return dict(zip(expressions, values, strict=True))

    def schema(self, columns: list[str]) -> pa.Schema:
        """The Arrow types of these columns."""
        query = self._con.sql(f"select {_listed(columns)} {self._from} limit 0", params=self._values)
        return query.to_arrow_table().schema

    def counted(self, expression: str, most: int) -> pa.Table | None:
        """Each value of a SQL expression and how many rows have it (`value`, `rows`); None where there are more than `most`."""
        sql = f"select {expression} as value, count(*) as rows {self._from} group by value order by value limit {most + 1}"
        found: pa.Table = self._con.sql(sql, params=self._values).to_arrow_table()
        return found if found.num_rows <= most else None

    def repeated(self, columns: list[str], at_once: int) -> Iterator[pd.DataFrame]:
        """Every row whose values in `columns` may stand in another row too, and its place in the table as `ROW`.

        Rows are taken by the hash of their values: equal values always share it, and rows that share it by chance are told
        apart by whoever judges. They come in parts: all that share a hash in one, of the hashes of about `at_once` rows.
        """
        hashed = f"hash({_listed(columns)})"
        # A single column's null is no duplicate of another, and there may be millions.
        there = f"{quoted(columns[0])} is not null" if len(columns) == 1 else "true"
        buckets = math.ceil(self._rows / at_once)
        for bucket in range(buckets):
            within = f"{self._from} and {there} and {hashed} % {buckets} = {bucket}"
            sql = f"select {hashed} as h {within} group by h having count(*) > 1"
            shared: pa.Table = self._con.sql(sql, params=self._values).to_arrow_table()
            if shared.num_rows:
                cursor = self._con.cursor()
                try:
                    cursor.register("shared_hash", shared)
                    sql = f"""select {_listed(columns)}, rowid as {quoted(ROW)} {within}
                        and {hashed} in (select h from shared_hash) order by rowid"""
                    yield arrow_frame(cursor, sql, self._values)
                finally:
                    cursor.close()


def arrow_frame(con: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any]) -> pd.DataFrame:
    """The query's rows as an Arrow-backed frame: decimals stay decimals, a null stays apart from a NaN."""
    table: pa.Table = con.sql(sql, params=dict(values)).to_arrow_table()
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _listed(columns: list[str]) -> str:
    return ", ".join(quoted(name) for name in columns)
