"""Formats: whatever a file is, its columns are the text that a person reads in it, with the line of each record."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import json
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvm_pipeline.sources.delimited import Reject
from cvm_pipeline.sources.errors import FileRefused
from cvm_pipeline.sources.formats import Reading, format_of, read_file


def read(path: Path, reading: Reading) -> tuple[list[dict[str, str | None]], list[int], list[Reject]]:
    rows: list[dict[str, str | None]] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    for parsed in read_file(path, path.name, reading):
        rows += parsed.table.to_pylist()
        lines += parsed.lines.tolist()
        rejects += parsed.rejects
    return rows, lines, rejects


def json_lines(tmp_path: Path, text: str, **more: int) -> tuple[list[dict[str, str | None]], list[int], list[Reject]]:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    return read(path, Reading(format="jsonl", **more))


def test_json_numbers_keep_their_digits_and_nested_values_their_json(tmp_path: Path) -> None:
    rows, lines, _ = json_lines(
        tmp_path, '{"id": "007", "x": 1.50, "big": 12345678901234567890.10, "in": {"a": [1.0, "q\\"é", null, true]}}\n'
    )
    assert lines == [1]
    assert rows == [
        {"id": "007", "x": "1.50", "big": "12345678901234567890.10", "in": '{"a": [1.0, "q\\"é", null, true]}'}
    ]
    assert json.loads(rows[0]["in"] or "") == {"a": [1.0, 'q"é', None, True]}


def test_json_keys_that_a_line_lacks_are_missing_and_new_ones_become_columns(tmp_path: Path) -> None:
    rows, lines, _ = json_lines(tmp_path, '{"a": 1}\n\n{"b": true, "a": null}\n{"b": ""}')
    assert lines == [1, 3, 4]
    assert rows == [{"a": "1", "b": None}, {"a": None, "b": "true"}, {"a": None, "b": ""}]


def test_bad_json_lines_are_refused_alone(tmp_path: Path) -> None:
    text = '{"a": 1}\n{"a": \n[1, 2]\n{"a": "\\ud800"}\n{"a": "' + "x" * 2000 + '"}\n{"a": NaN}\n'
    rows, lines, rejects = json_lines(tmp_path, text, max_record_bytes=1024)
    assert (rows, lines) == ([{"a": "1"}, {"a": "NaN"}], [1, 6])
    assert [(r.line, r.rule) for r in rejects] == [(2, "json"), (3, "json"), (4, "json"), (5, "record_too_long")]


def test_parquet_types_become_the_text_of_iso_8601_and_of_exact_decimals(tmp_path: Path) -> None:
    table = pa.table(
        {
            "at": pa.array([dt.datetime(2020, 1, 2, 3, 4, 5), None], pa.timestamp("us")),
            "zoned": pa.array([dt.datetime(2020, 1, 2), None], pa.timestamp("us", "America/New_York")),
            "day": [dt.date(2020, 1, 2), None],
            "price": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(9, 2)),
            "sure": [True, None],
            "id": ["007", None],
            "n": [2**53 + 1, None],
            "ratio": [0.1, None],
            "word": pa.array(["x", None]).dictionary_encode(),
            "tags": [["a", "é"], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows, lines, _ = read(tmp_path / "a.parquet", Reading(format="parquet"))
    assert lines == [1, 2]
    assert rows[0] == {
        "at": "2020-01-02 03:04:05.000000", "zoned": "2020-01-01 19:00:00.000000-0500", "day": "2020-01-02", "price": "1.50",
        "sure": "true", "id": "007", "n": "9007199254740993", "ratio": "0.1", "word": "x", "tags": '["a", "é"]',
    }  # fmt: skip
    assert set(rows[1].values()) == {None}


def test_a_cut_parquet_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-5])
    with pytest.raises(FileRefused, match="not a whole Parquet file"):
        read(tmp_path / "a.parquet", Reading(format="parquet"))


def workbook(tmp_path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Orders"
    for row in rows:
        sheet.append(row)
    book.create_sheet("Other").append(["x"])
    book.save(tmp_path / "a.xlsx")
    return tmp_path / "a.xlsx"


def test_a_workbook_reads_as_a_person_reads_it(tmp_path: Path) -> None:
    path = workbook(
        tmp_path,
        [
            ["id", "n", "x", "day", "at", "ok", None],
            ["007", 7.0, 0.1 + 0.2, dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5), True, None],
            [None] * 6,
            ["008", 10**14, 19.99, dt.date(2020, 1, 3), None, False],
            ["009"],
        ],
    )
    rows, lines, _ = read(path, Reading(format="xlsx"))
    assert lines == [2, 4, 5]
    assert rows == [
        {"id": "007", "n": "7", "x": "0.3", "day": "2020-01-02", "at": "2020-01-02 03:04:05", "ok": "true"},
        {"id": "008", "n": "100000000000000", "x": "19.99", "day": "2020-01-03", "at": None, "ok": "false"},
        {"id": "009", "n": None, "x": None, "day": None, "at": None, "ok": None},
    ]


def test_a_workbook_s_row_wider_than_its_header_is_refused(tmp_path: Path) -> None:
    rows, _, rejects = read(workbook(tmp_path, [["a", "b"], [1, 2], [1, 2, 3]]), Reading(format="xlsx"))
    assert rows == [{"a": "1", "b": "2"}]
    assert [(r.line, r.rule, r.raw) for r in rejects] == [(3, "column_count", "1,2,3")]


def test_a_sheet_is_chosen_by_name_and_a_wrong_one_lists_those_there_are(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["a"], [1]])
    assert read(path, Reading(format="xlsx", sheet="Other", header=False, names=("x",)))[0] == [{"x": "x"}]
    with pytest.raises(FileRefused, match=r"no sheet 'Nope'. Its sheets: Orders, Other"):
        read(path, Reading(format="xlsx", sheet="Nope"))


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["a"], *([i] for i in range(5000))])
    whole = path.read_bytes()
    for content in (b"no zip", b"", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(FileRefused, match="not a readable workbook"):
            read(path, Reading(format="xlsx"))


def test_an_empty_workbook_has_no_rows(tmp_path: Path) -> None:
    assert read(workbook(tmp_path, []), Reading(format="xlsx"))[0] == []
    assert read(workbook(tmp_path, [["a", "b"]]), Reading(format="xlsx"))[0] == []


def test_tabs_delimit_a_tsv_and_a_gz_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n1,5\t007\n")
    assert read(tmp_path / "a.tsv", Reading(format="tsv"))[0] == [{"a": "1,5", "b": "007"}]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read(tmp_path / "a.csv.gz", Reading())[0] == [{"a": "1", "b": "2"}]


def test_a_file_s_name_promises_its_format() -> None:
    names = {"a.csv": "csv", "a.CSV.GZ": "csv", "a.tsv": "tsv", "a.ndjson": "jsonl", "a.jsonl.gz": "jsonl",
             "a.parquet": "parquet", "a.XLSX": "xlsx", "a.txt": "csv"}  # fmt: skip
    assert {name: format_of(name) for name in names} == names
