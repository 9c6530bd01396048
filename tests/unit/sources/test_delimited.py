"""Delimited text: any text that CSV can carry comes back as it was, with its line, wherever the blocks end."""

from __future__ import annotations

import csv
import io
import time
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvm_pipeline.sources.delimited import Reject, read_delimited, unique_names
from cvm_pipeline.sources.dialect import Dialect
from cvm_pipeline.sources.errors import FileRefused

Rows = list[tuple[int, tuple[str, ...]]]


def read(data: bytes, dialect: Dialect = Dialect(), cuts: tuple[int, ...] = ()) -> tuple[list[str], Rows, list[Reject]]:
    """Columns, (line, fields) of each record, rejects; `cuts` are the places at which the blocks end."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    blocks = [data[a:b] for a, b in pairwise(places) if b > a]
    columns: list[str] = []
    rows: Rows = []
    rejects: list[Reject] = []
    for parsed in read_delimited(iter(blocks), dialect, "f.csv"):
        columns = parsed.table.column_names
        fields = zip(*(column.to_pylist() for column in parsed.table.columns), strict=True)
        rows += list(zip(parsed.lines.tolist(), fields, strict=True))
        rejects += parsed.rejects
    return columns, rows, rejects


def texts(data: bytes, dialect: Dialect = Dialect()) -> list[tuple[str, ...]]:
    return [fields for _, fields in read(data, dialect)[1]]


def refused(data: bytes, dialect: Dialect = Dialect()) -> list[tuple[int, str]]:
    return [(reject.line, reject.rule) for reject in read(data, dialect)[2]]


CELL = st.text(alphabet=st.sampled_from(list("ab01,\" \t;\n\r'é行😀")), max_size=6)
CUTS = st.lists(st.integers(0, 400), max_size=8).map(tuple)


@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)
    ),
    CUTS,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=400, deadline=None)
def test_a_table_written_by_the_csv_module_reads_back_equal_with_its_line_numbers(
    table: list[list[str]], cuts: tuple[int, ...], delimiter: str, end: str, quoting: int
) -> None:
    if end == "\n" and quoting == csv.QUOTE_MINIMAL:  # the csv module leaves a carriage return bare there
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    names = [f"c{i}" for i in range(len(table[0]))]
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    expected: Rows = []
    writer.writerow(names)
    for row in table:
        expected.append((written.getvalue().count("\n") + 1, tuple(row)))
        writer.writerow(row)
    columns, rows, rejects = read(written.getvalue().encode(), Dialect(delimiter=delimiter), cuts)
    assert columns == names
    assert rejects == []
    assert rows == expected


DIRT = st.lists(
    st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "\0", "a", "bc", "1,2,3\n", '"x",y,z\n', "é", " ", "\t", "q" * 40]),
    max_size=40,
).map("".join)  # fmt: skip


@given(DIRT, CUTS, st.sampled_from([",", "whitespace"]), st.sampled_from([24, 64, 1 << 20]))
@settings(max_examples=600, deadline=None)
def test_wherever_blocks_end_the_rows_lines_and_rejects_are_the_same(
    dirt: str, cuts: tuple[int, ...], delimiter: str, limit: int
) -> None:
    dialect = Dialect(delimiter=delimiter, max_record_bytes=limit)
    data = ("a,b,c\n" if delimiter == "," else "a b c\n").encode() + dirt.encode()
    whole, cut = read(data, dialect), read(data, dialect, cuts)
    assert cut == whole
    settled = {line for line, _ in whole[1]} | {reject.line for reject in whole[2]}
    assert len(settled) == len(whole[1]) + len(whole[2]), "no line opens two records"


@given(DIRT, CUTS)
@settings(max_examples=300, deadline=None)
def test_a_dirty_header_is_read_or_refused_alike_wherever_blocks_end(dirt: str, cuts: tuple[int, ...]) -> None:
    def outcome(at: tuple[int, ...]) -> object:
        try:
            return read(dirt.encode(), Dialect(max_record_bytes=64), at)
        except FileRefused as error:
            return str(error)

    assert outcome(cuts) == outcome(())


@given(DIRT)
@settings(max_examples=300, deadline=None)
def test_every_line_that_is_not_blank_is_a_row_a_reject_or_inside_a_record(dirt: str) -> None:
    data = b"a,b,c\n" + dirt.encode()
    _, rows, rejects = read(data)
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    known = {line for line, _ in rows} | {reject.line for reject in rejects}
    inside = set()
    for line, fields in rows:
        inside |= set(range(line, line + sum(field.count("\n") for field in fields) + 1))
    for number, line in enumerate(lines[1:], start=2):
        if line and line != b"\r":
            assert number in known | inside, (number, line)


def test_an_unclosed_quote_loses_only_its_own_line() -> None:
    data = b'id,name,x\n1,"Anna,2\n2,Bert,3\n3,"C ""c""",4\n4,"D\nd",5\n'
    _, rows, rejects = read(data)
    assert rows == [(3, ("2", "Bert", "3")), (4, ("3", 'C "c"', "4")), (5, ("4", "D\nd", "5"))]
    assert [(r.line, r.rule, r.raw) for r in rejects] == [(2, "unclosed_quote", '1,"Anna,2')]


def test_an_unclosed_quote_is_not_closed_by_the_opening_quote_of_a_later_row() -> None:
    data = b'a,b,c\n1,"abc,2.0\n2,"def",3.0\n'
    assert texts(data) == [("2", "def", "3.0")]
    assert refused(data) == [(2, "unclosed_quote")]


def test_an_unclosed_quote_before_a_great_file_is_found_without_reading_the_file_again_and_again() -> None:
    lines = b"".join(b"%d,name %d,x\n" % (i, i) for i in range(200_000))
    began = time.process_time()
    _, rows, rejects = read(b'id,name,x\n0,"broken,x\n' + lines, Dialect(), tuple(range(0, len(lines), 1 << 18)))
    assert len(rows) == 200_000
    assert [(r.line, r.rule) for r in rejects] == [(2, "unclosed_quote")]
    assert time.process_time() - began < 5


def test_quotes_inside_a_field_are_letters() -> None:
    assert texts(b'a,b\n5" disk,x\n"5"" disk",y\n"5" disk,z\nsay "hi",w\n') == [
        ('5" disk', "x"),
        ('5" disk', "y"),
        ("5 disk", "z"),
        ('say "hi"', "w"),
    ]


def test_a_source_without_quotes_takes_them_for_letters() -> None:
    assert texts(b'a,b\n"x,y\n', Dialect(quote="")) == [('"x', "y")]


def test_a_nul_byte_refuses_only_its_row() -> None:
    data = b"a,b\n1,x\n2,\0y\n3,z\n"
    assert texts(data) == [("1", "x"), ("3", "z")]
    reject = read(data)[2][0]
    assert (reject.line, reject.rule, reject.raw) == (3, "nul_byte", "2,\\0y")


def test_a_line_of_50_megabytes_is_refused_in_bounded_memory_and_time() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"a,b\n1,x\n2,"
        for _ in range(50):
            yield b"z" * (1 << 20)
        yield b"\n3,y\n"

    began = time.process_time()
    tracemalloc.start()
    lines, rejects = [], []
    for parsed in read_delimited(blocks(), Dialect(), "f.csv"):
        lines += parsed.lines.tolist()
        rejects += parsed.rejects
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == [2, 4]
    assert [(r.line, r.rule, len(r.raw)) for r in rejects] == [(3, "record_too_long", 10_000)]
    assert peak < 40 << 20
    assert time.process_time() - began < 5


def test_ragged_rows_are_refused_with_what_was_expected_and_found() -> None:
    data = b'a,b,c\n1,2\n1,2,3\n1,2,3,4\n"x, y",2\n'
    assert texts(data) == [("1", "2", "3")]
    assert [(r.line, r.rule, r.raw, r.detail) for r in read(data)[2]] == [
        (2, "column_count", "1,2", "3 columns expected, 2 found"),
        (4, "column_count", "1,2,3,4", "3 columns expected, 4 found"),
        (5, "column_count", '"x, y",2', "3 columns expected, 2 found"),
    ]


def test_blank_lines_are_no_rows_and_still_count_as_lines() -> None:
    assert read(b"a,b\n\n1,x\n\r\n\n2,y\n\n")[1] == [(3, ("1", "x")), (6, ("2", "y"))]


def test_a_last_line_without_its_end_is_a_row() -> None:
    assert read(b"a,b\n1,x")[1] == [(2, ("1", "x"))]


def test_line_ends_of_windows_and_of_old_macs_are_read() -> None:
    assert read(b"a,b\r\n1,x\r\n2,y")[1] == [(2, ("1", "x")), (3, ("2", "y"))]
    assert read(b"a,b\r1,x\r2,y\r")[1] == [(2, ("1", "x")), (3, ("2", "y"))]


def test_a_lone_carriage_return_outside_quotes_refuses_its_row() -> None:
    data = b'a,b\n1,x\ry\n2,"x\ry"\n'
    assert texts(data) == [("2", "x\ry")]
    assert refused(data) == [(2, "lone_carriage_return")]


def test_a_header_only_gives_columns_without_rows() -> None:
    assert read(b"a,b\n") == (["a", "b"], [], [])
    assert read(b"a,b") == (["a", "b"], [], [])


def test_an_empty_file_gives_nothing_at_all() -> None:
    assert list(read_delimited(iter([]), Dialect(), "f.csv")) == []
    assert list(read_delimited(iter([b""]), Dialect(), "f.csv")) == []


def test_header_names_repeated_blank_or_quoted_become_columns_of_their_own() -> None:
    assert unique_names([" a ", "A", "", "a", "a_2"]) == ["a", "A_2", "column_3", "a_3", "a_2_2"]
    columns, rows, _ = read(b'id,"full ""name""","two\nlines",id\n1,x,y,z\n')
    assert columns == ["id", 'full "name"', "two\nlines", "id_2"]
    assert rows == [(3, ("1", "x", "y", "z"))]


def test_a_blank_header_is_refused() -> None:
    with pytest.raises(FileRefused, match=r"f\.csv: its header is blank"):
        read(b"\n1,2\n")


def test_a_header_whose_quote_never_closes_is_refused() -> None:
    with pytest.raises(FileRefused, match="its header can't be read"):
        read(b'a,"b\n' + b"1,2\n" * 10)


def test_names_replace_a_header_and_stand_for_an_absent_one() -> None:
    assert read(b"x,y\n1,2\n", Dialect(names=("a", "b"))) == (["a", "b"], [(2, ("1", "2"))], [])
    assert read(b"1,2\n", Dialect(header=False, names=("a", "b"))) == (["a", "b"], [(1, ("1", "2"))], [])


def test_skipped_rows_count_as_lines() -> None:
    assert read(b"a report\n\na,b\n1,2\n", Dialect(skip_rows=2)) == (["a", "b"], [(4, ("1", "2"))], [])


def test_runs_of_white_space_delimit_and_a_refused_row_keeps_its_own_text() -> None:
    data = b"  a \t b\n 1   2\n\n3 4 \t5\n"
    columns, rows, rejects = read(data, Dialect(delimiter="whitespace"))
    assert (columns, rows) == (["a", "b"], [(2, ("1", "2"))])
    assert [(r.line, r.raw) for r in rejects] == [(4, "3 4 \t5")]


def test_nothing_is_taken_for_missing_or_for_a_number() -> None:
    assert texts(b"a,b,c\n007,NA,null\n1.50,,1e3\n") == [("007", "NA", "null"), ("1.50", "", "1e3")]


def test_a_delimiter_beyond_ascii_is_refused_by_name() -> None:
    with pytest.raises(FileRefused, match="plain ASCII"):
        read("a，b\n".encode(), Dialect(delimiter="，"))
