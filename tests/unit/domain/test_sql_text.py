import duckdb
import pytest

from cvm_pipeline.domain.sql_text import literal, quoted


@pytest.mark.parametrize("text", ["plain", 'a"b', "the customer's", "T", "行 ID", "; drop table x --", "\\n", " "])
def test_a_name_and_a_text_mean_themselves_whatever_they_hold(text: str) -> None:
    relation = duckdb.connect().sql(f"select {literal(text)} as {quoted(text)}")
    assert (relation.columns, relation.fetchall()) == ([text], [(text,)])
