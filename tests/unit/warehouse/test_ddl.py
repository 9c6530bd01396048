from __future__ import annotations

import duckdb
import pytest

from cvm_pipeline.domain.contracts import TABLES, Table
from cvm_pipeline.warehouse.ddl import comment_sql, create_table_sql, dictionary_rows, meaning


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_the_contracts_columns_types_nulls_and_comments(table: Table) -> None:
    con = duckdb.connect()
    con.execute(f"create schema {table.schema}")
    for statement in [create_table_sql(table), *comment_sql(table)]:
        con.execute(statement)
    found = con.execute(
        "select column_name, lower(data_type), is_nullable, comment from duckdb_columns() "
        "where schema_name = ? and table_name = ? order by column_index",
        [table.schema, table.name],
    ).fetchall()
    assert found == [(column.name, column.type, column.nullable, meaning(column)) for column in table.columns]
    assert con.execute("select comment from duckdb_tables()").fetchone() == (table.grain,)


def test_the_dictionary_has_a_row_for_every_published_column() -> None:
    rows = dictionary_rows("p")
    assert len(rows) == sum(len(table.columns) for table in TABLES)
    assert {"table": "customer_value", "column": "T", "type": "bigint"}.items() <= rows[8].items()
    assert all(row["meaning"] for row in rows)
