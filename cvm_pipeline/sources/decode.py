"""Bytes of a file, whatever their encoding, as a stream of UTF-8 blocks; or an error that names the byte.

Strict: a byte that the declared encoding can't hold refuses the file, since a silently replaced letter is a lost one.
Not here: lines, columns, rows.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cvm_pipeline.sources.errors import FileRefused

BLOCK_BYTES = 1 << 24

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings in which no byte is ever wrong: a UTF-8 file read as one of them is silently garbled.
_SINGLE_BYTE = {"iso8859-1", "iso8859-15", "cp1252", "latin-1"}


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
        head = _read(stream, file)
        actual = next((name for mark, name in _BOMS if head.startswith(mark)), declared)
        _refuse_misfit(file, head, declared, actual)
        decoder = codecs.getincrementaldecoder("utf-8-sig" if actual == "utf-8" else actual)("strict")
        offset, block = 0, head
        while True:
            final = not block
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final)
            except UnicodeDecodeError as error:
                at = offset - pending + error.start
                raise _wrong_encoding(file, actual, at, head if offset == 0 else block) from error
            if text:
                yield text.encode()
            if final:
                return
            offset += len(block)
            block = _read(stream, file)


def likely_encoding(sample: bytes) -> str | None:
    """The encoding that a sample most likely has, or None where nothing fits."""
    from charset_normalizer import from_bytes

    try:
        sample[: len(sample) - 3].decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        best = from_bytes(sample[:65536], cp_isolation=["gb18030", "big5", "utf_16", "shift_jis", "cp1252"]).best()
        return best.encoding.replace("_", "-") if best else None


def _normal_name(file: str, encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise FileRefused(
            file, f"the encoding {encoding!r} is unknown", "Declare one such as utf-8 or gb18030"
        ) from error
    # GBK's superset reads all that GBK does, and the rare letters that real files hold.
    return {"gbk": "gb18030", "gb2312": "gb18030", "utf-8-sig": "utf-8"}.get(name, name)


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


def _refuse_misfit(file: str, head: bytes, declared: str, actual: str) -> None:
    sample = head[:65536]
    if actual == declared and not actual.startswith(("utf-16", "utf-32")) and sample.count(0) * 5 > len(sample):
        first = sample.index(0)
        raise FileRefused(
            file, f"every few bytes are NUL (first at byte {first}): it is not {declared}", "Likely encoding: utf-16-le"
        )
    if actual in _SINGLE_BYTE and any(byte > 127 for byte in sample):
        try:
            sample[: len(sample) - 3].decode("utf-8")
        except UnicodeDecodeError:
            return
        first = next(i for i, byte in enumerate(sample) if byte > 127)
        if first < len(sample) - 3:
            raise FileRefused(
                file, f"declared {declared}, but from byte {first} on it is valid UTF-8", "Likely encoding: utf-8"
            )


def _wrong_encoding(file: str, encoding: str, at: int, sample: bytes) -> FileRefused:
    likely = likely_encoding(sample)
    remedy = f"Likely encoding: {likely}; declare it under `read: encoding:`" if likely else "Declare its encoding"
    return FileRefused(file, f"byte {at} is not valid {encoding}", remedy)
