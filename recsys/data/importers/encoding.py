"""Bytes of a text file to UTF-8 bytes, with errors that name the byte and the line."""

from __future__ import annotations

import codecs
from pathlib import Path

from recsys.errors import InputError

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _codec(encoding: str) -> codecs.CodecInfo:
    try:
        return codecs.lookup(encoding)
    except LookupError:
        raise InputError(
            f"--encoding is {encoding!r}", expected="an encoding such as utf-8, latin-1, cp1252 or utf-16"
        ) from None


def _recode(path: Path, data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} at offset {error.start:,} is not {encoding}",
            expected=f"text in {encoding}",
            remedy="name the file's encoding, for example --encoding cp1252",
        ) from error
    except (LookupError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read as {encoding}: {error}", expected="a text encoding") from error


def to_utf8(path: Path, data: bytes, encoding: str | None, fallback: str | None) -> tuple[bytes, tuple[str, ...]]:
    """The text as UTF-8 without a byte order mark and with `\\n` or `\\r\\n` at line ends, and notes for the report.

    `fallback` is the encoding that a publisher is known to have used; it is tried when the file is not UTF-8. Raises
    InputError for a byte that is not of the encoding, with its line.
    """
    notes: tuple[str, ...] = ()
    if encoding is not None:
        if _codec(encoding).name != "utf-8":
            data = _recode(path, data, encoding)
    elif data.startswith(_UTF16_MARKS):
        raise InputError(f"{path} is UTF-16", expected="text in UTF-8", remedy="add --encoding utf-16")
    try:
        data.decode()
    except UnicodeDecodeError:
        if fallback is None or encoding is not None:
            _recode(path, data, "utf-8")
        data = _recode(path, data, fallback or "utf-8")
        notes = (f"read as {fallback}, since it is not UTF-8",)
    data = data.removeprefix(_UTF8_MARK)
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
    return data, notes
