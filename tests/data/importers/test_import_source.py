"""Files as bytes: compression, truncation, and what is no table at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard

from recsys.data.importers.source import FileType, open_source
from recsys.errors import InputError

TEXT = b"customer_id,item_id,kind\n1,2,view\n" * 50


def _zip(data: bytes, name: str = "events.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr(name, data)
    return buffer.getvalue()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": _zip,
}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_content_is_the_content(tmp_path: Path, suffix: str) -> None:
    """Every kind of compression gives back the bytes and the name of what was compressed."""
    path = tmp_path / f"events.csv{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT))
    source = open_source(path)
    assert (source.data, source.name, source.type) == (TEXT, "events.csv", FileType.DELIMITED)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compression_is_seen_without_a_suffix(tmp_path: Path, suffix: str) -> None:
    """What a file holds counts, not what it is called."""
    path = tmp_path / "events"
    path.write_bytes(COMPRESS[suffix](TEXT))
    assert open_source(path).data == TEXT


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    """Half a compressed file is an error, never half of its rows."""
    whole = COMPRESS[suffix](TEXT)
    path = tmp_path / f"events.csv{suffix}"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InputError, match="truncated"):
        open_source(path)


def test_frames_of_zstd_are_read_end_to_end(tmp_path: Path) -> None:
    """Two zstd frames in one file are one content."""
    path = tmp_path / "events.csv.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(TEXT) * 2)
    assert open_source(path).data == TEXT * 2


def test_a_compressed_name_on_plain_bytes_is_refused(tmp_path: Path) -> None:
    """A `.gz` that is none is said to be none."""
    path = tmp_path / "events.csv.gz"
    path.write_bytes(TEXT)
    with pytest.raises(InputError, match=r"named \.gz"):
        open_source(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\xef\xbb\xbf\r\n \n"), "holds nothing"),
        (lambda path: path.write_bytes(gzip.compress(b"")), "holds nothing"),
        (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0 old workbook"), "Excel"),
    ],
)
def test_no_file_to_read_is_said(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    """A missing file, a folder, an empty file and an old workbook each get their own message, with the path."""
    path = tmp_path / "events.csv"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_a_workbook_is_told_from_a_zip(tmp_path: Path) -> None:
    """An .xlsx is a zip archive, but the remedy is another."""
    path = tmp_path / "online_retail.xlsx"
    path.write_bytes(_zip(b"<xml/>", "xl/workbook.xml"))
    with pytest.raises(InputError, match="save each sheet as CSV"):
        open_source(path)


def test_a_zip_of_two_files_is_refused_with_their_names(tmp_path: Path) -> None:
    """Which of two files was meant is not guessed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    path = tmp_path / "both.zip"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"holds 2 files \(a\.csv, b\.csv\)"):
        open_source(path)


@pytest.mark.parametrize("keep", [4, 100, -1])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, keep: int) -> None:
    """A Parquet file without its end is damaged, however much of it is there."""
    path = tmp_path / "events.parquet"
    pl.DataFrame({"a": list(range(1000))}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="truncated or damaged Parquet"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "data", "type_"),
    [
        ("events.jsonl", b'{"a": 1}\n', FileType.JSON_LINES),
        ("events.json", b'{"a": 1}\n', FileType.JSON_LINES),
        ("events", b' \n{"a": 1}\n', FileType.JSON_LINES),
        ("events.inter", b"a\tb\n", FileType.DELIMITED),
        ("events", b"a,b\n", FileType.DELIMITED),
    ],
)
def test_the_type_is_told_by_name_and_content(tmp_path: Path, name: str, data: bytes, type_: FileType) -> None:
    """A known suffix decides; otherwise the first characters do."""
    path = tmp_path / name
    path.write_bytes(data)
    assert open_source(path).type is type_


def test_a_json_array_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    """One array is not JSON lines, and the message says how to make it so."""
    path = tmp_path / "events.json"
    path.write_bytes(b'[{"a": 1}]')
    with pytest.raises(InputError, match="jq"):
        open_source(path)


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    """Equal files have equal digests under any name; a changed byte changes it."""
    digests = []
    for name, data in (("a.csv", TEXT), ("b.csv", TEXT), ("c.csv", TEXT + b"1")):
        (tmp_path / name).write_bytes(data)
        digests.append(open_source(tmp_path / name).digest)
    assert digests[0] == digests[1] != digests[2]
