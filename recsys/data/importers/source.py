"""A file as bytes: found, hashed, decompressed and told apart by what it holds."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

import zstandard

from recsys.errors import InputError


class FileType(StrEnum):
    """How the rows are written."""

    DELIMITED = "delimited text"
    JSON_LINES = "JSON lines"
    PARQUET = "Parquet"


_TYPE_BY_SUFFIX = {
    ".parquet": FileType.PARQUET,
    ".pq": FileType.PARQUET,
    ".jsonl": FileType.JSON_LINES,
    ".ndjson": FileType.JSON_LINES,
    ".json": FileType.JSON_LINES,
}
_COMPRESSION_SUFFIXES = (".gz", ".zst", ".bz2", ".xz", ".zip")
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class Source:
    """One file's content.

    Attributes
    ----------
    path : as the user gave it; error messages name it so.
    name : the file's name without a compression suffix; a zip archive's is that of the file inside.
    data : the content, decompressed.
    digest : 16 hexadecimal digits of a hash of the file as it lies on disk.
    """

    path: Path
    name: str
    data: bytes
    digest: str
    type: FileType


def open_source(path: Path) -> Source:
    """Reads and decompresses a file; InputError when it is missing, no file, empty, truncated or no table."""
    stored = _read(path)
    if not stored:
        raise InputError(f"{path} is empty", expected="a file with rows", remedy="export it again")
    name = path.name
    if path.suffix.lower() in _COMPRESSION_SUFFIXES:
        name = path.name[: -len(path.suffix)]
    data, name = _decompress(path, name, stored)
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InputError(f"{path} holds nothing", expected="a file with rows", remedy="export it again")
    return Source(path, name, data, hashlib.blake2b(stored, digest_size=8).hexdigest(), _file_type(path, name, data))


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a folder", expected="a file", remedy=f"name its files, for example {path}/*.csv")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", expected="a file", remedy="check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", remedy="check its permissions") from error


def _unzstd(stored: bytes) -> bytes:
    """All frames, end to end; EOFError when the last one is cut off."""
    parts: list[bytes] = []
    while stored:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(stored))
        if not frame.eof:
            raise EOFError("the last frame is incomplete")
        stored = frame.unused_data
    return b"".join(parts)


_DECOMPRESS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.decompress),
    (b"\x28\xb5\x2f\xfd", "zstd", _unzstd),
    (b"BZh", "bzip2", bz2.decompress),
    (b"\xfd7zXZ\x00", "xz", lzma.decompress),
)


def _decompress(path: Path, name: str, stored: bytes) -> tuple[bytes, str]:
    """The content and the name of what was compressed, whatever the suffix says."""
    if stored.startswith(b"PK\x03\x04"):
        return _unzip(path, stored)
    for magic, method, decompress in _DECOMPRESS:
        if stored.startswith(magic):
            try:
                return decompress(stored), name
            except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
                raise InputError(
                    f"{path} is {method}-compressed, but truncated or damaged ({error})",
                    expected="a whole file",
                    remedy="copy or export it again",
                ) from error
    if path.suffix.lower() in _COMPRESSION_SUFFIXES:
        raise InputError(
            f"{path} is named {path.suffix}, but does not begin as such a file does",
            expected="a compressed file",
            remedy="copy it again, or rename it if it is not compressed",
        )
    return stored, name


def _unzip(path: Path, stored: bytes) -> tuple[bytes, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
            files = [name for name in names if not name.startswith("__MACOSX/")]
            if any(name.startswith("xl/") for name in files):
                raise InputError(
                    f"{path} is an Excel workbook",
                    expected="CSV, Parquet or JSON lines",
                    remedy="open it and save each sheet as CSV UTF-8",
                )
            if len(files) != 1:
                raise InputError(
                    f"{path} holds {len(files)} files ({', '.join(files[:5])}{', …' if len(files) > 5 else ''})",
                    expected="a zip archive of exactly one file",
                    remedy="unpack it and name the files to import",
                )
            return archive.read(files[0]), PurePath(files[0]).name
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{path} is a zip archive, but truncated, damaged or locked ({error})",
            expected="a whole archive without a password",
            remedy="copy it again or unpack it first",
        ) from error


def _file_type(path: Path, name: str, data: bytes) -> FileType:
    suffix = PurePath(name).suffix.lower()
    if data.startswith(b"\xd0\xcf\x11\xe0") or suffix == ".xlsx":
        raise InputError(
            f"{path} is an Excel workbook", expected="CSV, Parquet or JSON lines", remedy="save each sheet as CSV UTF-8"
        )
    known = _TYPE_BY_SUFFIX.get(suffix)
    if known is FileType.PARQUET or data.startswith(_PARQUET_MAGIC):
        if not (len(data) >= 12 and data.startswith(_PARQUET_MAGIC) and data.endswith(_PARQUET_MAGIC)):
            raise InputError(
                f"{path} is a truncated or damaged Parquet file",
                expected=f"a file of at least 12 bytes that begins and ends with {_PARQUET_MAGIC.decode()}; "
                f"this one has {len(data):,} bytes and ends with {data[-4:]!r}",
                remedy="copy or export it again",
            )
        return FileType.PARQUET
    text = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if known is FileType.JSON_LINES or text.startswith(b"{"):
        if text.startswith(b"["):
            raise InputError(
                f"{path} is one JSON array",
                expected="JSON lines: one object per line",
                remedy="convert it, for example with `jq -c '.[]'`",
            )
        return FileType.JSON_LINES
    return FileType.DELIMITED
