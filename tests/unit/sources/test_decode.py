"""Encodings: text comes back letter by letter, and a wrong encoding says which byte and which it is likely to be."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pytest

from cvm_pipeline.sources import decode
from cvm_pipeline.sources.decode import read_utf8
from cvm_pipeline.sources.errors import FileRefused

MAINLAND = "订单号,客户,金额\n1,张伟先生住在北京市海淀区中关村大街,12.50\n2,王芳女士喜欢购买电子产品和图书,7\n3,李娜在上海工作多年,9\n"
TAIWAN = "訂單號,客戶,金額\n1,陳先生住在臺北市信義區的大樓裡面,12.50\n2,林小姐喜歡購買電子產品和圖書雜誌,7\n"
FRENCH = "id,nom\n1,Müller & Söhne à Genève, élève\n2,François Noël\n"


def text_of(path: Path, encoding: str = "utf-8") -> str:
    return b"".join(read_utf8(path, "sales.csv", encoding)).decode()


def file_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "sales.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("block", [1, 4, 7, 1 << 24])
@pytest.mark.parametrize(
    ("text", "written", "declared"),
    [
        (MAINLAND, "utf-8", "utf-8"),
        (MAINLAND, "utf-8-sig", "utf-8"),
        (MAINLAND, "utf-16", "utf-8"),
        (MAINLAND, "utf-16-le", "utf-16-le"),
        (MAINLAND, "utf-16-be", "utf-16-be"),
        (MAINLAND, "utf-16-le", "utf-16"),
        (MAINLAND, "utf-16-be", "utf-16"),
        (MAINLAND, "gbk", "gbk"),
        (MAINLAND + "4,㐀𠀀,1\n", "gb18030", "gbk"),
        (TAIWAN, "big5", "big5"),
        (TAIWAN, "gb18030", "gb18030"),
        (FRENCH, "latin-1", "latin-1"),
        (FRENCH + "3,€ “x”\n", "cp1252", "cp1252"),
    ],
    ids=lambda text: text if text.isascii() else text[:2],
)
def test_every_encoding_is_read_right_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, written: str, declared: str, block: int
) -> None:
    first = 65 if "utf-16" in written else 3  # what the first block must hold for the width of letters to be judged
    monkeypatch.setattr(decode, "BLOCK_BYTES", max(block, first))
    assert text_of(file_of(tmp_path, text.encode(written)), declared) == text


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_byte_order_mark_outranks_the_declared_encoding(tmp_path: Path, mark: bytes) -> None:
    order = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    assert text_of(file_of(tmp_path, mark + FRENCH.encode(order)), "latin-1") == FRENCH


@pytest.mark.parametrize(
    ("text", "written", "declared", "likely"),
    [
        (MAINLAND, "gbk", "utf-8", "gb18030"),
        (MAINLAND, "gbk", "big5", "gb18030"),
        (MAINLAND, "gbk", "latin-1", "gb18030"),
        (MAINLAND, "gbk", "utf-16", "gb18030"),
        (MAINLAND, "utf-8", "gbk", "utf-8"),
        (MAINLAND, "utf-8", "big5", "utf-8"),
        (MAINLAND, "utf-8", "latin-1", "utf-8"),
        (MAINLAND, "utf-8", "utf-16-le", "utf-8"),
        (MAINLAND, "utf-16-le", "utf-8", "utf-16-le"),
        (MAINLAND, "utf-16-be", "gbk", "utf-16-be"),
        (TAIWAN, "big5", "utf-8", "big5"),
        (TAIWAN, "big5", "gbk", "big5"),
        (TAIWAN, "big5", "cp1252", "big5"),
        (FRENCH, "latin-1", "utf-8", "cp1252"),
        (FRENCH, "latin-1", "gbk", "cp1252"),
        (FRENCH + "3,€ “x”\n", "cp1252", "latin-1", "cp1252"),
        (FRENCH, "utf-16-le", "utf-8", "utf-16-le"),
        (FRENCH, "utf-16-be", "latin-1", "utf-16-be"),
    ],
    ids=lambda text: text if text.isascii() else text[:2],
)
def test_a_wrong_encoding_names_the_file_the_byte_and_the_likely_one(
    tmp_path: Path, text: str, written: str, declared: str, likely: str
) -> None:
    with pytest.raises(FileRefused, match=rf"^sales\.csv: .*byte \d+ .*Likely encoding: {likely};"):
        text_of(file_of(tmp_path, text.encode(written)), declared)


def test_the_byte_is_counted_from_the_file_s_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BLOCK_BYTES", 10)
    with pytest.raises(FileRefused, match="byte 25 is not valid utf-8"):
        text_of(file_of(tmp_path, b"a" * 22 + "é".encode() + b"b\xff" + b"c" * 20))


def test_a_file_cut_in_the_middle_of_a_letter_is_not_told_to_change_its_encoding(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"byte 4 is not valid utf-8.*cut or damaged"):
        text_of(file_of(tmp_path, "a,b\né".encode()[:-1]))


def test_a_letter_that_the_first_block_lacks_is_judged_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BLOCK_BYTES", 64)
    with pytest.raises(FileRefused, match="from byte 103 on it reads as utf-8"):
        text_of(file_of(tmp_path, b"a" * 103 + "é is one letter".encode()), "latin-1")


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="'utf-9' is unknown"):
        text_of(file_of(tmp_path, b"a"), "utf-9")


def test_an_empty_file_has_no_encoding_to_be_wrong(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16", "gbk", "latin-1"):
        assert text_of(file_of(tmp_path, b""), encoding) == ""


def test_a_truncated_gzip_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(gzip.compress(MAINLAND.encode() * 1000)[:-20])
    with pytest.raises(FileRefused, match="gzip stream is truncated or damaged"):
        text_of(path)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(FileRefused, match="gzip stream is truncated or damaged"):
        text_of(path)
    path.write_bytes(gzip.compress(MAINLAND.encode()))
    assert text_of(path) == MAINLAND


def test_an_absent_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"sales\.csv: can't be opened"):
        text_of(tmp_path / "nowhere.csv")
