"""The forms in which MISO publishes: wide hourly csv, weekly zip, pages of the Data Exchange, displays of the day."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aurum_etl.clock import WallClock
from aurum_etl.dataset import Published, Report, Spread
from aurum_etl.errors import AccessDenied, AurumError, NoData, SourceChanged, SourceUnavailable, TooLarge
from aurum_etl.market import Iso
from aurum_etl.redaction import start_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from aurum_etl.archive import Answer

EST = Iso.MISO.timezone
API, PUBLIC = "API", "PUBLIC"
START, RESOLUTION = "timeInterval.start", "timeInterval.resolution"
MARK = "preliminaryFinal"
DATA_EXCHANGE_TIMES = {START: Published.WALL_CLOCK, RESOLUTION: Published.WORD}
RESOLUTIONS = frozenset({"5min", "hourly", "daily"})
HOURS = Spread("hour", {str(hour): {"price": f"HE {hour}"} for hour in range(1, 25)}, others="price")
"""A day side by side. A column beyond the 24 is an hour that no day of MISO's has, and so goes to quarantine."""

_PREAMBLE_BYTES = 4096
_DATE = re.compile(rb"(?<!\d)(\d{1,2}/\d{1,2}/\d{4})(?!\d)")
_PAGE = re.compile(rb'"page"\s*:\s*(\{[^{}]*\})')
_NO_ROWS = re.compile(rb'"data"\s*:\s*\[\s*\]')
_NOTHING = re.compile(rb"BlobNotFound|(?i:empty data|no data)")
_REFERENCE = re.compile(r"(\d{1,2}-[A-Za-z]{3}-\d{4})\D+(\d{1,2}:\d{2})\s+EST")
# What the displays say where they have no number.
_NO_NUMBERS = ("", "None", "NaN", "null")


def hourly(start: str = START) -> WallClock:
    """Hours of the Data Exchange and of the displays, which are labeled by their start."""
    return WallClock(start, 60, EST)


def says_nothing(answer: Answer) -> bool:
    """Whether a 404 is MISO's word for a file or a day that is not there; the gateway has 404s of its own."""
    with answer.body.open("rb") as body:
        return _NOTHING.search(body.read(_PREAMBLE_BYTES)) is not None


def wide(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """A day of hourly prices, 24 columns side by side; the day stands above the header."""
    import polars as pl

    from aurum_etl import decode

    demand_name(report, where)
    for member in decode.file_members(path, where, max_bytes):
        header = _header(member.content, "Node", where)
        above = member.content[:header]
        title = report.parameters["title"]
        said = b" ".join(above.split())
        if title.lower().encode() not in said.lower():
            raise SourceChanged(f"{where}: expected the title {title!r}, found {_words(said)!r}")
        if b"hours-ending" in said.lower() and b"(EST)" not in said:
            raise SourceChanged(f"{where}: the hours are not said to be Eastern Standard Time (EST): {_words(said)!r}")
        dates = _DATE.findall(above)
        if not dates:
            raise SourceChanged(f"{where}: no date such as 07/14/2026 above the header, only {_words(said)!r}")
        prices = replace(
            report, published={name: kind for name, kind in report.published.items() if name != "Market Day"}
        )
        batch = decode.csv(member.content[header:], prices, where)
        day = pl.Series([dates[0].decode()]).str.to_date("%m/%d/%Y", strict=False).cast(pl.Datetime("us"))
        if day.null_count():
            raise SourceChanged(f'{where}: "{dates[0].decode()}" above the header is no date')
        rows = pl.DataFrame(batch).with_columns(pl.lit(day[0], pl.Datetime("us")).alias("Market Day"))
        yield decode.to_batch(rows, where, decode.drift_of(batch))


def weekly(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """A week of five-minute prices: a csv in a zip, with lines above its header and one below its last row."""
    from aurum_etl import decode

    with path.open("rb") as file:
        start = file.read(1024)
    if not start:
        raise SourceUnavailable(f"{where}: expected a zip, got nothing")
    decode.demand_no_html(start, where)
    if not start.startswith(b"PK"):
        # Without the zip's checksum nothing tells a line below the last row from a row that was cut.
        raise SourceChanged(f"{where}: expected a zip, found {_words(start)!r}")
    for member in decode.members(path, where, max_bytes):
        header = _header(member.content, "MKTHOUR_EST", where)
        yield decode.csv(_without_footer(member.content, header), report, where)


def page(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """One page of the Data Exchange."""
    from aurum_etl import decode

    demand_name(report, where)
    content = decode.whole(path, where, max_bytes)
    if b'"data"' not in content and not content.lstrip().startswith(b"["):
        raise _told(decode.json(content, where), where)
    rows = decode.json_records(content, ("data",), where)
    if rows.is_empty():
        found = _PAGE.findall(content)
        told = decode.json(found[-1], where) if found else {}
        if _whole(told.get("totalElements")) != 0:
            raise SourceUnavailable(f"{where}: the answer holds no rows, and does not say that there are none in all")
        raise NoData(f"{where}: the answer holds no rows")
    if MARK in rows.columns and MARK not in report.published:
        raise SourceChanged(f"{where}: column {MARK} is one of real-time answers, and no {report.name} has it")
    batch = decode.records(_with_time(rows), report, where)
    for each in report.belonging:
        words = set(map(str, batch.column(each.column).unique().to_pylist()))
        if words and words <= each.others:
            raise SourceChanged(
                f"{where}: column {each.column} holds {', '.join(sorted(words))} alone, "
                f"expected {', '.join(sorted(each.words))}"
            )
    yield batch


def fuel_mix(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The display of generation by fuel: of now, of today so far, or of yesterday."""
    from aurum_etl import decode

    content = decode.whole(path, where, max_bytes)
    _demand_key(content, "Fuel", where)
    yield decode.records(
        _numbers_alone(_some(decode.json_records(content, ("Fuel", "Type"), where), where), "ACT"), report, where
    )


def forecast(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The display of a forecast, with the instant that its reference names: `27-Jul-2026 - Interval 08:00 EST`."""
    import polars as pl

    from aurum_etl import decode

    demand_name(report, where)
    content = decode.whole(path, where, max_bytes)
    document = _demand_key(content, "Forecast", where)
    reference = str(document.get("RefId"))
    named = _REFERENCE.search(reference)
    made = pl.Series([" ".join(named.groups()) if named else None], dtype=pl.String)
    made = made.str.to_datetime("%d-%b-%Y %H:%M", strict=False).dt.to_string("%Y-%m-%d %H:%M")
    if made.null_count():
        raise SourceChanged(
            f'{where}: RefId holds "{reference[:80]}", which names no instant such as 27-Jul-2026 08:00 EST'
        )
    rows = _numbers_alone(_some(decode.json_records(content, ("Forecast",), where), where), "Value")
    yield decode.records(rows.with_columns(pl.lit(made[0]).alias("RefId")), report, where)


def next_page(answer: Answer, asked: int, where: str) -> tuple[int | None, int | None]:
    """The number of the page that follows, and how many rows all pages hold, as the answer says; None where it doesn't.

    Raises: SourceChanged if following would never end: another page came than was asked for, or one without rows.
    """
    from aurum_etl import decode

    content = answer.body.read_bytes()
    found = _PAGE.findall(content)
    if not found:
        return None, None
    told: dict[str, Any] = decode.json(found[-1], where)
    number, total, pages = (_whole(told.get(name)) for name in ("pageNumber", "totalElements", "totalPages"))
    if told.get("lastPage") is not False or (number is not None and pages is not None and number >= pages > 0):
        return None, total
    if number is not None and number != asked:
        raise SourceChanged(f"{where}: page {asked} was asked for, and page {number} came")
    if _NO_ROWS.search(content):
        raise SourceChanged(f"{where}: page {asked} holds no rows, and is said not to be the last")
    return asked + 1, total


def demand_name(report: Report, where: str) -> None:
    """Refuse a file whose name says that it is another report of the same form, or does not say what only names say.

    Raises: SourceChanged.
    """
    name = where.rpartition("/")[2].lower()
    named, unlike = report.parameters.get("named"), report.parameters.get("unlike")
    if unlike and re.search(unlike, name):
        raise SourceChanged(f"{where}: by its name it is no {report.name}, whose form it has")
    if named and not re.search(named, name):
        raise SourceChanged(f"{where}: nothing but the name tells a {report.name}, and this one does not match {named}")


def _header(content: bytes, first: str, where: str) -> int:
    """Where the header line begins, which is the one whose first cell is `first`."""
    from aurum_etl import decode

    start = content[:_PREAMBLE_BYTES]
    if not start.strip():
        raise SourceUnavailable(f"{where}: an empty body instead of data")
    decode.demand_no_html(start, where)
    if b"BlobNotFound" in start:
        raise NoData(f"{where}: {_words(start)}")
    header = re.search(rb'(?mi)^(?:\xef\xbb\xbf)?[ \t"]*' + first.encode() + rb'[ \t"]*,', start)
    if header is None:
        raise SourceChanged(f"{where}: no header line that begins with {first}; found {_words(start)!r}")
    return header.start()


def _without_footer(content: bytes, header: int) -> bytes:
    """From the header line on, without the lines below the last row, which have other cells than the header.

    Looked for by position, since each copy of a week costs as much as a tenth of reading it.
    """

    def end_of_text(end: int) -> int:
        while end > header and content[end - 1 : end].isspace():
            end -= 1
        return end

    cells = content.count(b",", header, content.find(b"\n", header))
    end = end_of_text(len(content))
    while (line := content.rfind(b"\n", header, end) + 1) > 0:
        last = content[line:end]
        if last.count(b",") == cells and last.strip(b", \t\r"):
            break
        end = end_of_text(line)
    return content[header:end]


def _demand_key(content: bytes, key: str, where: str) -> dict[str, Any]:
    """The document, which must be an object with that key."""
    from aurum_etl import decode

    document = decode.json(content, where)
    if not isinstance(document, dict) or key not in document:
        raise _told(document, where, key)
    return document


def _told(document: object, where: str, key: str = "data") -> AurumError:
    """What an answer says that has no data: the gateway's words for its statuses, whatever the status of the answer."""
    told = document if isinstance(document, dict) else {}
    status = _whole(told.get("statusCode", told.get("status")))
    words = str(told.get("message") or told.get("reason") or told.get("error") or "")
    if _NOTHING.search(words.encode()):
        return NoData(f"{where}: {words or 'no data'}")
    if status in (401, 403):
        return AccessDenied(f"{where}: {status}: {words}")
    if status == 413:
        return TooLarge(f"{where}: {status}: {words}")
    if status is not None and (status == 429 or status >= 500):
        return SourceUnavailable(f"{where}: {status}: {words}")
    found = ", ".join(map(str, told)) if told else _words(str(document).encode())
    return SourceChanged(f"{where}: expected {key}; found {start_of(found, 300)}")


def _with_time(rows: pl.DataFrame) -> pl.DataFrame:
    """Some rows have the object with the times under `interval`."""
    import polars as pl

    moved = {
        name: name.replace("interval.", "timeInterval.", 1) for name in rows.columns if name.startswith("interval.")
    }
    return rows.with_columns(
        pl.coalesce(new, old).alias(new) if new in rows.columns else pl.col(old).alias(new)
        for old, new in moved.items()
    ).drop(list(moved))


def _some(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    if rows.is_empty():
        raise SourceUnavailable(f"{where}: the display holds no rows")
    return rows


def _numbers_alone(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """The words for "no number" as nulls."""
    import polars as pl

    if column not in rows.columns or rows.schema[column] != pl.String:
        return rows
    text = pl.col(column).str.strip_chars()
    return rows.with_columns(pl.when(~text.is_in(list(_NO_NUMBERS))).then(text).alias(column))


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


def _words(content: bytes) -> str:
    return start_of(" ".join(re.sub(rb"<[^>]*>", b" ", content[:4096]).decode("utf-8", "replace").split()), 160)
