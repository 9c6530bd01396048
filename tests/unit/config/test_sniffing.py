import gzip

import pytest

from cvm_pipeline.config.heads import read_head
from cvm_pipeline.config.looks import are_shares, look_at_dates, look_at_numbers
from cvm_pipeline.config.sniff import UnreadableSampleError, sniff_encoding, sniff_text

CHINESE = "\r\n".join(
    [
        "订单号,订购日期,客户ID,金额",
        *(f"CN-{n:05d},2023/{n % 12 + 1}/{n % 28 + 1},客户{n % 40},{n}.50" for n in range(200)),
    ]
)
GERMAN = "\r\n".join(["Bestellnummer;Größe;Betrag", *(f"B{n};groß;1.{200 + n},50" for n in range(200))])


@pytest.mark.parametrize(
    ("text", "written", "told"),
    [
        ("a,ü\n1,ß\n", "utf-8", "utf-8"),
        ("a,ü\n1,ß\n", "utf-8-sig", "utf-8"),
        ("a,ü\n1,ß\n", "utf-16", "utf-16"),
        ("order,day\n1,2\n", "utf-16-le", "utf-16-le"),
        ("order,day\n1,2\n", "utf-16-be", "utf-16-be"),
        (CHINESE, "gbk", "gb18030"),
        (GERMAN, "cp1252", "cp1252"),
    ],
)
def test_an_encoding_is_told_from_the_bytes(text, written, told):
    assert sniff_encoding(text.encode(written)) == told


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16"])
@pytest.mark.parametrize("cut", range(1000, 1008))
def test_a_sample_cut_in_the_middle_of_a_character_reads_all_its_whole_lines(encoding, cut):
    head = sniff_text(CHINESE.encode(encoding)[:cut], "csv", whole=False)
    assert head.columns == ("订单号", "订购日期", "客户ID", "金额")
    assert {len(row) for row in head.rows} == {4}


def test_cdnow_is_delimited_by_white_space():
    head = sniff_text(b" customer_id  date number_of_cds  dollar_value\r\n 00001 19970101  1   11.77\r\n", "csv", True)
    assert head.columns == ("customer_id", "date", "number_of_cds", "dollar_value")
    assert head.rows == (("00001", "19970101", "1", "11.77"),)
    assert head.read == {"delimiter": "whitespace"}


def test_a_file_without_a_header_gets_names():
    head = sniff_text(b" 00004 0001 19970101  2   29.33\r\n 00004 0001 19970118  2   29.73\r\n", "csv", True)
    assert head.read["header"] is False
    assert head.read["names"] == [f"column_{at}" for at in range(1, 6)]
    assert len(head.rows) == 2


def test_a_comma_in_a_german_number_is_no_delimiter():
    head = sniff_text(GERMAN.encode("cp1252"), "csv", True)
    assert head.read == {"delimiter": ";", "encoding": "cp1252"}
    assert head.columns == ("Bestellnummer", "Größe", "Betrag")


def test_blanks_and_commas_in_quoted_texts_are_no_delimiters():
    text = b'order_id,text\n1,"one, two, three four"\n2,"a b c"\n'
    assert sniff_text(text, "csv", True).columns == ("order_id", "text")


@pytest.mark.parametrize(("delimiter", "told"), [("\t", "tab"), ("|", "|")])
def test_other_delimiters_are_told(delimiter, told):
    text = "\n".join(delimiter.join(row) for row in [("order", "name"), ("1", "a, b"), ("2", "c")])
    assert sniff_text(text.encode(), "csv", True).read == {"delimiter": told}


def test_a_tsv_needs_no_delimiter():
    assert sniff_text(b"a\tb\n1\t2\n", "tsv", True).read == {}


def test_json_lines_have_the_columns_of_all_their_records():
    head = sniff_text(b'{"id": 1, "at": "2024-01-01"}\nnonsense\n{"id": 2.50, "note": null}\n', "jsonl", True)
    assert head.columns == ("id", "at", "note")
    assert head.values("id") == ["1", "2.50"]


@pytest.mark.parametrize("sample", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(sample):
    with pytest.raises(UnreadableSampleError, match="empty"):
        sniff_text(sample, "csv", True)


def test_a_packed_file_is_read_and_a_damaged_one_refused(tmp_path):
    packed = gzip.compress(b"order_id,amount\n1,2\n" * 5000)
    (tmp_path / "a.csv.gz").write_bytes(packed)
    assert read_head(tmp_path / "a.csv.gz").columns == ("order_id", "amount")
    (tmp_path / "b.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UnreadableSampleError, match="truncated"):
        read_head(tmp_path / "b.csv.gz")


def test_parquet_and_workbooks_are_read_as_text(tmp_path):
    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"order_id": ["007"], "amount": [1.5]}), tmp_path / "a.parquet")
    assert read_head(tmp_path / "a.parquet").rows == (("007", "1.5"),)
    book = openpyxl.Workbook()
    book.active.append(["order_id", None, "amount"])
    book.active.append(["007", None, 2])
    book.save(tmp_path / "a.xlsx")
    head = read_head(tmp_path / "a.xlsx")
    assert (head.columns, head.rows) == (("order_id", "column_2", "amount"), (("007", "", "2"),))


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx", "a.dat"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(UnreadableSampleError):
        read_head(tmp_path / name)


def test_iso_dates_need_no_format():
    assert look_at_dates(["2011-07-21 08:44:00", "2024-01-31", "2024-01-31T10:00:00+02:00"]).is_iso


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["19970101", "19970131"], ("%Y%m%d",)),
        (["31/01/2017", "02/03/2017"], ("%d/%m/%Y",)),
        (["10/2/2017 10:56", "7/24/2018 20:41"], ("%m/%d/%Y %H:%M",)),
        (["2023/1/5", "2023/12/31"], ("%Y/%m/%d",)),
        (["05.01.2024", "31.01.2024"], ("%d.%m.%Y",)),
        (["2024年1月5日"], ("%Y年%m月%d日",)),
        (["05-Jan-2024"], ("%d-%b-%Y",)),
        (["1/5/2024 3:07 PM", "1/31/2024 11:00 AM"], ("%m/%d/%Y %I:%M %p",)),
        (["10/20/2016", "2016-12-01"], ("%m/%d/%Y", "%Y-%m-%d")),
    ],
)
def test_a_date_format_that_alone_reads_all_values_is_certain(values, formats):
    assert look_at_dates(values).choices == (formats,)


def test_day_and_month_that_cannot_be_told_apart_are_a_choice():
    look = look_at_dates(["01/02/2017", "03/04/2017"])
    assert look.choices == (("%d/%m/%Y",), ("%m/%d/%Y",))
    assert look.example == "01/02/2017"


def test_each_shape_of_a_mixed_column_is_judged_alone():
    look = look_at_dates(["10/20/2016", "03-01-17", "03-25-17"])
    assert look.choices == (("%m/%d/%Y", "%m-%d-%y"),)


def test_a_column_that_is_no_date_has_no_format():
    assert look_at_dates(["soon", "later"]).choices == ()


@pytest.mark.parametrize(
    ("values", "sql"),
    [
        (["1", "-2.5"], ("x",)),
        (["1.234,56", "7,5"], ("replace(replace(x, '.', ''), ',', '.')",)),
        (["1,234.56", "7.5"], ("replace(x, ',', '')",)),
        (["1,234", "7"], ("replace(replace(x, '.', ''), ',', '.')", "replace(x, ',', '')")),
        (["$1,234.50"], ("replace(regexp_replace(x, '[^-0-9.,]', '', 'g'), ',', '')",)),
        (["€ 12"], ("regexp_replace(x, '[^-0-9.,]', '', 'g')",)),
        (["(12.00)", "twelve"], ("x",)),
    ],
)
def test_numbers_are_read_by_the_signs_that_they_use(values, sql):
    assert look_at_numbers(values, "x").choices == sql


@pytest.mark.parametrize(
    ("values", "shares"), [(["0", "0.15", "1"], True), (["0", "1"], False), (["0.5", "3"], False), (["10%"], False)]
)
def test_a_discount_is_a_share_where_it_can_be_nothing_else(values, shares):
    assert are_shares(values) is shares
