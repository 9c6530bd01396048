"""Bytes of a file, whatever their encoding, as a stream of UTF-8 blocks; or an error that names the byte.

Strict: a byte that the declared encoding can't hold refuses the file, since a silently replaced letter is a lost one. So
does a text that the declared encoding can hold, but that is plainly written in another.
Not here: lines, columns, rows.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cvm_pipeline.sources.errors import FileRefused

BLOCK_BYTES = 1 << 24
_SAMPLE = 1 << 16

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# GBK's superset reads all that GBK does, and the rare letters that real files hold.
_SUPERSET = {"gbk": "gb18030", "gb2312": "gb18030", "utf-8-sig": "utf-8"}
_ISO = {"iso8859-1", "iso8859-15"}
_LATIN = _ISO | {"cp1252"}
_CHINESE = {"gb18030", "big5", "big5hkscs", "cp950"}
_HIGH = re.compile(rb"[\x80-\xff]")
# Control characters of Latin-1 that no text holds: Windows' encodings have their quotes and the euro there.
_C1 = re.compile(rb"[\x80-\x9f]")
# Letters beyond ASCII stand alone or in twos in Latin text, in rows in Chinese.
_ROWS = re.compile(rb"[\x80-\xff]{4,}")
_PAIRS = re.compile(rb"([\x81-\xfe])([\x40-\xfe])")


def open_bytes(path: Path, file: str) -> BinaryIO:
    """The file's bytes, unpacked if its name ends in .gz. Raises FileRefused where it can't be opened."""
    try:
        return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise FileRefused(
            file, f"can't be opened ({error.strerror})", "Check that it exists and may be read"
        ) from error


def read_utf8(path: Path, file: str, encoding: str = "utf-8") -> Iterator[bytes]:
    """Blocks of valid UTF-8 that together are the file's text, without its byte order mark.

    A byte order mark outranks the declared encoding. Raises FileRefused: truncated gzip, a byte that the encoding
    can't hold, a text that is plainly of another encoding.
    """
    declared = _normal_name(file, encoding)
    with open_bytes(path, file) as stream:
        block = _read(stream, file)
        marked = next((name for mark, name in _BOMS if block.startswith(mark)), None)
        actual = marked or _with_byte_order(declared, block)
        if marked is None and block:
            _refuse_width(file, block[:_SAMPLE], actual)
        decoder = codecs.getincrementaldecoder("utf-8-sig" if actual == "utf-8" else actual)("strict")
        offset, judged = 0, actual.startswith("utf-")
        while True:
            final = not block
            pending = len(decoder.getstate()[0])
            if not judged and (first := _HIGH.search(block)):
                _refuse_misfit(file, block, offset, first.start(), actual)
                judged = True
            if actual in _ISO and (control := _C1.search(block)):
                raise _wrong_encoding(file, actual, offset + control.start(), block)
            try:
                text = decoder.decode(block, final)
            except UnicodeDecodeError as error:
                raise _wrong_encoding(file, actual, offset - pending + error.start, block) from error
            if text:
                yield text.encode()
            if final:
                return
            offset += len(block)
            block = _read(stream, file)


def likely_encoding(sample: bytes) -> str | None:
    """The encoding that a sample most likely has, or None where nothing fits."""
    from charset_normalizer import from_bytes

    if _is_utf8(sample):
        return "utf-8"
    candidates = ["gb18030", "big5", "utf_16", "utf_16_le", "utf_16_be", "shift_jis", "cp1252"]
    best = from_bytes(sample[:_SAMPLE], cp_isolation=candidates).best()
    return best.encoding.replace("_", "-") if best else None


def _normal_name(file: str, encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise FileRefused(
            file, f"the encoding {encoding!r} is unknown", "Declare one such as utf-8 or gb18030"
        ) from error
    return _SUPERSET.get(name, name)


def _with_byte_order(declared: str, head: bytes) -> str:
    """Without a mark, 'utf-16' has the order in which the high bytes of plain letters are 0."""
    if declared != "utf-16":
        return declared
    sample = head[:_SAMPLE]
    return "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"


def _read(stream: BinaryIO, file: str) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileRefused(
            file, f"the gzip stream is truncated or damaged ({error})", "Copy the file again; nothing of it was landed"
        ) from error
    except OSError as error:
        raise FileRefused(
            file, f"can't be read ({error.strerror or error})", "Check the disk and the permissions"
        ) from error


def _refuse_width(file: str, sample: bytes, encoding: str) -> None:
    """Text of two bytes a letter is not text of one; a stray NUL here and there is not such text, and none at all neither."""
    if encoding.startswith(("utf-16", "utf-32")):
        if 0 not in sample:
            likely = likely_encoding(sample)
            raise FileRefused(file, f"declared {encoding}, but from byte 0 on none is NUL, as one of a comma or a line end is",
                              _declare(likely) if likely else "Declare its encoding")  # fmt: skip
    elif sample.count(0) * 5 > len(sample):
        likely = "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"
        first = sample.index(0)
        raise FileRefused(
            file, f"byte {first} is NUL, and every few bytes after it: it is not {encoding}", _declare(likely)
        )


def _refuse_misfit(file: str, block: bytes, offset: int, first: int, encoding: str) -> None:
    """Encodings that can hold nearly any bytes read a file of another without a murmur: it is judged by its looks.

    `block` is the first that holds a byte above 127, at `first`.
    """
    sample = block[first : first + _SAMPLE]
    high = len(_HIGH.findall(sample))
    likely = None
    # A few letters of GB18030 or Big5 may look like UTF-8 by chance (about one pair in seven), a dozen don't.
    if _is_utf8(sample) and (encoding not in _CHINESE or high >= 12):
        likely = "utf-8"
    elif encoding in _CHINESE and high >= 40:
        likely = _other_chinese(sample, encoding)
    elif encoding in _LATIN and high >= 8 and 2 * sum(map(len, _ROWS.findall(sample))) > high:
        likely = likely_encoding(sample)
    if likely not in (None, encoding):
        raise FileRefused(file, f"declared {encoding}, but from byte {offset + first} on it reads as {likely}", _declare(str(likely)))  # fmt: skip


def _other_chinese(sample: bytes, encoding: str) -> str | None:
    """Each of the two Chinese encodings keeps its everyday letters in one range: those of the other one look rare."""
    pairs = [(pair[1][0], pair[2][0]) for pair in _PAIRS.finditer(sample)]
    everyday_gb = sum((0xB0 <= lead <= 0xD7 and trail >= 0xA1) or 0xA1 <= lead <= 0xA3 for lead, trail in pairs)
    everyday_big5 = sum(0xA1 <= lead <= 0xC6 and not 0x7F <= trail <= 0xA0 for lead, trail in pairs)
    if encoding == "gb18030" and everyday_big5 > 0.9 * len(pairs) and everyday_gb < 0.5 * len(pairs):
        return "big5"
    if encoding != "gb18030" and everyday_gb > 0.9 * len(pairs) and everyday_big5 < 0.7 * len(pairs):
        return "gb18030"
    return None


def _is_utf8(sample: bytes) -> bool:
    """Whether the sample is UTF-8 as far as it goes: its last letter may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _wrong_encoding(file: str, encoding: str, at: int, sample: bytes) -> FileRefused:
    likely = likely_encoding(sample) if sample else encoding
    remedy = "Declare its encoding" if likely is None else _declare(likely)
    if likely == encoding:
        remedy = f"It is {encoding} elsewhere: the file is cut or damaged there; copy it again"
    return FileRefused(file, f"byte {at} is not valid {encoding}", remedy)


def _declare(likely: str) -> str:
    return f"Likely encoding: {likely}; declare it under `read: encoding:`"
