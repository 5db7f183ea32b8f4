"""The forms in which ISO-NE publishes: answers of the web services, reports with record types, and the week ahead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aurum_etl.dataset import Published
from aurum_etl.errors import NoData, SourceChanged, SourceUnavailable
from aurum_etl.redaction import start_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.dataset import Report

WWW = "WWW"
"""The website, whose reports anybody may have."""
CREDENTIALS = ("ISONE_API_USERNAME", "ISONE_API_PASSWORD")
SERVICES_URL = "https://webservices.iso-ne.com/docs/v1.1/"
REPORTS_URL = "https://www.iso-ne.com/isoexpress/"

BEGIN = "BeginDate"
TIME = {BEGIN: Published.INSTANT}
PLACE_ID, PLACE_TYPE, PLACE_NAME = "Location.@LocId", "Location.@LocType", "Location.$"
GENERATED = "Report generated"

_BLANK_LINE = re.compile(rb"(?m)^[ \t]*\r?\n")
_COMMENTS = re.compile(rb'(?m)^"C",(.*?)\r?$')
_NAMES = re.compile(rb'(?m)^"H",.*$')
_FIRST_ROW = re.compile(rb'(?m)^"D",')
_COUNT = re.compile(rb'(?:\A|\n)"T","\s*([\d,]+) lines"\s*\Z')
_FOOTER_BYTES = 64
_NO_DATA = b"No data exists"
_GENERATED = re.compile(
    r"Report generated:? (?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d{4}) (?P<time>\d\d:\d\d:\d\d) (?P<zone>E[SD]T)"
)
_OFFSETS = {"EST": "-05:00", "EDT": "-04:00"}


def service(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """An answer of the web services: a list under its plural, a single object in its place, or that object alone."""
    from aurum_etl import decode

    _demand_name(report, path, where)
    for member in decode.file_members(path, where, max_bytes):
        content = member.content.removeprefix(decode.BYTE_ORDER_MARK)
        if not content.strip():
            raise SourceUnavailable(f"{where}: an empty body instead of data")
        names = tuple(report.parameters["rows"].split("."))
        if not any(f'"{name}"'.encode() in content for name in names):
            # An empty object of another resource says nothing of this one.
            decode.json(content, where)
            raise SourceChanged(f"{where}: expected {'.'.join(names)}; found {_words(content)!r}")
        rows = decode.json_records(content, names, where, report)
        if rows.is_empty():
            raise NoData(f"{where}: the answer is an empty {names[0]}")
        yield decode.records(rows, report, where)


def table(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """A report of the website: each line begins with its kind, and the last one has the number of rows."""
    from aurum_etl import decode

    for member in decode.file_members(path, where, max_bytes):
        content = _lines(member.content, where)
        _demand_title(report, content, path, where)
        names, rows = _NAMES.search(content), _FIRST_ROW.search(content)
        count = _COUNT.search(content, max(0, len(content) - _FOOTER_BYTES))
        if names is None or count is None:
            raise SourceUnavailable(f"{where}: no line with names and none with a count: cut short?")
        body = content[rows.start() : count.start() + 1] if rows else b""
        promised = _number(count)
        _demand_count(promised, body.count(b'\n"D",') + 1 if rows else 0, where)
        if rows is None:
            raise NoData(f"{where}: the report has no rows")
        if body.count(b"\n") != promised:
            raise SourceChanged(f"{where}: lines among the rows are of another kind than theirs")
        yield decode.csv(names[0].rstrip() + b"\n" + body, report, where)


def week_ahead(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """A forecast of eight days side by side; the dates stand in the second row, and the count leaves out both of them."""
    import csv

    import polars as pl

    from aurum_etl import decode

    for member in decode.file_members(path, where, max_bytes):
        content = _lines(member.content, where)
        _demand_title(report, content, path, where)
        made = _GENERATED.search(_comments(content))
        count = _COUNT.search(content)
        if count is None:
            raise SourceUnavailable(f"{where}: no line with a count: cut short?")
        if made is None:
            raise SourceChanged(f'{where}: no "Report generated" with a date, a time and EST or EDT')
        # Odd line breaks of its own make lines of nothing.
        lines = [
            cells[1:]
            for cells in csv.reader(content.decode("utf-8", "replace").splitlines())
            if len(cells) > 1 and cells[0] == "D"
        ]
        dates = next((cells[2:] for cells in lines if cells[0] == "Date"), None)
        hours = [cells for cells in lines if cells[0] not in ("Day", "Date")]
        if dates is None:
            raise SourceChanged(f"{where}: no row of dates")
        _demand_count(_number(count), len(hours), where)
        if any(len(cells) != 2 + len(dates) for cells in hours):
            raise SourceChanged(f"{where}: a row has other cells than one for each of {len(dates)} days")
        rows = pl.DataFrame(
            [(date, cells[1], mw) for cells in hours for date, mw in zip(dates, cells[2:], strict=True) if mw.strip()],
            schema=dict.fromkeys(("Date", "Hour Ending", "MW"), pl.String),
            orient="row",
        )
        if rows.is_empty():
            if hours:
                raise SourceChanged(f"{where}: {len(hours)} rows came, and none of them has a value")
            raise NoData(f"{where}: the report has no rows")
        instant = "{year}-{month}-{day}T{time}".format(**made.groupdict()) + _OFFSETS[made["zone"]]
        yield decode.records(rows.with_columns(pl.lit(instant).alias(GENERATED)), report, where)


def _lines(content: bytes, where: str) -> bytes:
    """The content without blank lines, if it is a report at all.

    Raises: NoData, SourceUnavailable or SourceChanged if it is something else.
    """
    from aurum_etl import decode

    content = content.removeprefix(decode.BYTE_ORDER_MARK)
    if not content.strip():
        raise SourceUnavailable(f"{where}: an empty body instead of data")
    decode.demand_no_html(content, where)
    if content.lstrip().startswith(_NO_DATA):
        raise NoData(f"{where}: {_words(content)}")
    if b"\n\n" in content or b"\n\r\n" in content or content[:1] in (b"\n", b"\r"):
        content = _BLANK_LINE.sub(b"", content)
    if content[:3] not in (b'"C"', b'"H"'):
        raise SourceChanged(f"{where}: no report with record types: found {_words(content)!r}")
    return content


def _comments(content: bytes) -> str:
    return " ".join(each.decode("utf-8", "replace").strip('" ') for each in _COMMENTS.findall(content))


def _demand_title(report: Report, content: bytes, path: Path, where: str) -> None:
    """Refuse another report of the same form; preliminary and final ones differ in the name of the file alone.

    Raises: SourceChanged.
    """
    said = _comments(content)
    if report.parameters["title"] not in said:
        raise SourceChanged(f"{where}: expected the title {report.parameters['title']!r}, found {said[:160]!r}")
    named = report.parameters.get("named", "")
    if named not in f"{said} {_name(path, where)}":
        raise SourceChanged(f"{where}: expected a file that is named {named}, found {said[:160]!r}")


def _demand_name(report: Report, path: Path, where: str) -> None:
    """Refuse an answer that its name says to be another one: rows of different markets and marks look alike.

    Raises: SourceChanged.
    """
    name = _name(path, where).lower()
    named, unlike = report.parameters.get("named"), report.parameters.get("unlike")
    if (named and not re.search(named, name)) or (unlike and re.search(unlike, name)):
        raise SourceChanged(f"{where}: nothing but the name tells whether it is {report.name}, and this one does not")


def _name(path: Path, where: str) -> str:
    """What the answer is called: the name of a file, without its folders, or the request."""
    return path.name if where.endswith(path.name) else where


def _number(count: re.Match[bytes]) -> int:
    return int(count[1].replace(b",", b""))


def _demand_count(promised: int, came: int, where: str) -> None:
    if promised != came:
        raise SourceUnavailable(f"{where}: {came:,} rows came, and {promised:,} were promised: cut short?")


def _words(content: bytes) -> str:
    return start_of(" ".join(content[:4096].decode("utf-8", "replace").split()), 160)
