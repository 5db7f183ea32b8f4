"""Json, xml and csv that are made to take a parser's memory or time, to read a file, or to bring what no store can keep."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.frames import LMP_HEADER, lmp_csv
from tests.hostile import JULY, ONCE, answering

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hostile import Victim

DEEP = 100_000
ROW = '{"datetime_beginning_utc":"2026-07-14T04:00:00","load_area":"AEP","mw":%s}'


@pytest.fixture
def pjm(victim: Victim) -> Path:
    """A spec of what is published as json."""
    path = victim.folder / "pjm.yaml"
    path.write_text("dataset: pjm_load\n")
    return path


def items(*rows: str, total: int | str | None = None) -> bytes:
    return f'{{"items":[{",".join(rows)}],"totalRows":{len(rows) if total is None else total}}}'.encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda: b"[" * DEEP + b"]" * DEEP, "nested more than 32 levels|json is damaged|no json"),
        (lambda: b'{"items":' * DEEP, "nested more than 32 levels|json is damaged"),
        (lambda: items('{"a":' * DEEP + "1" + "}" * DEEP), "nested more than 32 levels"),
        (lambda: items('{"a":' * 800 + "1" + "}" * 800), "nested more than 32 levels"),
        (lambda: items(ROW % 1, ROW.replace("%s", '{"a":' * DEEP + "1" + "}" * DEEP)), "nested more than 32 levels"),
        (lambda: items(*(f'{{"k{number}":1}}' for number in range(100_000))), "100,00[0-9] columns, more than 20,000"),
        (lambda: items(ROW % ('"' + "x" * 30_000_000 + '"')), "no number|damaged"),
    ],
    ids=["lists", "open", "objects", "800", "second row", "names", "text"],
)
def test_json_that_would_fill_the_memory_is_refused(
    victim: Victim, pjm: Path, body: Callable[[], bytes], words: str
) -> None:
    path = victim.folder / "f.json"
    path.write_bytes(body())
    error = victim.bombed("run", pjm, "--from-files", path)
    assert re.search(words, error), error


@pytest.mark.parametrize(
    ("body", "words", "code"),
    [
        (lambda: items(ROW % "1e999"), "no number|damaged", 1),
        (lambda: items(ROW % ("9" * 10_000)), "no number|damaged", 5),
        (lambda: items(ROW % "NaN"), "no number|damaged", 1),
        (lambda: items(ROW % "-Infinity"), "no number|damaged", 1),
        (lambda: items('{"a":1,"a":2}'), "damaged|missing", 5),
        (lambda: items(ROW % 1).decode().encode("utf-16"), "missing|NUL bytes|json|column", 1),
        (lambda: b"\xef\xbb\xbf\xef\xbb\xbf{", "missing|json", 1),
        (lambda: items(ROW % 1, total="9" * 5_000), "promised|damaged", 5),
    ],
    ids=["1e999", "digits", "NaN", "infinity", "twice", "UTF-16", "marks", "total"],
)
def test_json_that_means_something_else_is_refused(
    victim: Victim, pjm: Path, body: Callable[[], bytes], words: str, code: int
) -> None:
    path = victim.folder / "f.json"
    path.write_bytes(body())
    error = victim.attacked("run", pjm, "--from-files", path, code=code)
    assert re.search(words, error), error


LAUGHS = '<!DOCTYPE z [<!ENTITY a "haha">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "]><z>&j;</z>",
        '<!DOCTYPE z [<!ENTITY a "' + "x" * 100_000 + '">]><z>' + "&a;" * 100_000 + "</z>",
        '<!DOCTYPE z [<!ENTITY a SYSTEM "file:///etc/passwd">]><z>&a;</z>',
        '<!DOCTYPE z [<!ENTITY a SYSTEM "{address}">]><z>&a;</z>',
        '<!DOCTYPE z [<!ENTITY % a SYSTEM "{address}"> %a;]><z/>',
        '<!DOCTYPE z SYSTEM "{address}"><z/>',
        '<!DOCTYPE z [<!ATTLIST z a CDATA "x">]><z/>',
    ],
    ids=["laughs", "quadratic", "file", "http", "parameter", "external", "attributes"],
)
def test_xml_with_a_document_type_is_refused(victim: Victim, text: str, coding: str) -> None:
    """Whatever it declares, and in whatever coding: nothing of it is unfolded, read or fetched."""
    path = victim.folder / "f.xml"
    with answering(lambda file: file.write(b"<!ENTITY b 'x'>"), {}) as (address, log):
        document = f'<?xml version="1.0" encoding="{coding}"?>' + text.replace("{address}", f"{address}/x")
        mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(coding, b"")
        path.write_bytes(mark + document.encode(coding))
        error = victim.attacked("run", victim.spec, "--from-files", path)
    assert re.search("declares a document type|neither csv nor xml|not well-formed", error), error
    assert "declares a document type" in error or coding.startswith("utf-16")
    assert ("root:" in error, log) == (False, [])


def test_xml_that_is_nested_without_end_is_no_report(victim: Victim) -> None:
    path = victim.folder / "f.xml"
    path.write_bytes(b"<a>" * 200_000 + b"</a>" * 200_000)
    victim.bombed("run", victim.spec, "--from-files", path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda: f"{LMP_HEADER}\n".encode() + b"x" * 30_000_000 + b"\n", "cells"),
        (lambda: f"{LMP_HEADER}\n".encode() + b'"' + b"x," * 30_000_000 + b"\n", "csv|cells"),
        (lambda: LMP_HEADER.encode() + b",x" * 1_000_000 + b"\n", "columns, more than 20,000"),
        (lambda: b"a," * 50_000_000, "columns, more than 20,000"),
        (lambda: f"{LMP_HEADER}\n".encode() + b"," * 100_000_000, "nothing of"),
    ],
    ids=["line", "quote", "columns", "header", "commas"],
)
def test_csv_that_would_fill_the_memory_is_refused(victim: Victim, body: Callable[[], bytes], words: str) -> None:
    path = victim.folder / "f.csv"
    path.write_bytes(body())
    error = victim.bombed("run", victim.spec, "--from-files", path)
    assert re.search(words, error), error


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lmp_csv(("2026-07-14T07:00", "A", "LMP", "1e999")), "no number"),
        (lmp_csv(("2026-07-14T07:00", "A", "LMP", "0x10")), "no number"),
        (lmp_csv(("2026-07-14T07:00", "A", "LMP", "=1+1")), "no number"),
        (lmp_csv(("2026-07-14T07:00", "A", "LMP", "1")).replace(b"2026-07-14T07", b"9999-99-99T07"), "instant"),
        (lmp_csv(("2026-07-14T07:00", "A", "LMP", "1")).decode().encode("utf-16"), "missing|neither"),
    ],
    ids=["1e999", "hex", "formula", "date", "UTF-16"],
)
def test_csv_that_means_something_else_is_refused(victim: Victim, body: bytes, words: str) -> None:
    path = victim.folder / "f.csv"
    path.write_bytes(body)
    error = victim.attacked("run", victim.spec, "--from-files", path)
    assert re.search(words, error), error


def test_a_text_with_a_nul_is_rejected_and_the_others_are_not(victim: Victim) -> None:
    path = victim.folder / "f.csv"
    rows = [(f"2026-07-14T{hour:02}:00", place, "LMP", "1") for hour in range(7, 24) for place in ("A", "B", "C")]
    path.write_bytes(lmp_csv(*rows, ("2026-07-14T07:00", "D\0E", "LMP", "1")))
    document = victim.json("run", victim.spec, "--from-files", path)
    assert (document["rows"], document["chunks"][0]["rejected"]) == (51, 1)
    (row,) = victim.json("inspect", 'select "check", value from quarantine')
    assert row == {"check": "text_has_no_nul", "value": "D\0E"}


@pytest.mark.parametrize(
    "place", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "\x1b[2J", "a\u202eb", "<script>", "%s%n"]
)
def test_what_means_something_elsewhere_is_a_name_here(victim: Victim, place: str) -> None:
    path = victim.folder / "f.csv"
    path.write_bytes(lmp_csv(*((f"2026-07-14T{hour:02}:00", place, "LMP", "1") for hour in range(7, 24))))
    victim("run", victim.spec, "--from-files", path)
    assert victim.json("inspect", "select distinct iso_location_id as id from lmp") == [{"id": place}]


@pytest.mark.parametrize("words", ["\x1b]0;owned\x07\x1b[2J", "[bold]x[/bold]"])
def test_a_refusals_words_do_nothing_to_a_terminal(victim: Victim, words: str) -> None:
    body = words.encode()
    with answering(lambda file: file.write(body), {"Content-Length": str(len(body))}, 400) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        _, out, err = victim.ended("run", victim.spec, *JULY, *ONCE)
    assert "status 400" in out
    assert "\x1b" not in out + err
    _, out, _ = victim.ended("status")
    assert "\x1b" not in out
