"""What the web page shows of a table: its row count and its first rows."""

from collections.abc import Sequence

import dagster as dg
import duckdb

_ROWS = 5


def previewed(
    con: duckdb.DuckDBPyConnection,
    key: Sequence[str],
    relation: str,
    where: str = "true",
    private: bool = False,
    **more: dg.MetadataValue | str,
) -> dg.MaterializeResult:
    """The result of materialising `relation`; a private table shows its row count alone."""
    count = con.execute(f"select count(*) from {relation} where {where}").fetchall()[0][0]
    metadata: dict[str, dg.MetadataValue | int | str] = {"dagster/row_count": int(count), **more}
    if not private:
        metadata["preview"] = dg.MetadataValue.md(
            _markdown(con, f"select * from {relation} where {where} limit {_ROWS}")
        )
    return dg.MaterializeResult(asset_key=list(key), metadata=metadata)


def _markdown(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    cursor = con.execute(sql)
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    cells = [[_cell(value) for value in row] for row in rows]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in cells)])


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")[:80]
