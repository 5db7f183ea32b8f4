"""Published bytes: what is read, and what is refused in which words."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from aurum_etl import decode
from aurum_etl.clock import UtcInstants
from aurum_etl.dataset import Published, Report
from aurum_etl.errors import SourceChanged, SourceUnavailable, TooLarge
from tests.frames import zip_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = 10**9


def report(**columns: Published) -> Report:
    return Report("TEST", UtcInstants("start", "end"), columns)


NODES = report(MW=Published.NUMBER, NODE=Published.WORD)


def read(content: bytes, form: Report = NODES) -> dict[str, list[object]]:
    return decode.csv(content, form, "here").to_pydict()


@pytest.mark.parametrize(
    "content",
    [
        b"NODE,POS,MW\nA,1,2.5\n",
        b"\xef\xbb\xbfNODE ,POS,MW \r\nA,1,2.5\r\n",
        b"MW,NODE,POS\n2.5,A,1",
        b"NODE,MW,NODE\nA,2.5,B\n",
        b'"NODE",POS,"MW"\n"A",1,2.5\n',
    ],
    ids=["plain", "bom, blanks and carriage returns", "other order", "a name twice", "quoted"],
)
def test_columns_are_found_by_name(content: bytes) -> None:
    assert read(content) == {"MW": [2.5], "NODE": ["A"]}


def test_an_empty_number_is_null_and_zeros_survive() -> None:
    values = read(b"NODE,MW\nA,\nB,0\nC,-0\nD,-12.5\n")["MW"]
    assert values == [None, 0.0, 0.0, -12.5]
    assert str(values[2]) == "-0.0"


def test_a_header_alone_is_no_rows() -> None:
    assert read(b"NODE,MW\n") == {"MW": [], "NODE": []}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"NODE,PRICE\nA,1\n", "column MW is missing; expected MW, NODE; found NODE, PRICE"),
        (b"", "column MW, NODE is missing"),
        (b"<html>busy</html>", "found <html>busy</html>"),
        (b"NODE,MW\nA,1\nB,n/a\n", 'column MW holds "n/a", which is no number'),
        (b"NODE,MW\nA,NaN\n", "column MW holds"),
        (b"NODE,MW\nA,inf\n", "column MW holds"),
        (b"NODE,MW\nA,1\n,2\n", "column NODE is empty in row 2"),
        (b'NODE,MW\n"A",1\n"",2\n', "column NODE is empty in row 2"),
        (b"NODE,MW,POS\nA,1,1\nB,1", "the last line has 2 cells, the header 3"),
        (b"NODE,MW\nA\xff,1\n", "not a readable csv"),
    ],
)
def test_a_bad_csv_names_place_column_and_value(content: bytes, words: str) -> None:
    with pytest.raises(SourceChanged, match=r"^here: ") as caught:
        read(content)
    assert words in str(caught.value)


def test_instants_are_utc_microseconds() -> None:
    content = b"T\n2026-07-14T07:00:00-00:00\n2026-07-14T07:00:00Z\n2026-07-14T03:00:00.000-0400\n"
    batch = decode.csv(content, report(T=Published.INSTANT), "here")
    assert str(batch.schema.field("T").type) == "timestamp[us, tz=UTC]"
    assert batch.column("T").to_pylist() == [datetime(2026, 7, 14, 7, tzinfo=UTC)] * 3


@pytest.mark.parametrize("text", ["2026-07-14", "07/14/2026 07:00", "2026-07-14T07:00:00", "2026-13-01T00:00:00Z"])
def test_an_instant_without_its_offset_is_refused(text: str) -> None:
    """Which zone is meant would be a guess."""
    with pytest.raises(SourceChanged, match=f'column T holds "{text}", which is no UTC instant'):
        read(f"T\n{text}\n".encode(), report(T=Published.INSTANT))


@pytest.mark.parametrize(
    "text",
    [
        "2015-03-01T07:00:00",
        "2015-03-01 07:00:00.000",
        "03/01/2015 07:00:00",
        "3/1/2015 7:00",
        "3/1/15 7:00",
        "3/1/2015 7:00:00 AM",
        "2015-03-01 7:00:00 AM",
    ],
)
def test_a_wall_clock_may_be_written_in_any_of_the_isos_ways(text: str) -> None:
    """Files that somebody saved again in a spreadsheet lose their leading zeros."""
    for kind in (Published.WALL_CLOCK, Published.UTC):
        zone = UTC if kind is Published.UTC else None
        assert read(f"T\n{text}\n".encode(), report(T=kind)) == {"T": [datetime(2015, 3, 1, 7, tzinfo=zone)]}


def test_a_bare_date_is_its_midnight() -> None:
    found = read(b"T\n3/1/2015\n2015-03-02\n20150303\n", report(T=Published.WALL_CLOCK))
    assert found == {"T": [datetime(2015, 3, day) for day in (1, 2, 3)]}  # noqa: DTZ001 - by the clock on the wall


def test_numbers_may_have_blanks_around_them_and_no_zero_in_front() -> None:
    assert read(b"NODE,MW\nA, 23.94\nB,.92\nC,-.94 \n")["MW"] == [23.94, 0.92, -0.94]


@pytest.mark.parametrize(
    "content",
    [
        b"NODE,MW\nA,1\n\nB,2\n",
        b"\r\nNODE,MW\r\n\r\nA,1\r\nB,2\r\n\r\n",
        b"NODE,MW\n,\nA,1\n , \nB,2\n,",
        b"\nNODE,MW\nA,1\nB,2",
    ],
    ids=["blank line", "carriage returns, first and last", "commas alone", "first line"],
)
def test_lines_of_nothing_are_no_rows(content: bytes) -> None:
    assert read(content) == {"NODE": ["A", "B"], "MW": [1.0, 2.0]}


def test_a_line_without_its_word_is_a_row_and_told() -> None:
    with pytest.raises(SourceChanged, match="column NODE is empty in row 2"):
        read(b"NODE,MW\nA,1\n,2\n\n")


def test_an_optional_column_that_is_not_there_is_null() -> None:
    form = replace(NODES, optional=frozenset({"MW"}))
    assert read(b"NODE\nA\n", form) == {"NODE": ["A"], "MW": [None]}


def test_a_column_under_a_known_other_name_is_read_and_told() -> None:
    batch = decode.csv(b"NODE,PRC\nA,1\n", replace(NODES, aliases={"PRC": "MW"}), "here")
    assert batch.to_pydict() == {"MW": [1.0], "NODE": ["A"]}
    assert batch.schema.metadata[decode.DRIFT] == b"MW is called PRC"


def test_case_blanks_and_underscores_of_a_header_do_not_matter() -> None:
    form = report(**{"Settlement Location": Published.WORD})
    for header in ("settlement_location", " SETTLEMENT LOCATION ", "SettlementLocation"):
        assert read(f"{header}\nA\n".encode(), form) == {"Settlement Location": ["A"]}


FLAT = [{"a": 1, "b.c": "x"}, {"a": 2, "b.c": "y"}]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('{"Xs": {"X": [{"a": 1, "b": {"c": "x"}}, {"a": 2, "b": {"c": "y"}}]}}', FLAT),
        ('{"Xs": {"X": {"a": 1, "b": {"c": "x"}}}}', FLAT[:1]),
        ('{"X": {"a": 1, "b": {"c": "x"}}}', FLAT[:1]),
        ('{"X": [{"a": 1, "b": {"c": "x"}}]}', FLAT[:1]),
        ('[{"a": 1, "b": {"c": "x"}}]', FLAT[:1]),
        ('{"Xs": {}}', []),
        ('{"Xs": {"X": []}}', []),
        ('{"Xs": ""}', []),
        ("{}", []),
        ("[]", []),
    ],
)
def test_records_are_the_same_in_whichever_shape_they_come(content: str, rows: list[dict[str, object]]) -> None:
    assert decode.json_records(content.encode(), ("Xs", "X"), "here").to_dicts() == rows


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"Xs": {"X": [{"a": 1}, {"a"', SourceUnavailable),
        (b"<html><body>down</body></html>", SourceUnavailable),
        (b"no data", SourceChanged),
        (b'{"Xs": {"X": 3}}', SourceChanged),
    ],
)
def test_what_is_no_record_is_refused_in_typed_words(content: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^here: "):
        decode.json_records(content, ("Xs", "X"), "here")


@pytest.mark.parametrize(
    "objects",
    [
        '[{"a": 1, "b": {"c": "x"}, "d": [1]}, {"a": 2.5, "b": {"c": "y"}}]',
        '[{"a": 1, "b": {"c": 7}}, {"a": null, "b": {"c": null}}, {"b": {"c": "y"}}]',
        '[{"a": "1.5", "b": {"c": "x"}}, {"a": " 2", "b": {"c": "y"}}]',
        '[{"a": 1, "b": {"c": 12345678901234567}}, {"a": -0.0, "b": {"c": 5}}]',
        '[{"A": 1, "B": {"C": "x"}}, {"A": 2, "B": {"C": "y"}}]',
        '{"a": 1, "b": {"c": "x"}}',
        '[{"a": 1, "b": {"c": "]},{"}}]',
        "[]",
        '""',
    ],
    ids=["more than is read", "nulls", "quoted", "kinds", "capitals", "object", "brackets", "empty", "text"],
)
def test_objects_are_the_same_by_their_declared_types(objects: str) -> None:
    form = report(a=Published.NUMBER, **{"b.c": Published.TEXT})
    content = f'{{"told": {{"X": 1}}, "Xs": {{"X": {objects}}}, "n": 2}}'.encode()
    found = [decode.json_records(content, ("Xs", "X"), "here", each) for each in (None, form)]
    if not found[0].is_empty():
        batches = [decode.records(each, form, "here").to_pydict() for each in found]
        assert batches[0] == batches[1]
    assert len(found[0]) == len(found[1])


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ('[{"b": {"c": "x"}}, {"a": 1, "b": {"c": "x"}}]', None),
        ('[{"z": 1, "b": {"c": "x"}}]', "column a is missing"),
        ('[{"a": 1, "b": {"c": "x"}}, {"a": "n/a", "b": {"c": "y"}}]', 'column a holds "n/a"'),
    ],
    ids=["missing at first", "renamed", "a word in place of a number"],
)
def test_what_is_not_as_declared_is_read_as_it_is(objects: str, message: str | None) -> None:
    form = report(a=Published.NUMBER, **{"b.c": Published.TEXT})
    rows = decode.json_records(f'{{"X": {objects}}}'.encode(), ("X",), "here", form)
    if message is None:
        assert decode.records(rows, form, "here").to_pydict() == {"a": [None, 1.0], "b.c": ["x", "x"]}
        return
    with pytest.raises(SourceChanged, match=message):
        decode.records(rows, form, "here")


LONG = 60_000
"""So many objects are read in several pieces."""


def told(number: int, text: str = "x") -> str:
    return f'{{"a":{number},"b":{{"c":"{text}"}}}}'


def long_list() -> bytes:
    return f'{{"Xs":{{"X":[{",".join(map(told, range(LONG)))}]}}}}'.encode()


@pytest.mark.parametrize(
    "document",
    [
        '{{"Xs":{{"X":[{}]}}}}',
        '{{"l":[{{"a":7}}],"X":1,"Xs":{{"X":[{}],"f":[{{"g":[{{}}]}}]}},"n":[{{"X":[{{}}]}}]}}',
        "[{}]",
    ],
    ids=["alone", "among other lists", "bare"],
)
@pytest.mark.parametrize(
    "text",
    ["x", "},{", '\\"},{\\"a\\":0,\\"', "]}", "é\\u00e9"],
    ids=["plain", "seam", "object", "ends", "not ascii"],
)
def test_a_long_list_of_objects_is_whole_and_in_order(document: str, text: str) -> None:
    form = report(a=Published.NUMBER, **{"b.c": Published.TEXT})
    content = document.format(",".join(told(number, text) for number in range(LONG))).encode()
    batch = decode.records(decode.json_records(content, ("Xs", "X"), "here", form), form, "here")
    assert batch.column("a").to_pylist() == list(range(LONG))
    assert batch.column("b.c").unique().to_pylist() == [text.replace("\\u00e9", "é").replace("\\", "")]


def test_of_a_long_list_only_what_is_read_is_kept() -> None:
    rows = decode.json_records(long_list(), ("Xs", "X"), "here", report(a=Published.NUMBER))
    assert (rows.columns, len(rows)) == (["a"], LONG)


def test_a_list_of_the_same_name_elsewhere_is_not_taken_for_it() -> None:
    form = report(a=Published.NUMBER)
    content = b'{"o":{"X":[{"a":9}]},"Xs":{"X":[{"a":1},{"a":2}]}}'
    assert decode.json_records(content, ("Xs", "X"), "here", form).to_dicts() == [{"a": 1.0}, {"a": 2.0}]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda content: content[: len(content) // 2], SourceUnavailable),
        (lambda content: content[:-1], SourceUnavailable),
        (lambda content: content + b"}", SourceUnavailable),
        (lambda content: content.replace(b"},{", b"} {", 30_001), SourceUnavailable),
        (lambda content: content.replace(b"},{", b"},,{", 1), SourceUnavailable),
        (lambda content: content.replace(b"30000", b"30000,", 1), SourceUnavailable),
        (lambda content: content.replace(b'"a":50000', b'"a":"n/a"', 1), SourceChanged),
        (lambda content: content.replace(b'"c":"x"', b'"c":"\xff"', 1), SourceUnavailable),
    ],
    ids=["half", "end", "more", "commas", "two commas", "a comma", "a word", "no text"],
)
def test_a_long_list_with_one_fault_is_refused(change: Callable[[bytes], bytes], kind: type[Exception]) -> None:
    form = report(a=Published.NUMBER, **{"b.c": Published.TEXT})
    content = change(long_list())
    with pytest.raises(kind, match=r"^here: "):
        decode.records(decode.json_records(content, ("Xs", "X"), "here", form), form, "here")


def test_what_an_object_lacks_in_the_middle_of_a_long_list_is_empty() -> None:
    form = report(a=Published.NUMBER, **{"b.c": Published.TEXT})
    content = long_list().replace(b'"a":30000,', b"")
    numbers = decode.records(decode.json_records(content, ("Xs", "X"), "here", form), form, "here").column("a")
    assert numbers.null_count == 1
    assert numbers[30_000].as_py() is None


def members(path: Path, content: bytes, most: int = BIG) -> list[decode.Member]:
    path.write_bytes(content)
    return list(decode.members(path, "here", most))


def test_members_come_whole_and_in_order(tmp_path: Path) -> None:
    found = members(tmp_path / "z", zip_of(a_csv=b"1" * 100_000, b_csv=b"2"))
    assert [(each.name, each.content) for each in found] == [("a.csv", b"1" * 100_000), ("b.csv", b"2")]


def test_large_members_come_whole_and_in_order_too(tmp_path: Path) -> None:
    """They are inflated by a thread of their own, one ahead."""
    contents = [letter * 1_500_000 for letter in (b"1", b"2", b"3")]
    found = members(tmp_path / "z", zip_of(a_csv=contents[0], b_csv=contents[1], c_csv=contents[2]))
    assert [each.name for each in found] == ["a.csv", "b.csv", "c.csv"]
    assert [each.content for each in found] == contents


def test_stored_members_are_read_too(tmp_path: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", "x")
    assert members(tmp_path / "z", body.getvalue()) == [decode.Member("a.csv", b"x")]


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_zip_can_be_tried_again(tmp_path: Path, kept: float) -> None:
    whole = zip_of(a_csv=bytes(range(256)) * 50)
    with pytest.raises(SourceUnavailable, match="damaged or cut short"):
        members(tmp_path / "z", whole[: int(len(whole) * kept)])


def test_a_member_that_does_not_fit_its_checksum_can_be_tried_again(tmp_path: Path) -> None:
    whole = bytearray(zip_of(a_csv=b"0123456789" * 1000))
    whole[40] ^= 0xFF
    with pytest.raises(SourceUnavailable, match=r"member a\.csv is damaged"):
        members(tmp_path / "z", bytes(whole))


def test_html_instead_of_a_zip_can_be_tried_again_and_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match='expected a zip, got "<html>maintenance</html>"'):
        members(tmp_path / "z", b"<html>maintenance</html>")


def test_a_zip_that_would_inflate_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 1,000"):
        members(tmp_path / "z", zip_of(a_csv=b"0" * 1001), 1000)


def test_a_header_that_lies_about_its_size_does_not_fill_the_memory(tmp_path: Path) -> None:
    """The declared size is what is inflated, and one byte to notice."""
    whole = bytearray(zip_of(a_csv=b"0" * 5_000_000))
    directory = whole.rfind(b"PK\x01\x02")
    whole[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
    with pytest.raises(SourceUnavailable, match="checksum or size"):
        members(tmp_path / "z", bytes(whole), 1000)


def test_a_zip_inside_a_zip_is_opened_too(tmp_path: Path) -> None:
    (tmp_path / "z").write_bytes(zip_of(one_zip=zip_of(a_csv=b"1"), two_csv=b"2"))
    found = [
        each
        for member in decode.members(tmp_path / "z", "here", BIG)
        for each in decode.inner_members(member, "here", BIG)
    ]
    assert found == [decode.Member("a.csv", b"1"), decode.Member("two.csv", b"2")]


def test_a_field_that_stands_twice_in_an_object_is_damage() -> None:
    with pytest.raises(SourceUnavailable, match=r"^here: the json is damaged: "):
        decode.json_records(b'{"a": [{"b": 1, "c": 2, "b": 3}]}', ("a",), "here")


def test_a_damaged_zip_inside_a_zip_is_named_and_can_be_tried_again() -> None:
    cut = decode.Member("one.zip", zip_of(a_csv=b"0123456789" * 100)[:60])
    with pytest.raises(SourceUnavailable, match=r"^here: one\.zip: the zip is damaged or cut short"):
        list(decode.inner_members(cut, "here", BIG))
    large = decode.Member("one.zip", zip_of(a_csv=b"0" * 1001))
    with pytest.raises(TooLarge, match="more than 1,000"):
        list(decode.inner_members(large, "here", 1000))


def test_entities_are_refused() -> None:
    """A small document of entities unfolds without end."""
    with pytest.raises(SourceChanged, match="document type"):
        decode.xml(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "here")
    with pytest.raises(SourceChanged, match="not well-formed"):
        decode.xml(b"<a>", "here")
