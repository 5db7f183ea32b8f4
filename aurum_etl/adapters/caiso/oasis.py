"""What all reports of OASIS share: their clock, how they are asked for, and how their zips are read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from aurum_etl.chunk import Selection
from aurum_etl.clock import UtcInstants
from aurum_etl.errors import AurumError, NoData, SourceChanged, SourceUnavailable, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

    import pyarrow as pa

    from aurum_etl import decode
    from aurum_etl.archive import Answer
    from aurum_etl.dataset import Feed, Report
    from aurum_etl.window import Window

GMT = UtcInstants("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT")
SOURCE_URL = "https://oasis.caiso.com/mrioasis/logon.do"

_NO_DATA = 1000
_TRY_LATER = frozenset({1003, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1015})
_TOO_MUCH: Mapping[int, Literal["window", "places"]] = {1004: "window", 1017: "places", 1018: "window"}
_BEING_PREPARED = 1015
_PREPARING_SECONDS = 20.0
_RETRY_AFTER = re.compile(rb"after (\d+) seconds")


def selections(feed: Feed, selection: Selection) -> Iterator[Selection]:
    """What is asked for at once: up to ten names, or a class."""
    names = selection.names
    for first in range(0, len(names), feed.named_limit or 1):
        yield Selection.named(names[first : first + feed.named_limit])
    if not names:
        yield selection


def locations(feed: Feed, selection: Selection) -> dict[str, str]:
    """The part of a request that says which locations."""
    if selection.names:
        return {"node": ",".join(selection.names)}
    return {"grp_type": selection.word} if feed.named_limit else {}


def gmt(window: Window) -> dict[str, str]:
    """The window as OASIS wants it: the offset is written, and is always zero."""
    return {
        "startdatetime": f"{window.start:%Y%m%dT%H:%M}-0000",
        "enddatetime": f"{window.end:%Y%m%dT%H:%M}-0000",
    }


def read_zip(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """One batch per csv member, or per xml report of the older form."""
    from aurum_etl import decode

    for member in decode.file_members(path, where, max_bytes):
        if member.name.lower().endswith(".csv"):
            yield decode.csv(member.content, report, where)
        else:
            yield read_xml(member, report, where)


def busy_seconds(answer: Answer) -> float | None:
    """The seconds that the html body of a 429 names."""
    with answer.body.open("rb") as body:
        named = _RETRY_AFTER.search(body.read(4096))
    return float(named.group(1)) if named else None


def read_xml(member: decode.Member, report: Report, where: str) -> pa.RecordBatch:
    """Rows of an xml report, under the names that the csv form uses.

    Only answers asked for without `resultformat`, and files from before csv was served, come in this form.
    """
    import polars as pl

    from aurum_etl import decode

    if b"<" not in member.content[:64]:
        raise SourceChanged(f"{where}: {member.name} is neither csv nor xml")
    decode.demand_no_html(member.content, where)
    root = decode.xml(member.content, where)
    for error in _named(root, "ERROR"):
        raise _oasis_error(_text(error, "ERR_CODE"), _text(error, "ERR_DESC"), where)
    rows: dict[str, list[str | None]] = {name: [] for name in _XML_NAMES.values()}
    for item in _named(root, "REPORT_ITEM"):
        run = next((_text(header, "MKT_TYPE") for header in _named(item, "REPORT_HEADER")), "")
        for data in _named(item, "REPORT_DATA"):
            cells = {child.tag.rpartition("}")[2]: child.text for child in data}
            for xml_name, csv_name in _XML_NAMES.items():
                rows[csv_name].append(run if xml_name == "MKT_TYPE" else cells.get(xml_name))
    missing = [name for name in report.published if name not in rows]
    if missing:
        raise SourceChanged(f"{where}: {report.name} cannot be read from the xml form, which has no {missing[0]}")
    frame = pl.DataFrame(
        {name: rows[name] for name in report.published}, schema=dict.fromkeys(report.published, pl.String)
    )
    return decode.records(frame, report, where)


_XML_NAMES = {
    "INTERVAL_START_GMT": "INTERVALSTARTTIME_GMT",
    "INTERVAL_END_GMT": "INTERVALENDTIME_GMT",
    "RESOURCE_NAME": "TAC_AREA_NAME",
    "DATA_ITEM": "XML_DATA_ITEM",
    "MKT_TYPE": "MARKET_RUN_ID",
    "TRADING_HUB": "TRADING_HUB",
    "RENEWABLE_TYPE": "RENEWABLE_TYPE",
    "VALUE": "MW",
}


def _oasis_error(code: str, description: str, where: str) -> AurumError:
    """The error that an OASIS code stands for, the code and OASIS's own words kept."""
    message = f"{where}: OASIS error {code}: {description}"
    if code == str(_NO_DATA):
        return NoData(message)
    if code.isdecimal() and int(code) in _TOO_MUCH:
        return TooLarge(message, about=_TOO_MUCH[int(code)])
    if code.isdecimal() and int(code) in _TRY_LATER:
        return SourceUnavailable(message, wait_seconds=_PREPARING_SECONDS if int(code) == _BEING_PREPARED else None)
    return SourceChanged(message)


def _named(element: Element, name: str) -> Iterator[Element]:
    """Elements of that name, whatever their namespace: the prefix has changed over the years."""
    return (each for each in element.iter() if each.tag.rpartition("}")[2] == name)


def _text(element: Element, name: str) -> str:
    return next((each.text or "" for each in _named(element, name)), "").strip()
