"""Zips that are made to be more than they look like, or to be written somewhere."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from isal import isal_zlib

from tests.frames import lmp_csv, zip_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hostile import Victim

GOOD = lmp_csv(*((f"2026-07-14T{hour:02}:00", "A", "LMP", "1") for hour in range(7, 24)))
MEGABYTE = b"0" * 1_000_000


def zeros(megabytes: int, wbits: int = -15) -> bytes:
    """So many megabytes of nothing, deflated: each is the same thousand bytes, which need not be made again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first = packer.compress(MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    other = packer.compress(MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + other * (megabytes - 1) + packer.flush()


def of_zeros(path: Path, members: int, megabytes: int) -> None:
    """A zip of members that are nothing but zeros, each a thousandth of its size."""
    checksum = 0
    for _ in range(megabytes):
        checksum = int(isal_zlib.crc32(MEGABYTE, checksum))
    packed = zeros(megabytes)
    write_raw(path, [(f"{number}.csv", packed, megabytes * 1_000_000, checksum) for number in range(members)])


def overlapping(path: Path) -> None:
    """Members whose bytes are the same ones: a kilobyte of list for each, and one body for all of them (Fifield 2019)."""
    content = GOOD * 1000
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    write_raw(path, [("a.csv", packed, len(content), zlib.crc32(content))] * 50, shared=True)


def write_raw(path: Path, members: list[tuple[str, bytes, int, int]], *, shared: bool = False) -> None:
    """A zip of members that are packed already, whose sizes and checksums are what they are said to be."""
    with path.open("wb") as file:
        directory, first = b"", True
        for name, packed, size, checksum in members:
            at = 0 if shared else file.tell()
            rest = (
                struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 0x21, checksum, len(packed), size, len(name), 0) + name.encode()
            )
            if first or not shared:
                file.write(b"PK\x03\x04" + rest + packed)
            first = False
            directory += b"PK\x01\x02" + struct.pack("<H", 20) + rest[: -len(name)]
            directory += struct.pack("<HHHLL", 0, 0, 0, 0, at) + name.encode()
        start = file.tell()
        count = len(members)
        file.write(directory + b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), start, 0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: of_zeros(path, 1, 2_000), "inflates from .* more than 300 times"),
        (lambda path: of_zeros(path, 4, 2_500), r"declares 10,000,000,000 bytes .*AURUM_RESPONSE_MAX_MB"),
        (lambda path: of_zeros(path, 200, 60), r"declares 12,000,000,000 bytes .*AURUM_RESPONSE_MAX_MB"),
        (overlapping, "members a.csv and a.csv of the zip overlap"),
    ],
    ids=["2 GB", "10 GB", "many members", "overlapping members"],
)
def test_a_bomb_is_refused_before_it_goes_off(victim: Victim, make: Callable[[Path], None], words: str) -> None:
    path = victim.folder / "f.zip"
    make(path)
    assert path.stat().st_size < 16_000_000
    error = victim.bombed("run", victim.spec, "--from-files", path)
    assert re.search(words, error), error


def test_a_bomb_in_a_gzip_is_refused(victim: Victim) -> None:
    path = victim.folder / "f.csv.gz"
    # Without the checksum at its end, which nobody comes to.
    path.write_bytes(zeros(3_000, 31))
    assert "the gzip inflates from" in victim.bombed("run", victim.spec, "--from-files", path)


def test_a_bomb_inside_a_zip_inside_a_zip_is_refused(victim: Victim) -> None:
    """ERCOT's downloads are zips of zips; what is inside may not be more than is left for all of it."""
    inner, path = victim.folder / "i.zip", victim.folder / "o.zip"
    of_zeros(inner, 1, 3_000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "1.zip")
    ercot = victim.folder / "ercot.yaml"
    ercot.write_text("dataset: ercot_lmp\n")
    assert "inflates from" in victim.bombed("run", ercot, "--from-files", path)


def edited(edit: Callable[[bytearray], object], *, stored: bool = False) -> bytes:
    """A good zip of one member with some of its bytes changed, in its list."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", GOOD)
    content = bytearray(body.getvalue())
    edit(content)
    return bytes(content)


def put(form: str, distance: int, value: int) -> Callable[[bytearray], object]:
    """That number at that place of the entry in the list."""
    return lambda content: struct.pack_into(form, content, content.rfind(b"PK\x01\x02") + distance, value)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (edited(put("<L", 24, 10)), 5, "its checksum or size is not what the zip says"),
        (edited(put("<L", 24, 60_000_000)), 5, "its checksum or size is not what the zip says"),
        (edited(put("<L", 20, 10)), 5, "damaged"),
        (edited(put("<L", 20, 4_000_000_000)), 5, "damaged"),
        (edited(put("<L", 16, 1)), 5, "its checksum or size is not what the zip says"),
        (edited(put("<H", 8, 1)), 1, "a.csv is encrypted"),
        (edited(put("<H", 10, 93)), 1, "compressed by method 93"),
        (edited(put("<L", 42, 4_000_000_000)), 5, "it is longer than the whole zip"),
        (edited(put("<L", 42, 5)), 5, "no header at byte 5"),
        (edited(lambda content: content.__delitem__(slice(-40, None))), 5, "damaged or cut short"),
        (edited(lambda content: content.__delitem__(slice(-90, -60))), 5, "damaged"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_a_zip_that_lies_about_itself_is_refused(victim: Victim, body: bytes, code: int, words: str) -> None:
    path = victim.folder / "f.zip"
    path.write_bytes(body)
    assert words in victim.attacked("run", victim.spec, "--from-files", path, code=code)


@pytest.mark.parametrize(
    "name",
    ["../../../escaped.csv", "/tmp/escaped.csv", "..\\escaped.csv", "x" * 60_000 + ".csv", "\x1b[31m.csv"],
)
def test_a_members_name_is_no_path(victim: Victim, name: str) -> None:
    """Members are read where they are: their names lead nowhere, and what is in them is loaded like any other."""
    path = victim.folder / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("x.csv")
        info.filename = name
        archive.writestr(info, GOOD)
    before = {each for each in victim.folder.rglob("*") if victim.home not in (each, *each.parents)}
    victim("run", victim.spec, "--from-files", path)
    after = {each for each in victim.folder.rglob("*") if victim.home not in (each, *each.parents)}
    assert (after, list(victim.home.rglob("*escaped*"))) == (before, [])
    assert victim.json("inspect", "select count(*) as n from lmp") == [{"n": 17}]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_does_not_count_twice(victim: Victim) -> None:
    path = victim.folder / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", GOOD)
        archive.writestr("a.csv", GOOD)
    victim("run", victim.spec, "--from-files", path)
    assert victim.json("inspect", "select count(*) as n from lmp") == [{"n": 17}]


def test_a_name_that_ends_early_is_that_of_no_csv(victim: Victim) -> None:
    """Libraries cut a name off at the character NUL: what it pretends to be behind it does not count."""
    path = victim.folder / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = "a\0.csv"
        archive.writestr(info, GOOD)
    assert "a is neither csv nor xml" in victim.attacked("run", victim.spec, "--from-files", path)


def test_a_list_longer_than_any_is_not_read(victim: Victim) -> None:
    path = victim.folder / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", GOOD)
    body = path.read_bytes()
    at = body.rfind(b"PK\x01\x02")
    entry = body[at : body.rfind(b"PK\x05\x06")]
    with path.open("wb") as file:
        file.write(body[:at])
        for _ in range(40):
            file.write(entry * 20_000)
        size = file.tell() - at
        file.write(b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 800_000, 800_000, size, at))
        file.write(b"PK\x06\x07" + struct.pack("<LQL", 0, at + size, 1))
        file.write(b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    assert "list of members has" in victim.bombed("run", victim.spec, "--from-files", path)


def test_a_good_zip_is_loaded(victim: Victim) -> None:
    """What is refused above is refused for what it is."""
    path = victim.folder / "f.zip"
    path.write_bytes(zip_of(a_csv=GOOD))
    victim("run", victim.spec, "--from-files", path)
    assert victim.json("inspect", "select count(*) as n from lmp") == [{"n": 17}]
